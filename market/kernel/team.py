"""Several specialists, one account: what each one's share of it holds and earns.

Every specialist has a slice of the account, as large as its weight, and asks for an exposure of its slice.
What slices want of each other changes hands at the open, free of charge; the rest is the account's one order,
and its costs are paid by the side that needed it. Exits act on the account and on all slices in the same
proportion. At every decision the account's worth is shared out anew by the present weights: each slice keeps
its own exposure, and what the weights moved is every slice's alike.

Slices are kept in units of the whole account: times its weight, a slice is what its specialist holds. So a
specialist of weight 0 is still told what it would have earned, and the weighted sum of all slices is the
account at any time (weights sum to 1). They are rows of an array (M, WIDTH), of floats or of Decimals.
"""

from market.kernel.portfolio import equity, exposure_of
from market.kernel.quotes import desk_bar
from market.kernel.reward import bar_reward

CASH, HELD, PEAK, DESK_CASH, DESK_HELD, BEFORE, OWN, TRADED = range(8)
WIDTH = 8  # OWN: what a slice trades in a fill, base units; TRADED: in a bar, quote currency


def handed_out(slices, weights, book, close):
    """Share the account out at a decision's close. Who joins it, rows of zeros, begins without a position.

    A desk keeps its own exposure likewise, and is as large as the account.
    """
    worth = equity(book.cash, book.held, close)
    spare = book.held
    for i in range(len(slices)):
        own = exposure_of(slices[i, CASH], slices[i, HELD], close)
        slices[i, HELD] = own * worth / close
        spare = spare - weights[i] * slices[i, HELD]
        desk = exposure_of(slices[i, DESK_CASH], slices[i, DESK_HELD], close)
        slices[i, DESK_CASH], slices[i, DESK_HELD] = worth - desk * worth, desk * worth / close
    for i in range(len(slices)):
        slices[i, HELD] = slices[i, HELD] + spare
        slices[i, CASH], slices[i, PEAK] = worth - slices[i, HELD] * close, book.peak
        slices[i, BEFORE] = slices[i, OWN] = slices[i, TRADED] = worth - worth


def joint_target(wishes, weights):
    """Return the exposure that weighted wishes come to; rounding never leaves the range of the wishes.

    :param wishes: exposures, shares of equity (M,); :param weights: shares of the account (M,)
    """
    lowest = highest = wishes[0]
    total = wishes[0] - wishes[0]
    for i in range(len(wishes)):
        lowest, highest = min(lowest, wishes[i]), max(highest, wishes[i])
        total = total + weights[i] * wishes[i]
    return min(max(total, lowest), highest)


def shared_bar(slices, wishes, weights, is_decision, book, order, exit, open):
    """Let the slices take part in what the account traded in a bar.

    :param is_decision: False for a bar whose order, if any, nobody of the team asked for: it then closes
    :param book: the account before the bar; `order` and `exit` its fills, quantity 0 for none
    """
    if is_decision:
        _shared_order(slices, wishes, weights, book, order, open)
    elif order.quantity != 0:
        _shared_exit(slices, weights, book.held, order)
    if exit.quantity != 0:
        _shared_exit(slices, weights, book.held + order.quantity, exit)


def _shared_order(slices, wishes, weights, book, order, open):
    """Let the slices trade towards their wishes at an open, the account's order in all.

    What the order leaves of the joint wish, by rounding, limits or a band, is every slice's alike.
    """
    worth = equity(book.cash, book.held, open)
    spare = book.held + order.quantity
    for i in range(len(slices)):
        spare = spare - weights[i] * (wishes[i] * worth / open)
    cost = order.quantity * (order.price - open) + order.fee
    for i in range(len(slices)):
        slices[i, OWN] = wishes[i] * worth / open + spare - slices[i, HELD]
    _settled(slices, weights, order.quantity, open, cost)


def _shared_exit(slices, weights, held, exit):
    """Let all slices leave by the part of the position that an exit closes, at its price.

    :param held: what the account held before, not 0
    """
    part = exit.quantity / held
    for i in range(len(slices)):
        slices[i, OWN] = slices[i, HELD] * part
    _settled(slices, weights, exit.quantity, exit.price, exit.fee)


def _settled(slices, weights, quantity, price, cost):
    """Trade what each slice's OWN says at one price; whoever is on the order's side pays its cost."""
    zero = price - price
    majority, side = zero, 1 if quantity > 0 else -1
    for i in range(len(slices)):
        majority = majority + weights[i] * max(side * slices[i, OWN], zero)
    for i in range(len(slices)):
        own = slices[i, OWN]
        paid = cost * max(side * own, zero) / majority if quantity != 0 else zero
        slices[i, CASH] = slices[i, CASH] - own * price - paid
        slices[i, HELD] = slices[i, HELD] + own
        slices[i, TRADED] = slices[i, TRADED] + abs(own) * price


def slice_worth(slices, i, price):
    """Return what a specialist's slice is worth, in units of the whole account."""
    return equity(slices[i, CASH], slices[i, HELD], price)


def slice_bar(slices, i, is_desk, wish, past, high, low, close, lowest, highest, floor, quoting, rules,
              moments, terms):  # fmt: skip
    """Return (reward, moments) of a specialist for a bar at whose beginning `marked_before` was called.

    :param is_desk: True pays for what the specialist's desk earned by quoting around its wish, see `quotes`;
        False for what its slice of the account did
    :param floor: least worth that counts, quote currency above 0: a slice can lose more than it has
    """
    traded = slices[i, TRADED]
    if is_desk:
        cash, held, traded = desk_bar(
            slices[i, DESK_CASH], slices[i, DESK_HELD], wish, past, high, low, close, lowest, highest,
            quoting, rules,
        )  # fmt: skip
        slices[i, DESK_CASH], slices[i, DESK_HELD] = cash, held
        after = max(equity(cash, held, close), floor)
    else:
        after = max(slice_worth(slices, i, close), floor)
    before, peak = max(slices[i, BEFORE], floor), slices[i, PEAK]
    slices[i, PEAK] = max(peak, after)
    return bar_reward(before, after, peak, slices[i, PEAK], past, close, traded, moments, terms)


def marked_before(slices, i, is_desk, past):
    """Note what pays a specialist at the close before a bar: its desk, or its slice."""
    slices[i, TRADED] = past - past
    slices[i, BEFORE] = equity(slices[i, CASH], slices[i, HELD], past)
    if is_desk:
        slices[i, BEFORE] = equity(slices[i, DESK_CASH], slices[i, DESK_HELD], past)
