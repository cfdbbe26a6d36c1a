"""What a session is, as people see it: its status, what is unknown, its equity. Each write is conditional."""

import logging
from decimal import Decimal

from django.utils import timezone

from market.kernel import portfolio
from trading import alerts
from trading.models import AlertKind, EquityPoint, LiveSession, SessionStatus
from trading.seat import Seat

logger = logging.getLogger(__name__)

DRIVEN = [SessionStatus.PENDING, SessionStatus.RUNNING, SessionStatus.PAUSED, SessionStatus.STOPPING]
MARKS = [
    "price", "bid", "ask", "price_ms", "start_price", "stop_price", "take_price", "high_water", "peak_equity",
    "bars_held", "day", "day_equity", "last_bar_ms", "week_equity", "caution_peak",
    "safe_until_ms", "health", "stop_kind", "take_kind", "bracket_price", "levels", "atr",
]  # fmt: skip
WITH_RELATED = LiveSession.objects.select_related("owner", "account__owner", "risk", "council")


def reload(session: LiveSession) -> None:
    """Read the row again, limits and account included, in one query."""
    session.refresh_from_db(from_queryset=WITH_RELATED.all())
    session.stored_marks = None


def adopt(session: LiveSession, row: LiveSession) -> None:
    """Take over a row that was just read with `WITH_RELATED`: what `reload` does, without asking."""
    for field in session._meta.concrete_fields:
        setattr(session, field.attname, getattr(row, field.attname))
    session._state.fields_cache = {**row._state.fields_cache}
    session.stored_marks = None


def change_status(session: LiveSession, before: str, after: str, **changes: object) -> bool:
    """Change a session's status unless a person changed it meanwhile."""
    changes["status"] = after
    if not LiveSession.objects.filter(pk=session.pk, status=before).update(**changes):
        return False
    for name, value in changes.items():
        setattr(session, name, value)
    return True


def change_risk_state(session: LiveSession, state: str, note: str, **changes: object) -> bool:
    """Change the risk state unless a person changed it meanwhile."""
    changes |= {"risk_state": state, "note": note}
    mine = LiveSession.objects.filter(pk=session.pk, risk_state=session.risk_state)
    if not mine.update(**changes):
        return False
    for name, value in changes.items():
        setattr(session, name, value)
    return True


def save_marks(session: LiveSession) -> None:
    """Store prices, guards and peaks, unless a person has just resumed the session and reset them,
    or its plan has just levelled its money. What this turn has stored already is not stored again.
    """
    marks = {name: getattr(session, name) for name in MARKS}
    if marks == session.stored_marks:
        return
    session.turn_at = timezone.now()
    mine = LiveSession.objects.filter(pk=session.pk, risk_state=session.risk_state)
    if session.plan_id is not None:  # the marks of before money was levelled would trip the wrong breakers
        mine = mine.filter(capital=session.capital)
    is_stored = mine.update(**marks, turn_at=session.turn_at)
    session.stored_marks = {**marks, "levels": {**marks["levels"]}} if is_stored else None


def point(session: LiveSession, at_ms: int, price: Decimal) -> None:
    """Store marked equity at an instant of the venue's clock."""
    equity = portfolio.equity(session.cash, session.held, price)
    peak = max(session.peak_equity, equity)
    drawdown = float(1 - equity / peak) if peak > 0 else 0.0
    values = {"equity": equity, "cash": session.cash, "held": session.held, "price": price}
    row = EquityPoint(session=session, at_ms=at_ms, drawdown=drawdown, **values)
    EquityPoint.objects.bulk_create(  # one statement, where update_or_create takes four
        [row],
        update_conflicts=True,
        unique_fields=["session", "at_ms"],
        update_fields=[*values, "drawdown"],
    )


def fail(session: LiveSession, sentence: str, now_ms: int) -> None:
    """Stop driving a session that cannot go on without a person."""
    LiveSession.objects.filter(pk=session.pk, status__in=DRIVEN).update(
        status=SessionStatus.FAILED, note=sentence, stopped_ms=now_ms
    )
    reload(session)
    logger.warning("session %s failed: %s", session.pk, sentence)
    text = f"{session} failed: {sentence}"
    kind = AlertKind.SESSION_FAILED
    alerts.raise_alert(session.owner, kind.level, f"failed:{session.pk}", text, session, kind=kind)


def unknown(seat: Seat, why: str) -> None:
    """Decide nothing: a read failed, so the books stand as they are, and a person is told once."""
    session = seat.session
    if seat.unknown != why:
        seat.unknown = why
        logger.info("session %s: unknown: %s", session.pk, why)
        text = f"{session}: {why}. Nothing is decided until that is known; its books stand."
        kind = AlertKind.DATA_STALE
        alerts.raise_alert(session.owner, kind.level, f"unknown:{session.pk}", text, session, kind=kind)
    LiveSession.objects.filter(pk=session.pk).update(turn_at=timezone.now())


def known(seat: Seat) -> None:
    """Take back what `unknown` told, here or in a driver that has died since."""
    if seat.unknown != "":
        seat.unknown = ""
        close_alerts(seat.session, "unknown", "turns")


def tell_left_out(seat: Seat, failures: dict[str, str]) -> None:
    """Tell a person which members of a council cannot vote, when that changes; take it back once all can."""
    if failures == seat.left_out:
        return
    session, seat.left_out = seat.session, failures
    if not failures:
        return close_alerts(session, "council")
    why = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
    text = f"{session}: {session.council} decides without {len(failures)} of its members ({why})"
    kind = AlertKind.COUNCIL
    alerts.raise_alert(session.owner, kind.level, f"council:{session.pk}", text, session, kind=kind)


def close_alerts(session: LiveSession, *kinds: str) -> None:
    """Close the open alerts of these kinds about a session."""
    for kind in kinds:
        alerts.close_alert(session.owner, f"{kind}:{session.pk}")
