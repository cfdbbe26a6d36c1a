"""Pause, resume, stop, flatten. A service writes what is wanted; the runner makes it so on its next turn."""

from typing import Any

from django.db import transaction
from django.db.models import Q

from market.errors import BadInput, Conflict
from market.kernel import portfolio
from market.models import AuditEvent
from trading import alerts
from trading.books import coins
from trading.caps import held_by
from trading.locks import lock_account
from trading.models import Account, LiveSession, RiskState, SessionStatus
from trading.models.session import DRIVEN
from trading.purse import lacks
from trading.reconciliation import DUST
from trading.risk import last_exit_price
from trading.services.start import check_not_driven
from trading.states import RESUME_FROM_HALT
from trading.weighing import watch
from trading.weighing.books import members_of

S = SessionStatus


def pause_session(*, session: LiveSession, by: Any = None) -> LiveSession:
    """Let the session guard its stops and decide nothing.

    :raises Conflict: when it is not trading.
    """
    return _together(session, [S.PENDING, S.RUNNING], "session.pause", by, status=S.PAUSED)


def resume_session(*, session: LiveSession, by: Any = None) -> LiveSession:
    """Let a paused session decide again, or a failed one once a person has mended what it failed of.

    :raises Conflict: when it is neither, or another session trades its pair by now.
    """
    again = S.RUNNING if session.started_ms else S.PENDING
    # It may have failed while it was to sell and stop: who resumes it wants it to trade.
    return _revived(session, "session.resume", by, status=again, flatten_wanted=False) or _together(
        session, [S.PAUSED], "session.resume", by, status=S.RUNNING, note=""
    )


def stop_session(*, session: LiveSession, flatten: bool = False, by: Any = None) -> LiveSession:
    """End the session once its orders are settled and, with `flatten`, once its position is sold.

    A failed session is ended already; with `flatten` it is driven once more, to sell what it has left behind.

    :raises Conflict: when it has ended already.
    """
    wanted: dict[str, Any] = {"status": S.STOPPING}
    if flatten:
        wanted["flatten_wanted"] = True
    detail = {"flatten": flatten}
    if flatten and session.held != 0:
        revived = _revived(session, "session.stop", by, detail, **wanted)
        if revived is not None:
            return revived
    driven = [S.PENDING, S.RUNNING, S.PAUSED, S.STOPPING]
    return _together(session, driven, "session.stop", by, detail, **wanted)


def flatten_session(*, session: LiveSession, by: Any = None) -> LiveSession:
    """Sell what the session holds, then stop it.

    :raises Conflict: when it has ended already.
    """
    return stop_session(session=session, flatten=True, by=by)


def stop_all(*, sessions: Any, flatten: bool = False, by: Any = None) -> tuple[int, list[str]]:
    """Stop every session; return how many were asked to, and why others were not.

    With `flatten` one that has failed and left a position behind is driven once more, to sell it.

    :param sessions: queryset of those that `by` may stop
    """
    count, kept = 0, []
    left = Q(status=S.FAILED) & ~Q(held=0) if flatten else Q(pk=None)
    for session in sessions.filter(Q(status__in=DRIVEN) | left):
        session.refresh_from_db()
        is_done = session.status == S.STOPPING and flatten <= session.flatten_wanted and session.is_weighed
        try:
            if not is_done:  # else it was stopped together with another session of its plan
                stop_session(session=session, flatten=flatten, by=by)
        except Conflict as error:
            if session.status in (*DRIVEN, S.FAILED):  # else it ended by itself meanwhile
                kept.append(f"{session}: {error.message}")
            continue
        count += 1
    return count, kept


@transaction.atomic
def resume_from_halt(*, session: LiveSession, reason: str, by: Any = None) -> LiveSession:
    """Let a halted or careful session trade as usual again: its limits count anew from today's equity.

    :raises BadInput: without a reason.
    :raises Conflict: when it is neither halted nor in safe mode.
    """
    if not reason.strip():
        raise BadInput("say why it may trade again: the reason is kept", field="reason")
    if session.plan is not None and session.is_weighed:
        members_of(session.plan, is_locked=True)  # all of them, the oldest first
    session = LiveSession.objects.select_for_update(no_key=True).get(pk=session.pk)
    if session.risk_state not in (RiskState.HALTED, RiskState.SAFE):
        raise Conflict(f"{session} is not halted, it is {session.risk_state}")
    if session.plan is not None and session.is_weighed:
        watch.resume(session.plan, reason.strip(), by)
        session.refresh_from_db()
        return session
    equity = portfolio.equity(session.cash, session.held, last_exit_price(session))
    before = session.risk_state
    earlier = session.forgiven if session.forgiven_on == session.day else 0
    session.forgiven, session.forgiven_on = earlier + equity - session.day_equity, session.day
    session.top_equity = max(session.top_equity, session.peak_equity)
    session.risk_state, session.note = RiskState.ACTIVE, ""
    session.peak_equity = session.day_equity = session.week_equity = session.caution_peak = equity
    session.safe_until_ms, session.loss_streak, session.health = 0, 0, {}
    session.save(
        update_fields=["risk_state", "note", "peak_equity", "day_equity", "week_equity", "caution_peak",
                       "safe_until_ms", "loss_streak", "health", "top_equity", "forgiven", "forgiven_on"]
    )  # fmt: skip
    _audit(
        session, RESUME_FROM_HALT, by, reason=reason.strip(), equity=str(equity),
        before=before, after=session.risk_state,
    )  # fmt: skip
    alerts.close_alert(session.owner, f"risk:{session.pk}")
    return session


