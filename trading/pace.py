"""Whether prices are read often enough for a session's bars; on a replay a poll may span several of them."""

from market.candles import interval_name
from trading import alerts
from trading.accounts import POLL_RANGE_S
from trading.models import AlertKind, AlertLevel
from trading.seat import Seat

TELL_AFTER = 3  # long steps in a row: a single one is an outage or a hand-over
READS_PER_BAR = 4  # what is suggested


def watch(seat: Seat, at_ms: int) -> None:
    """Tell a person when quotes come further apart, on the venue's clock, than the session's bars.

    :param at_ms: of the quote just read; the session still holds the one before.
    """
    session = seat.session
    step_ms = at_ms - session.price_ms if session.price_ms else 0
    seat.long_steps = seat.long_steps + 1 if step_ms > session.interval_ms else 0
    if seat.long_steps >= TELL_AFTER and not seat.is_slow:
        text = (
            f"{session}: prices are read {step_ms / 1000:,.0f} s of the venue's time apart, but its bars are "
            f"{interval_name(session.interval_ms)} long: bars pass without a decision. {_advice(seat)}"
        )
        kind = AlertKind.DATA_STALE
        alerts.raise_alert(session.owner, AlertLevel.WARNING, f"pace:{session.pk}", text, session, kind=kind)
        seat.is_slow = True
    elif seat.is_slow and not seat.long_steps:
        alerts.close_alert(session.owner, f"pace:{session.pk}")
        seat.is_slow = False


def _advice(seat: Seat) -> str:
    session = seat.session
    poll_s, bar_s = session.account.poll_s, session.interval_ms / 1000 / seat.clock_rate  # of our own clock
    if poll_s <= bar_s / 2:
        return "Reading takes longer than it should: slow the replay down, or let this machine do less."
    wanted_s = bar_s / READS_PER_BAR
    if wanted_s < POLL_RANGE_S[0]:
        return "No account reads prices as often as that: slow the replay down."
    return f"Trade on an account with {wanted_s:.2g} s between prices (this one has {poll_s:g})."
