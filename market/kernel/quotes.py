"""Resting quotes of a market maker's virtual desk, filled as pessimistically as a bar allows.

Both quotes are set at a close, from that close alone, and rest through the next bar. A quote fills only where
the bar traded through it, at the quote and never better. Which side came first is not in a bar: where both
were traded through, the one that is worse at the close counts as filled and the other one as not.
"""

from typing import Any, NamedTuple

from market.kernel.costs import fee_of
from market.kernel.instrument import floor_to_step, is_tradable, round_price
from market.kernel.portfolio import equity, settle


class Quoting(NamedTuple):
    """How a desk quotes. All Decimal or all float."""

    offset: Any  # of both quotes from the close they are set at, as a fraction
    size: Any  # share of equity by which the inventory may leave its target on either side
    fee_rate: Any  # maker, fraction of the notional


def quote_prices(reference, offset, tick, guard):
    """Return (bid, ask) around a reference price, rounded away from it."""
    bid = round_price(reference * (1 - offset), tick, guard, False)
    return bid, round_price(reference * (1 + offset), tick, guard, True)


def quote_shares(inventory, target, size, lowest, highest):
    """Return (bid, ask): what each quote would change the inventory by, shares of equity of at least 0."""
    zero = inventory - inventory
    bid = max(min(target + size, highest) - inventory, zero)
    return bid, max(inventory - max(target - size, lowest), zero)


def quote_fill(bid, bidden, ask, asked, high, low, close):
    """Return (quantity, price) of the one quote that a bar fills; quantity 0 if it fills none.

    :param bidden: base units that the bid asks for, at least 0; `asked` those that the ask offers
    """
    is_bought, is_sold = bidden > 0 and low < bid, asked > 0 and high > ask
    if is_bought and is_sold:
        is_bought = (close - bid) * bidden <= (ask - close) * asked
        is_sold = not is_bought
    if is_bought:
        return bidden, bid
    if is_sold:
        return -asked, ask
    return close - close, close


def desk_bar(cash, held, target, past, high, low, close, lowest, highest, quoting, rules):
    """Return (cash, held, traded) of a desk after a bar through which its quotes rested.

    :param target: inventory wanted, share of equity; `lowest` and `highest` bound what it may reach
    :param past: the close at which the quotes were set
    :return: `traded` in quote currency
    """
    worth = equity(cash, held, past)
    if worth <= 0:
        return cash, held, close - close
    bid, ask = quote_prices(past, quoting.offset, rules.tick, rules.guard)
    more, less = quote_shares(held * past / worth, target, quoting.size, lowest, highest)
    bidden = floor_to_step(more * worth / past, rules.step, rules.guard)
    asked = floor_to_step(less * worth / past, rules.step, rules.guard)
    quantity, price = quote_fill(bid, bidden, ask, asked, high, low, close)
    if not is_tradable(quantity, price, rules.min_notional):
        return cash, held, close - close
    fee = fee_of(quantity * price, quoting.fee_rate, rules.fee_step, rules.guard)
    cash, held = settle(cash, held, quantity, price, fee)
    return cash, held, abs(quantity) * price
