"""Linear futures on isolated margin: leverage, funding, liquidation.

In the books a future is worth cash + held * price as on the spot market; cash is below 0 where more is held
than owned. A position's margin is its notional at the average entry over the leverage. It cannot lose more
than that, nor more than the account: the venue closes it at the liquidation price, while the maintenance
margin is left, and bears itself what a gap takes beyond the bankruptcy price.
"""

from typing import Any, NamedTuple

from market.kernel.costs import fee_of
from market.kernel.instrument import floor_to_step, is_tradable
from market.kernel.portfolio import equity
from market.kernel.rebalance import closing_quantity
from market.kernel.risk import OK
from market.kernel.step import (
    Book,
    Fill,
    asked,
    capped,
    fill_price,
    filled,
    left,
    marked,
    reduced,
    step_bar,
    with_levels,
    with_stop,
)
from market.kernel.triggers import LIQUIDATION, NONE, bar_leave, levels, tighter


class Margin(NamedTuple):
    """All Decimal or all float."""

    leverage: (
        Any  # most notional over equity, and notional over a position's own margin; 0 is the spot market
    )
    maintenance: Any  # share of the notional at which a position is liquidated


def step_market(book, track, is_order, target, open, high, low, close, atr, funding, rules, plan, margin):
    """Return (book, track, order fill, exit fill, funding paid) after one bar of either market.

    :param funding: rate due at this bar's close, a share of the notional that longs pay to shorts
    """
    if margin.leverage > 0:
        return step_futures(
            book, track, is_order, target, open, high, low, close, atr, funding, rules, plan, margin
        )
    book, track, order, exit = step_bar(
        book, track, is_order, target, open, high, low, close, atr, rules, plan
    )
    return book, track, order, exit, close - close


def step_futures(book, track, is_order, target, open, high, low, close, atr, funding, rules, plan, margin):
    """Return what `step_market` does, of a futures market; otherwise as `market.kernel.step.step_bar`.

    A bar that opens beyond the liquidation price liquidates before the agent's order, which is then void.
    """
    none = Fill(open - open, open - open, open - open, NONE)
    order, exit = none, none
    is_void = book.held != 0 and is_liquidated(book, open, margin)
    if is_order and not is_void:
        order = _ordered(book, target, open, rules, margin)
        book, track = filled(book, track, order, plan)
    if book.held != 0:
        book, track, exit = _forced(book, track, open, high, low, atr, rules, plan, margin, is_void)
    book, track = reduced(book, track, exit, plan)
    if exit.reason == LIQUIDATION and book.cash < 0:  # the last digit of a division
        book = _with_cash(book, book.cash - book.cash)
    paid = book.held * close * funding
    return marked(_with_cash(book, book.cash - paid), high, low, close), track, order, exit, paid


def liquidation_price(book, margin):
    """Return the price at which what is left of the margin, or of the account, is the maintenance margin."""
    side = 1 if book.held > 0 else -1
    own = book.entry * (1 - side / margin.leverage) / (1 - side * margin.maintenance)
    whole = -book.cash / (book.held * (1 - side * margin.maintenance))
    return max(own, whole) if side > 0 else min(own, whole)


def bankruptcy_price(book, margin):
    """Return the price at which the margin, or the account, is used up."""
    side = 1 if book.held > 0 else -1
    own, whole = book.entry * (1 - side / margin.leverage), -book.cash / book.held
    return max(own, whole) if side > 0 else min(own, whole)


def is_liquidated(book, price, margin):
    """Say whether a position cannot be kept at a price."""
    level = liquidation_price(book, margin)
    return price <= level if book.held > 0 else price >= level


