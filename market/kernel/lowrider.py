"""Lowrider, adaptive averaging down (DCA): a cycle buys growing lots as the price falls, and ends flat.

A cycle begins with a wish to buy, and every lot needs one. It is sold at break-even plus the profit target;
at break-even as soon as the wish is to leave; and given up once it has lost `dca_max_loss` of the equity it
began with. Averaging down without that bound wins often and then loses everything. Long only.
"""

from market.kernel.portfolio import equity

LOT, CLAMPED, SPACED, ALL_LOTS, PATIENT = 64, 128, 256, 512, 1024  # reason flags, worded in sizing.REASONS
KEPT = 1 << 20  # nothing is traded


def grown(factor, times):
    """Return `factor` to a whole power, one product after the other: in every compiler the same bits."""
    product = factor - factor + 1
    for _ in range(times):
        product = product * factor
    return product


def lot_value(lots, base, cash, conviction, plan):
    """Return (value, code) of the next lot in quote currency: grown, scaled by the buy probability, clamped.

    :param lots: lots the cycle has bought already
    :param base: equity at the cycle's start
    :param conviction: the model's probability of buying, 0..1
    """
    value = base * plan.dca_first * grown(plan.dca_growth, lots) * conviction
    most = max(cash, cash - cash) / plan.dca_reluctance
    return (most, LOT + CLAMPED) if value > most else (value, LOT)


def cycle_target(wish, book, track, price, conviction, rules, plan):
    """Return (target exposure, code); the code holds KEPT when the cycle waits.

    :param wish: exposure wanted by the agent: above 0 buys a lot, else the cycle is to end
    """
    worth = equity(book.cash, book.held, price)
    zero = worth - worth
    lots, base = track.lots, track.base
    if book.held > 0:
        if wish <= 0:
            waits = price < break_even_price(book.cash, book.held, base, rules)
            return (wish, KEPT + PATIENT) if waits else (zero, 0)
        if lots >= plan.dca_lots:
            return wish, KEPT + ALL_LOTS
        if price > track.last * (1 - plan.dca_spacing):
            return wish, KEPT + SPACED
    else:
        lots, base = lots - lots, worth
    if wish <= 0 or worth <= 0:
        return zero, 0
    value, code = lot_value(lots, base, book.cash, conviction, plan)
    return min((max(book.held, zero) * price + value) / worth, wish), code


def break_even_price(cash, held, base, rules):
    """Return the price at which selling a long position, costs paid, gives back the equity it began with."""
    kept = (1 - rules.fee_rate) * (1 - rules.half_spread - rules.slippage)
    return (base - cash) / (held * kept)


def profit_price(cash, held, base, rules, plan):
    """Return the price at which the cycle is sold with its profit."""
    return break_even_price(cash, held, base, rules) * (1 + plan.dca_profit)


def give_up_price(cash, held, base, rules, plan):
    """Return the price at which selling leaves (1 - dca_max_loss) of the equity at the start; 0 is no bound.

    Further lots only raise it: they are bought above it.
    """
    if plan.dca_max_loss <= 0:
        return cash - cash
    return max(break_even_price(cash, held, base * (1 - plan.dca_max_loss), rules), cash - cash)
