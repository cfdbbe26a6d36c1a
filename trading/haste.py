"""Who goes first when many sessions wait for a turn: who leaves a position, then who enters one.

What is said here is a guess that only sorts a line: the turn itself looks again at everything.
"""

from decimal import Decimal

from trading.exchanges.port import Quote
from trading.models import LiveSession, RiskState, SessionStatus

LEAVES_NOW, LEAVES, ENTERS, UNKNOWN, QUIET = range(5)
ZERO = Decimal(0)


def of_wish(target: float | None, exposure: float) -> int:
    """Return the haste of a wish for a target exposure; None keeps what is held."""
    if target is None or target == exposure:
        return QUIET
    return LEAVES if abs(target) < abs(exposure) or target * exposure < 0 else ENTERS


def of_session(session: LiveSession, foretold: int, foreseen_ms: int, quote: Quote | None) -> int:
    """Return the haste of a session that waits for a turn.

    :param foretold: of its wish on the bar that began at `foreseen_ms`; counts until that bar is decided on
    :param quote: the newest
    """
    if session.held != ZERO and (_must_leave(session) or (quote is not None and is_hit(session, quote))):
        return LEAVES_NOW
    return foretold if foreseen_ms > session.last_bar_ms else UNKNOWN


def _must_leave(session: LiveSession) -> bool:
    is_over = session.flatten_wanted or session.status == SessionStatus.STOPPING
    return is_over or session.risk_state == RiskState.REDUCING


def is_hit(session: LiveSession, quote: Quote) -> bool:
    """Say whether a quote is behind the position's stop or its target, as they were last stored."""
    stop, take = session.stop_price, session.take_price
    if session.held > ZERO:
        return quote.bid <= stop or (take > ZERO and quote.bid >= take)
    return (stop > ZERO and quote.ask >= stop) or quote.ask <= take
