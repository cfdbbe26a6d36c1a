"""Breakers: when a portfolio must stop, and when it may only tread carefully.

ACTIVE -> REDUCING -> HALTED -> (a person) -> ACTIVE. A halting breaker makes the portfolio leave its
position (REDUCING); once flat it is HALTED, and nothing here leads out of that. A cautious breaker leads from
ACTIVE to SAFE, exits and tiny trades only, and back once it is over and the cool-down has passed. Equity is
marked, so open positions count. Limits are fractions of equity, 0 switches one off; a fact below 0 is not
known and trips nothing.
"""

from typing import Any, NamedTuple

from market.kernel.instrument import floor_to_step
from market.kernel.rebalance import closing_quantity
from market.kernel.risk import (
    MAX_ORDER_SHARE,
    NO_EQUITY,
    OK,
    daily_loss_breach,
    drawdown_breach,
    reduce_only,
)
from market.kernel.risk import REASONS as RISK_REASONS

ACTIVE, SAFE, REDUCING, HALTED = 0, 1, 2, 3
STATES = ("active", "safe", "reducing", "halted")

WEEKLY_LOSS, SAFE_DRAWDOWN, LOSS_STREAK, VENUE_ERRORS, LOW_ENTROPY, PSI, KS, TURNOVER = range(20, 28)
SAFE_MODE, MAX_POSITION, MAX_LEVERAGE = range(28, 31)
REASONS = {
    **RISK_REASONS,
    WEEKLY_LOSS: "weekly loss limit reached",
    SAFE_DRAWDOWN: "drawdown limit of safe mode reached",
    LOSS_STREAK: "too many losses in a row",
    VENUE_ERRORS: "too many failed calls to the venue",
    LOW_ENTROPY: "the model's actions have collapsed: their entropy is below its limit",
    PSI: "the inputs are outside the training range (PSI)",
    KS: "the inputs are outside the training range (KS)",
    TURNOVER: "turnover is beyond what validation has shown",
    SAFE_MODE: "safe mode: exits and tiny trades only",
    MAX_POSITION: "position cut to its maximum value",
    MAX_LEVERAGE: "position cut to the maximum leverage",
}


class Limits(NamedTuple):
    """When a breaker trips; 0 is off. All Decimal or all float where equity is concerned."""

    daily_loss: Any  # fraction of the equity the UTC day began with
    weekly_loss: Any  # fraction of the equity the UTC week (from Monday) began with
    max_drawdown: Any  # fraction of the peak of equity
    safe_drawdown: Any  # fraction of the peak since the last safe mode
    max_loss_streak: Any  # closed trades with a loss, one after the other
    max_error_share: Any  # of the latest calls to the venue
    min_entropy: Any  # of the action probabilities, 0..1
    max_psi: Any  # median over the features
    max_ks: Any  # median over the features
    max_turnover: Any  # multiple of the validation backtest's turnover per day


class Facts(NamedTuple):
    """What the breakers look at; below 0 is not known (of those after `losses`)."""

    equity: Any  # marked, quote currency
    day_equity: Any
    week_equity: Any
    peak_equity: Any
    caution_peak: Any  # highest equity since safe mode was last entered
    losses: Any  # closed trades with a loss in a row
    error_share: Any
    entropy: Any
    psi: Any
    ks: Any
    turnover: Any  # multiple of the validated one


class OrderCaps(NamedTuple):
    """How large one order and the position behind it may be; 0 switches a cap off, but for `safe_share`."""

    max_order_share: Any  # of equity
    max_position: Any  # quote currency
    max_leverage: Any  # position over equity
    safe_share: Any  # position over equity in safe mode


def halting(facts, limits):
    """Return the code of the breaker that ends trading until a person resumes it, else OK."""
    code = drawdown_breach(facts.equity, facts.peak_equity, limits.max_drawdown)
    if code == OK:
        code = daily_loss_breach(facts.equity, facts.day_equity, limits.daily_loss)
    if code == OK and limits.weekly_loss > 0 and facts.equity <= facts.week_equity * (1 - limits.weekly_loss):
        code = WEEKLY_LOSS
    return code