def margined_quantity(target, cash, held, price, rules, margin):
    """Return the signed quantity that brings the exposure to `target`; 0 if untradable.

    As `market.kernel.rebalance.order_quantity`, but what bounds an order is the margin: after it and its fee
    the notional is at most `leverage` times the equity.

    :param target: exposure as a share of equity, -leverage..leverage
    """
    quantity = closing_quantity(held, rules.step, rules.guard) if target == 0 else held - held
    if target != 0:
        worth = equity(cash, held, price)
        wanted = target * worth / price - held
        side = 1 if wanted > 0 else -1
        room = margin.leverage * worth - side * held * price
        most = max(room / (price * (1 + margin.leverage * rules.fee_rate)), cash - cash)
        quantity = floor_to_step(side * min(abs(wanted), most), rules.step, rules.guard)
    return quantity if is_tradable(quantity, price, rules.min_notional) else quantity - quantity


def cap_at(book, target, open, rules, margin):
    """Return the code of the cap that cuts an order towards `target` at an open, OK if there is none."""
    if margin.leverage > 0:
        if book.held != 0 and is_liquidated(book, open, margin):
            return OK
        quantity, price = _asked(book, target, open, rules, margin)
    else:
        quantity, price = asked(book, target, open, rules)
    _quantity, code = capped(quantity, price, book, open, rules)
    return code


def _ordered(book, target, open, rules, margin):
    """Return the fill of a market order towards `target` at the open; quantity 0 if none is due."""
    quantity, price = _asked(book, target, open, rules, margin)
    if rules.max_order_share > 0 or rules.max_position > 0:
        quantity, _code = capped(quantity, price, book, open, rules)
    fee = fee_of(quantity * price, rules.fee_rate, rules.fee_step, rules.guard)
    return _bounded(Fill(quantity, price, fee, NONE), book, rules, margin)


def _asked(book, target, open, rules, margin):
    """Return what `market.kernel.step.asked` does, of a futures market."""
    side = 1 if target * equity(book.cash, book.held, open) > book.held * open else -1
    price = fill_price(open, side, rules)
    quantity = margined_quantity(target, book.cash, book.held, price, rules, margin)
    if quantity * side <= 0:
        quantity = quantity - quantity
    return quantity, price


def _forced(book, track, open, high, low, atr, rules, plan, margin, is_void):
    """Return (book, track, fill): levels tightened, and the fill that they or the venue force."""
    side = 1 if book.held > 0 else -1
    stop, kind, take, goal, bracket = levels(book, track, atr, rules, plan)
    book, track = with_stop(book, stop), with_levels(track, kind, bracket)
    end = liquidation_price(book, margin)  # one more stop, but it moves and is not kept
    level, reason = open, LIQUIDATION
    if not is_void:
        stop, kind = tighter(stop, kind, end, LIQUIDATION, side)
        level, reason = bar_leave(book, open, high, low, stop, kind, take, goal, plan)
    fill = left(book, level, reason, rules)
    worst = low if side > 0 else high
    if reason != LIQUIDATION and fill.quantity == 0 and is_liquidated(book, worst, margin):
        level, reason = (min(open, end) if side > 0 else max(open, end)), LIQUIDATION  # too small to leave
    if reason == LIQUIDATION:  # the venue closes all of it, however small
        price = fill_price(level, -side, rules)
        fee = fee_of(book.held * price, rules.fee_rate, rules.fee_step, rules.guard)
        fill = Fill(-book.held, price, fee, LIQUIDATION)
    return book, track, _bounded(fill, book, rules, margin)


def _bounded(fill, book, rules, margin):
    """Return a fill that reduces a position at no worse a price, fee included, than the bankruptcy price."""
    if fill.quantity * book.held >= 0:
        return fill
    last, price, fee = bankruptcy_price(book, margin), fill.price, fill.fee
    if (price < last) if book.held > 0 else (price > last):
        price = last
        fee = fee_of(fill.quantity * price, rules.fee_rate, rules.fee_step, rules.guard)
    if abs(fill.quantity) <= abs(book.held):
        fee = min(fee, abs(fill.quantity * (price - last)))
    return Fill(fill.quantity, price, fee, fill.reason)


def _with_cash(book, cash):
    return Book(cash, book.held, book.entry, book.bars_held, book.peak, book.water, book.stop)
