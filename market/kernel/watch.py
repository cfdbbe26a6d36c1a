"""Breakers and entry guards over bars: the rules of `breakers` and `guards` with the memory they need.

What a backtest and a training market remember of an account between two closes; a live session keeps the same
facts in its rows. Money is all Decimal or all float; times are whole milliseconds.
"""

from typing import Any, NamedTuple

from market.kernel.breakers import (
    ACTIVE,
    LOSS_STREAK,
    SAFE,
    SAFE_DRAWDOWN,
    Facts,
    Limits,
    cautious,
    halting,
    limited_target,
    next_state,
)
from market.kernel.guards import Entry, Guards, entry_refusal
from market.kernel.portfolio import average_entry, realised
from market.kernel.risk import OK

DAY_MS, WEEK_MS = 86_400_000, 604_800_000
MONDAY_MS = 345_600_000  # the first Monday after the epoch, which was a Thursday
UNKNOWN = -1


class WatchRules(NamedTuple):
    """When breakers trip and entries are refused; 0 switches a rule off."""

    limits: Limits
    guards: Guards
    safe_share: Any  # position over equity that safe mode allows
    safe_cooldown_ms: Any


class Watch(NamedTuple):
    """What is remembered of one account."""

    state: Any  # breakers.STATES
    day_equity: Any  # at the first close of the UTC day
    week_equity: Any  # at the first close of the UTC week
    caution_peak: Any  # highest equity since safe mode was last entered
    losses: Any  # closing fills with a loss, one after the other
    trades_today: Any
    safe_modes: Any  # how often safe mode was entered
    safe_until_ms: Any
    exit_ms: Any  # of the newest fill that closed something, UNKNOWN before the first
    loss_ms: Any  # of the newest that did so at a loss
    seen_ms: Any  # of the newest close seen


def open_watch(cash, at_ms):
    """Return the memory of a fresh account that holds nothing but `cash`; it starts at the close `at_ms`."""
    return Watch(ACTIVE, cash, cash, cash, 0, 0, 0, 0, UNKNOWN, UNKNOWN, at_ms)


def fills_seen(watch, held, entry, order, exit, at_ms, close_ms):
    """Return the watch after one bar's fills: an order's at the open, an exit's, known later, at the close.

    :param held: position before them, and its average `entry`
    :param at_ms: open time of the bar, and `close_ms` when it closed
    """
    watch = fill_seen(watch, held, entry, order, at_ms)
    after = average_entry(entry, held, order.quantity, order.price)
    return fill_seen(watch, held + order.quantity, after, exit, close_ms)


def close_seen(watch, rules, worth, peak, is_flat, close_ms):
    """Return (watch, code) once the account is marked at a close; the code of what halts it, else OK.

    :param worth: equity at the close; :param peak: highest so far, this close included
    """
    caution_peak = max(watch.caution_peak, worth)
    facts = Facts(
        worth, watch.day_equity, watch.week_equity, peak, caution_peak, watch.losses,
        UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN,
    )  # fmt: skip
    halt, caution = halting(facts, rules.limits), cautious(facts, rules.limits)
    state = next_state(watch.state, halt, caution, is_flat, close_ms >= watch.safe_until_ms)
    losses, safe_modes, safe_until_ms = watch.losses, watch.safe_modes, watch.safe_until_ms
    if caution != OK and state == SAFE:
        safe_until_ms = close_ms + rules.safe_cooldown_ms
        safe_modes += 1 if watch.state != SAFE else 0
        caution_peak = worth if caution == SAFE_DRAWDOWN else caution_peak
        losses = 0 if caution == LOSS_STREAK else losses
    day_equity, week_equity, trades_today = watch.day_equity, watch.week_equity, watch.trades_today
    if close_ms // DAY_MS != watch.seen_ms // DAY_MS:  # this close is the first of a UTC day
        day_equity, trades_today = worth, 0
    if (close_ms - MONDAY_MS) // WEEK_MS != (watch.seen_ms - MONDAY_MS) // WEEK_MS:
        week_equity = worth
    seen = Watch(
        state, day_equity, week_equity, caution_peak, losses, trades_today, safe_modes, safe_until_ms,
        watch.exit_ms, watch.loss_ms, close_ms,
    )  # fmt: skip
    return seen, halt


def watched_target(watch, rules, target, exposure, at_ms):
    """Return the exposure to trade towards: the wished one, or what state and guards leave of it.

    :param exposure: share of equity held; returned where the position may not grow
    :param at_ms: of the decision
    """
    return allowed_target(watch, watch.state, rules, target, exposure, at_ms)


def allowed_target(watch, state, rules, target, exposure, at_ms):
    """Return what `watched_target` does, in another risk state than the watch's own."""
    entry = Entry(
        0, 0, UNKNOWN,
        at_ms - watch.exit_ms if watch.exit_ms >= 0 else UNKNOWN,
        at_ms - watch.loss_ms if watch.loss_ms >= 0 else UNKNOWN,
        watch.trades_today,
    )  # fmt: skip
    is_allowed = entry_refusal(entry, rules.guards) == OK
    target, _code = limited_target(target, exposure, state, is_allowed, rules.safe_share)
    return target


def fill_seen(watch, held, entry, fill, at_ms):
    """Return the watch after one fill; quantity 0 is none.

    :param held: position before it, and its average `entry`
    """
    if fill.quantity == 0:
        return watch
    losses, exit_ms, loss_ms = watch.losses, watch.exit_ms, watch.loss_ms
    if held * fill.quantity < 0:
        is_loss = realised(entry, held, fill.quantity, fill.price) < fill.fee
        losses = losses + 1 if is_loss else 0
        exit_ms = at_ms
        loss_ms = at_ms if is_loss else loss_ms
    return Watch(
        watch.state, watch.day_equity, watch.week_equity, watch.caution_peak, losses, watch.trades_today + 1,
        watch.safe_modes, watch.safe_until_ms, exit_ms, loss_ms, watch.seen_ms,
    )  # fmt: skip