def cautious(facts, limits):
    """Return the code of the breaker that asks for safe mode, else OK."""
    if drawdown_breach(facts.equity, facts.caution_peak, limits.safe_drawdown) != OK:
        return SAFE_DRAWDOWN
    if limits.max_loss_streak > 0 and facts.losses >= limits.max_loss_streak:
        return LOSS_STREAK
    if limits.max_error_share > 0 and facts.error_share >= limits.max_error_share:
        return VENUE_ERRORS
    if facts.entropy >= 0 and facts.entropy < limits.min_entropy:
        return LOW_ENTROPY
    if limits.max_psi > 0 and facts.psi > limits.max_psi:
        return PSI
    if limits.max_ks > 0 and facts.ks > limits.max_ks:
        return KS
    if limits.max_turnover > 0 and facts.turnover > limits.max_turnover:
        return TURNOVER
    return OK


def next_state(state, halt, caution, is_flat, is_cool):
    """Return the state after one look at the portfolio.

    :param halt: code of `halting`; :param caution: code of `cautious`
    :param is_cool: whether the cool-down of safe mode is over
    """
    if state == HALTED:
        return HALTED
    if state == REDUCING or halt != OK:
        return HALTED if is_flat else REDUCING
    if caution != OK or (state == SAFE and not is_cool):
        return SAFE
    return ACTIVE


def limited_target(target, exposure, state, is_entry_allowed, safe_share):
    """Return (target, code): the exposure to trade towards; what may not grow keeps `exposure` or goes flat.

    :param target: exposure wanted; :param exposure: exposure held, share of equity -1..1
    """
    if target * exposure >= 0 and abs(target) <= abs(exposure):
        return target, OK
    within = exposure if target * exposure >= 0 else exposure - exposure
    if state >= REDUCING or not is_entry_allowed:
        return within, SAFE_MODE if state == SAFE else OK
    if state == SAFE and abs(target) > safe_share:
        small = safe_share if target > 0 else -safe_share
        return (small if abs(small) > abs(within) else within), SAFE_MODE
    return target, OK


def limited_order(quantity, held, price, equity, caps, state, is_entry_allowed, step, guard):
    """Return (quantity, code): an order cut to what state and caps allow; closing is never cut.

    :param quantity: signed; of an order that turns a position only the part beyond flat is limited
    """
    if state >= REDUCING or not is_entry_allowed:
        return reduce_only(quantity, held, step, guard)
    closing = _closing_part(quantity, held, step, guard)
    if closing == quantity:
        return quantity, OK
    if equity <= 0:
        return closing, NO_EQUITY
    kept, room, code = abs(held + closing) * price, abs(quantity - closing) * price, OK
    if caps.max_order_share > 0 and caps.max_order_share * equity < room:
        room, code = caps.max_order_share * equity, MAX_ORDER_SHARE
    if caps.max_leverage > 0 and caps.max_leverage * equity - kept < room:
        room, code = caps.max_leverage * equity - kept, MAX_LEVERAGE
    if caps.max_position > 0 and caps.max_position - kept < room:
        room, code = caps.max_position - kept, MAX_POSITION
    if state == SAFE and caps.safe_share * equity - kept < room:
        room, code = caps.safe_share * equity - kept, SAFE_MODE
    cut = _opened(quantity, closing, price, room, step, guard)
    return cut, (OK if cut == quantity else code)


def cap_position(quantity, held, price, limit, step, guard):
    """Return the order cut so that the position behind it is worth at most `limit`; closing is never cut."""
    closing = _closing_part(quantity, held, step, guard)
    if closing == quantity:
        return quantity
    return _opened(quantity, closing, price, limit - abs(held + closing) * price, step, guard)


def _closing_part(quantity, held, step, guard):
    """Return the part of an order that only brings the position nearer to flat."""
    if quantity * held >= 0:
        return quantity - quantity
    closing = closing_quantity(held, step, guard)
    return quantity if abs(quantity) <= abs(closing) else closing


def _opened(quantity, closing, price, room, step, guard):
    """Return the order whose part beyond `closing` is worth at most `room`."""
    opening = quantity - closing
    if abs(opening) * price <= room:
        return quantity
    if room <= 0:
        return closing
    largest = floor_to_step(room / price, step, guard)
    return closing + largest if opening > 0 else closing - largest
