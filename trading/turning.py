"""From long to short and back takes two orders: the close must be proven before the open is decided.

The decision says what is still to be opened (`turns_to`); that is all there is to remember, so whoever drives
the session goes on from there. A close that failed ends it: nothing is opened on top of what was to be left.
"""

import logging

from django.db import transaction

from trading import deciding, legs, risk, working
from trading.acting import carry_out
from trading.exchanges.port import Quote
from trading.models import Decision, LiveSession, OrderStatus, RiskState, SessionStatus
from trading.models.order import HELD_BACK
from trading.seat import Seat

logger = logging.getLogger(__name__)


def go_on(seat: Seat, quote: Quote, now_ms: int) -> None:
    """Open what the newest decision has still to open, if its close is proven."""
    session = seat.session
    if not (seat.may_turn and seat.may_short):
        return
    decision: Decision | None = session.decisions.order_by("-bar_ms").first()
    seat.may_turn = decision is not None and decision.turns_to is not None
    if decision is None or decision.turns_to is None:
        return
    if session.orders.unsettled().exists() or session.orders.filter(status__in=HELD_BACK).exists():
        return
    if working.working(session) is not None:
        return
    if why := _refusal(seat, decision, quote, now_ms):
        _end(decision, f"not turned: {why}")
        return
    sized = deciding.size_wish(seat, decision.turns_to, quote, now_ms)
    seat.exchange.require()
    with transaction.atomic():
        if not _end(decision, ""):
            return
        sized = deciding.capped(seat, sized, quote, now_ms)
        sized, _ = legs.split(seat, sized)
        Decision.objects.filter(pk=decision.pk).update(risk_reason=_joined(decision, sized.reason))
        reason = f"signal {decision.action}: opens what it turned to"
        order = working.begin(seat, sized.quantity, sized.price, reason, now_ms, decision, working.Room())
    seat.may_turn = False
    carry_out(seat, order, quote)


def _refusal(seat: Seat, decision: Decision, quote: Quote, now_ms: int) -> str:
    """Return why what was to be opened is not: the close failed, or the wish is too old."""
    session = seat.session
    failed = decision.orders.exclude(status=OrderStatus.FILLED).first()
    if failed is not None:
        return f"the order that closes is {failed.status}"
    if not decision.orders.exists():
        return "the order that closes was not made"
    if not is_left(session, seat, quote):
        return "the position is not closed"
    if session.status != SessionStatus.RUNNING or session.risk_state in (
        RiskState.REDUCING,
        RiskState.HALTED,
    ):
        return f"the session is {session.status}, risk {session.risk_state}"
    if now_ms >= decision.bar_ms + 2 * session.interval_ms:
        return "a newer bar has closed meanwhile"
    return ""


def is_left(session: LiveSession, seat: Seat, quote: Quote) -> bool:
    """Say whether nothing is left that the venue would take a closing order for."""
    return risk.is_flat(session, seat.instrument, risk.exit_price(session.held, quote))


def _end(decision: Decision, why: str) -> bool:
    """Take the wish back once; False if another process was first."""
    waits = Decision.objects.filter(pk=decision.pk).exclude(turns_to=None)
    done = bool(waits.update(turns_to=None, risk_reason=_joined(decision, why)))
    if why:
        logger.info("session %s: %s", decision.session_id, why)
    return done


def _joined(decision: Decision, why: str) -> str:
    return "; ".join(filter(None, (decision.risk_reason, why)))[:200]
