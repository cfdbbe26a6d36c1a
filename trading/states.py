"""What a session is, as people see it: its status, what is unknown, its equity. Each write is conditional."""

import logging
from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from market.kernel import portfolio
from market.prepared import Insert, Update, Upsert
from market.web import audit
from trading import alerts, waiting
from trading.models import Alert, AlertKind, Decision, EquityPoint, LiveSession, SessionStatus
from trading.models.session import DRIVEN as DRIVEN
from trading.seat import Seat
from trading.session_row import MARKS
from trading.session_row import WITH_RELATED as WITH_RELATED
from trading.session_row import reload as reload

logger = logging.getLogger(__name__)

PRICES = {"price", "bid", "ask", "price_ms"}  # for people; caps value other sessions by them, a second old
DARK = "prices:"  # begins the key of the alert that an account sees none
SHOWN = timedelta(seconds=1)
RISK_CHANGE = "session.risk"  # in the audit trail: a limit moved the risk state
RESUME_FROM_HALT = "session.resume_from_halt"  # a person did
_store_marks = Update(LiveSession, [*MARKS, "turn_at"], where=["id", "risk_state"])
_store_planned_marks = Update(LiveSession, [*MARKS, "turn_at"], where=["id", "risk_state", "capital"])
store_decision = Insert(Decision)
store_point = Upsert(
    EquityPoint,
    ["session", "at_ms", "equity", "cash", "held", "price", "capital", "drawdown"],
    unique=["session", "at_ms"],
)


def adopt(session: LiveSession, row: LiveSession) -> None:
    """Take over a row that was just read with `WITH_RELATED`: what `reload` does, without asking.

    :param row: the session itself where the database still says what it says
    """
    if row is session:
        return
    for field in session._meta.concrete_fields:
        setattr(session, field.attname, getattr(row, field.attname))
    session._state.fields_cache = {**row._state.fields_cache}
    session.stored_marks, session.seen = _marks(session), row.seen


def change_status(
    session: LiveSession, before: str, after: str, *, only: Collection[str] = (), **changes: object
) -> bool:
    """Change a session's status unless a person changed it meanwhile.

    :param only: names of what a person must not have changed either
    """
    changes["status"] = after
    mine = {name: getattr(session, name) for name in only}
    if not LiveSession.objects.filter(pk=session.pk, status=before, **mine).update(**changes):
        return False
    for name, value in changes.items():
        setattr(session, name, value)
    return True


@transaction.atomic
def change_risk_state(
    session: LiveSession, state: str, note: str, *, reason: str = "", **changes: object
) -> bool:
    """Change the risk state unless a person changed it meanwhile; what changed and why stays on record.

    :param note: what the session shows while the state lasts
    :param reason: what led to it, for the record; empty: the note
    """
    changes |= {"risk_state": state, "note": note}
    mine = LiveSession.objects.filter(pk=session.pk, risk_state=session.risk_state)
    if not mine.update(**changes):
        return False
    audit.record(None, RISK_CHANGE, session, before=session.risk_state, after=state, reason=reason or note)
    for name, value in changes.items():
        setattr(session, name, value)
    return True


def save_marks(session: LiveSession, *, passing: Collection[str] = ()) -> None:
    """Store prices, guards and peaks, unless a person has just resumed the session and reset them,
    or its plan has just levelled its money. What is stored already is not stored again.

    :param passing: marks that alone are not worth a write more than once a second, or once a bar
    """
    marks, stored = _marks(session), session.stored_marks
    if stored is not None:
        changed = {name for name, value in marks.items() if stored[name] != value}
        if changed.issubset(passing) and _is_shown(session, stored["price_ms"]):
            return
    session.turn_at = timezone.now()
    values, mine = {**marks, "turn_at": session.turn_at}, {"id": session.pk, "risk_state": session.risk_state}
    if session.plan_id is not None:  # the marks of before money was levelled would trip the wrong breakers
        is_stored = _store_planned_marks(values, **mine, capital=session.capital)
    else:
        is_stored = _store_marks(values, **mine)
    session.stored_marks = marks if is_stored else None


def _is_shown(session: LiveSession, stored_ms: int) -> bool:
    """Say whether the stored prices are young enough to be shown: a second, and within a bar."""
    if session.turn_at is None or session.price_ms - stored_ms >= session.interval_ms:
        return False
    return timezone.now() - session.turn_at < SHOWN


def _marks(session: LiveSession) -> dict[str, Any]:
    marks = {name: getattr(session, name) for name in MARKS}
    return {**marks, "levels": {**marks["levels"]}}


def point(session: LiveSession, at_ms: int, price: Decimal) -> None:
    """Store marked equity at an instant of the venue's clock."""
    store_point(marked(session, at_ms, price))