@transaction.atomic
def _revived(session: LiveSession, *given: Any, **changes: Any) -> LiveSession | None:
    """Have a failed session driven again; None when it has not failed.

    :raises Conflict: when its account is switched off, another session trades its pair, or what it counts on
        is not there, by now.
    """
    if session.status != S.FAILED:
        return None
    lock_account(session.account_id)
    account = Account.objects.get(pk=session.account_id)
    session.refresh_from_db()
    if not account.is_active:
        raise Conflict(f"the account {account} is switched off: switch it on first", field="account")
    check_not_driven(account, session.pair)
    _require_its_own(session, needs_cash=changes["status"] == S.RUNNING)
    revived = _change(session, [S.FAILED], *given, note="", stopped_ms=0, **changes)
    alerts.close_alert(session.owner, f"failed:{session.pk}")
    return revived


def _require_its_own(session: LiveSession, *, needs_cash: bool) -> None:
    """:raises Conflict: when a session's position is not in the account, or its cash is others' by now"""
    fellows = LiveSession.objects.driven().filter(account=session.account_id)
    there = abs(held_by([*fellows, session])[session.pk])
    coin, currency = coins(session.pair)
    if abs(session.held) - there > DUST:
        raise Conflict(
            f"{session} counts on {abs(session.held).normalize():f} {coin}, of which the account has "
            f"{there.normalize():f} left: its position was closed outside of it; start a new session",
            field="account",
        )
    if needs_cash and session.started_ms and (lacking := lacks(session)):
        raise Conflict(
            f"{lacking:.2f} {currency} of the cash of {session} belong to other sessions by now: stop one of "
            "them, or flatten this one",
            field="account",
        )


@transaction.atomic
def _together(session: LiveSession, allowed: list[SessionStatus], *given: Any, **changes: Any) -> LiveSession:
    """Change a session; of a plan whose model decides for all of them, all that can be changed so.

    :raises Conflict: when the session itself is in none of the states `allowed`.
    """
    if session.plan is not None and session.is_weighed:
        members_of(session.plan, is_locked=True)  # all of them, the oldest first
    changed = _change(session, allowed, *given, **changes)
    if session.is_weighed:
        fellows = LiveSession.objects.filter(plan=session.plan_id, status__in=allowed).order_by("pk")
        for fellow in fellows.exclude(pk=session.pk):
            _change(fellow, allowed, *given, **changes)
    return changed


def _change(
    session: LiveSession,
    allowed: list[SessionStatus],
    action: str,
    by: Any,
    detail: dict[str, Any] | None = None,
    **changes: Any,
) -> LiveSession:
    mine = LiveSession.objects.filter(pk=session.pk, status__in=allowed)
    changed = mine.update(**changes)
    session.refresh_from_db()
    if not changed:
        raise Conflict(
            f"{session} is {session.status}: it cannot be {_done(action)} now{_hint(session, action)}"
        )
    _audit(session, action, by, **(detail or {}))
    return session


def _hint(session: LiveSession, action: str) -> str:
    """Return what else there is to do: a halt ends with a reason, and who has stopped sells nothing more."""
    if action == "session.stop" and session.status == S.STOPPED and session.held:
        left = f"{abs(session.held).normalize():f} {coins(session.pair)[0]}"
        return f"; the {left} that it ended with are in the account: close them by hand at the venue"
    if action != "session.resume" or session.risk_state not in (RiskState.HALTED, RiskState.SAFE):
        return ""
    name = {RiskState.HALTED: "halted", RiskState.SAFE: "in safe mode"}[RiskState(session.risk_state)]
    return f"; it is {name}, which an administrator ends with a reason (unhalt, on the Risk page Resume)"


def _done(action: str) -> str:
    verb = action.partition(".")[2]
    return {"stop": "stopped", "pause": "paused", "resume": "resumed"}[verb]


def _audit(session: LiveSession, action: str, by: Any, **detail: Any) -> None:
    AuditEvent.objects.create(
        actor=by,
        owner=session.owner,
        action=action,
        object_type="livesession",
        object_id=str(session.pk),
        detail=detail,
    )
