"""Entry guards: reasons not to open or enlarge a position now. Leaving is never guarded.

Every rule answers with a code, OK for none. 0 switches a limit off; a fact below 0 is not known.
"""

from typing import Any, NamedTuple

from market.kernel.risk import OK

STALE, WIDE_SPREAD, OFF_PRICE, AFTER_EXIT, AFTER_LOSS, BUSY_DAY = range(40, 46)
REASONS = {
    OK: "",
    STALE: "the price is too old to enter on",
    WIDE_SPREAD: "the spread is too wide",
    OFF_PRICE: "the price is too far from the last close",
    AFTER_EXIT: "cooling down after an exit",
    AFTER_LOSS: "cooling down after a loss",
    BUSY_DAY: "the day's trades are used up",
}


class Guards(NamedTuple):
    """Limits of an entry; 0 is off."""

    max_age_ms: Any
    max_spread: Any  # fraction of the mid price
    price_collar: Any  # fraction of the reference price
    exit_cooldown_ms: Any
    loss_cooldown_ms: Any
    max_trades_per_day: Any


class Entry(NamedTuple):
    """What is known at the moment of an entry; below 0 is not known."""

    age_ms: Any  # of the price
    spread: Any  # fraction of the mid price
    deviation: Any  # of the price from its reference, as a fraction
    since_exit_ms: Any  # since a position was last closed, wholly or in part
    since_loss_ms: Any  # since that was last done at a loss
    trades_today: Any


def entry_refusal(entry, guards):
    """Return the code of the first guard that forbids an entry, else OK."""
    if guards.max_age_ms > 0 and entry.age_ms > guards.max_age_ms:
        return STALE
    if guards.max_spread > 0 and entry.spread > guards.max_spread:
        return WIDE_SPREAD
    if guards.price_collar > 0 and entry.deviation > guards.price_collar:
        return OFF_PRICE
    if entry.since_exit_ms >= 0 and entry.since_exit_ms < guards.exit_cooldown_ms:
        return AFTER_EXIT
    if entry.since_loss_ms >= 0 and entry.since_loss_ms < guards.loss_cooldown_ms:
        return AFTER_LOSS
    if guards.max_trades_per_day > 0 and entry.trades_today >= guards.max_trades_per_day:
        return BUSY_DAY
    return OK


def deviation(price, reference):
    """Return how far a price is from its reference, as a fraction; -1 without a reference."""
    if reference <= 0:
        return reference - reference - 1
    return abs(price - reference) / reference