def marked(session: LiveSession, at_ms: int, price: Decimal) -> dict[str, Any]:
    """Return the values of an equity point."""
    equity = portfolio.equity(session.cash, session.held, price)
    peak = max(session.peak_equity, equity)
    drawdown = float(1 - equity / peak) if peak > 0 else 0.0
    return {
        "session": session.pk, "at_ms": at_ms, "equity": equity, "cash": session.cash, "held": session.held,
        "price": price, "capital": session.capital, "drawdown": drawdown,
    }  # fmt: skip


@transaction.atomic
def fail(session: LiveSession, sentence: str, now_ms: int) -> None:
    """Stop driving a session that cannot go on without a person, and tell one."""
    LiveSession.objects.filter(pk=session.pk, status__in=DRIVEN).update(
        status=SessionStatus.FAILED, note=sentence, stopped_ms=now_ms
    )
    waiting.drop(session, "the session has failed", now_ms)
    reload(session)
    logger.warning("session %s failed: %s", session.pk, sentence)
    text = f"{session} failed: {sentence}"
    if session.held and not session.is_rest:  # who reads this on the way must know that it is not over
        what = f"{abs(session.held).normalize():f} {session.pair.partition('/')[0]}"
        short = "is short of" if session.held < 0 else "holds"
        text = f"{text.rstrip('.')}. It still {short} {what}, which no stop guards: resume it or flatten it."
    kind = AlertKind.SESSION_FAILED
    alerts.raise_alert(session.owner, kind.level, f"failed:{session.pk}", text, session, kind=kind)
    leave_dark(session)


def unknown(seat: Seat, why: str, *, of_venue: bool = False) -> None:
    """Decide nothing: a read failed, so the books stand as they are, and a person is told once.

    :param of_venue: the same is unknown to all sessions of the account, which are one alert
    """
    session = seat.session
    if of_venue:
        tell_dark(session, why)
    elif seat.unknown != why:
        tell_unknown(session, why)
    seat.unknown = why
    beat(session)


def tell_dark(session: LiveSession, why: str) -> None:
    """Tell a person that an account sees no prices of its venue, and why: once, whichever session says so."""
    key = dark_key(session.account_id)
    text = f"{session.account}: {why}. Nothing is decided for its sessions until that is known; books stand."
    if Alert.objects.filter(owner=session.owner_id, key=key, closed_at=None, text=text).exists():
        return
    logger.info("account %s: unknown: %s", session.account_id, why)
    kind, url = AlertKind.DATA_STALE, f"/accounts/{session.account_id}/"
    alerts.raise_alert(session.owner, kind.level, key, text, kind=kind, url=url)


def dark_key(account_id: int) -> str:
    """Return the key of the alert that an account sees no prices."""
    return f"{DARK}{account_id}"


def leave_dark(session: LiveSession) -> None:
    """Let what was told of an account's prices be over once none of its sessions waits for them."""
    waiting_too = LiveSession.objects.driven().filter(account=session.account_id, owner=session.owner_id)
    if not waiting_too.exists():
        alerts.close_alert(session.owner, dark_key(session.account_id))


def tell_unknown(session: LiveSession, why: str) -> None:
    """Tell a person that nothing can be decided at present, and why."""
    logger.info("session %s: unknown: %s", session.pk, why)
    text = f"{session}: {why}. Nothing is decided until that is known; its books stand."
    kind = AlertKind.DATA_STALE
    alerts.raise_alert(session.owner, kind.level, f"unknown:{session.pk}", text, session, kind=kind)


def beat(session: LiveSession) -> None:
    """Write down that somebody drives the session, although there is nothing else to write."""
    LiveSession.objects.filter(pk=session.pk).update(turn_at=timezone.now())


def known(seat: Seat) -> None:
    """Take back what `unknown` told, here or in a driver that has died since."""
    if seat.unknown != "":
        close_alerts(seat.session, "unknown", "turns")
        alerts.close_alert(seat.session.owner, dark_key(seat.session.account_id))
        seat.unknown = ""


def tell_left_out(seat: Seat, failures: dict[str, str]) -> None:
    """Tell a person, when it changes, who cannot vote: members of a council, or the model itself."""
    if failures == seat.left_out:
        return
    _tell_left_out(seat.session, failures)
    seat.left_out = failures  # only now: what could not be told is told on the next turn


def _tell_left_out(session: LiveSession, failures: dict[str, str]) -> None:
    if not failures:
        return close_alerts(session, "council")
    why = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
    if session.council is None:
        text = f"{session} holds and only guards its stops: {next(iter(failures.values()))}"
    else:
        text = f"{session}: {session.council} decides without {len(failures)} of its members ({why})"
    kind = AlertKind.COUNCIL
    alerts.raise_alert(session.owner, kind.level, f"council:{session.pk}", text, session, kind=kind)


def close_alerts(session: LiveSession, *kinds: str) -> None:
    """Close the open alerts of these kinds about a session."""
    for kind in kinds:
        alerts.close_alert(session.owner, f"{kind}:{session.pk}")
