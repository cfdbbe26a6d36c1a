"""Limits an order must pass. Every rule answers with a reason code, 0 for none; `REASONS` words it.

Caps return (value, code), breaches return a code. Limits are fractions of equity; 0 switches a breach off.
"""

from market.kernel.instrument import is_tradable
from market.kernel.rebalance import closing_quantity

OK, MAX_EXPOSURE, MAX_ORDER_SHARE, MIN_NOTIONAL, REDUCE_ONLY, DRAWDOWN, DAILY_LOSS, NO_EQUITY = range(8)
REASONS = {
    OK: "",
    MAX_EXPOSURE: "target cut to the maximum exposure",
    MAX_ORDER_SHARE: "order cut to its maximum share of equity",
    MIN_NOTIONAL: "order is not above the venue's minimum notional",
    REDUCE_ONLY: "only orders that reduce the position are allowed",
    DRAWDOWN: "drawdown limit reached",
    DAILY_LOSS: "daily loss limit reached",
    NO_EQUITY: "no equity left to trade with",
}


def cap_exposure(target, max_exposure):
    """Return (target, code): the target exposure within [-max_exposure, max_exposure]."""
    if target > max_exposure:
        return max_exposure, MAX_EXPOSURE
    if target < -max_exposure:
        return -max_exposure, MAX_EXPOSURE
    return target, OK


def reduce_only(quantity, held, step, guard):
    """Return (quantity, code): the part of an order that brings the position nearer to flat."""
    closing = closing_quantity(held, step, guard)
    if quantity * closing <= 0:
        return quantity - quantity, (OK if quantity == 0 else REDUCE_ONLY)
    if abs(quantity) > abs(closing):
        return closing, REDUCE_ONLY
    return quantity, OK


def too_small(quantity, price, min_notional):
    """Return MIN_NOTIONAL for an order the venue would refuse as too small, else OK."""
    return OK if is_tradable(quantity, price, min_notional) else MIN_NOTIONAL


def drawdown_breach(equity, peak_equity, max_drawdown):
    """Return DRAWDOWN once equity has fallen by `max_drawdown` or more from its peak, else OK."""
    return DRAWDOWN if max_drawdown > 0 and equity <= peak_equity * (1 - max_drawdown) else OK


def daily_loss_breach(equity, day_start_equity, daily_loss):
    """Return DAILY_LOSS once equity has fallen by `daily_loss` or more since the UTC day began, else OK."""
    return DAILY_LOSS if daily_loss > 0 and equity <= day_start_equity * (1 - daily_loss) else OK


def is_over(worth, ruin, peak, max_drawdown):
    """Say whether a learner's account has come to its end: ruined, or as far below its peak as is allowed."""
    return worth <= ruin or drawdown_breach(worth, peak, max_drawdown) != OK
