"""Limits over a whole plan: they act on the equity of all its sessions, marked at what they could sell for.

The deciding session looks, on every turn. A breach makes all of them leave what they hold, by their own path.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction

from market.kernel import breakers
from market.web import audit
from trading import alerts, risk
from trading.breakers import UNKNOWN, limits_of, measures_of, worded
from trading.models import AlertKind, AlertLevel, LiveSession, PortfolioPlan, RiskProfile, RiskState
from trading.states import RESUME_FROM_HALT, change_risk_state
from trading.weighing.books import equity_of, have_begun, members_of

OF_MODEL = (breakers.PSI, breakers.KS, breakers.TURNOVER)
MARKS = ("day_equity", "week_equity", "caution_peak", "peak_equity", "day")


def look(plan: PortfolioPlan, members: Sequence[LiveSession], profile: RiskProfile, now_ms: int) -> None:
    """Mark the plan's equity, and change the risk state of all its sessions where a limit is reached."""
    if not have_begun(members):
        return
    equity = equity_of(members)
    _mark(plan, equity, now_ms)

    facts = breakers.Facts(
        equity, plan.day_equity, plan.week_equity, plan.peak_equity, plan.caution_peak,
        losses=0, error_share=UNKNOWN, **measures_of(plan.health),
    )  # fmt: skip
    limits = limits_of(profile)
    if halt := breakers.halting(facts, limits):
        _enter(
            plan, RiskState.REDUCING, [RiskState.ACTIVE, RiskState.SAFE], halt, worded(halt, facts, limits)
        )
    elif caution := breakers.cautious(facts, limits):
        until_ms = now_ms + int(profile.safe_cooldown_s * 1000)
        before: list[str] = [RiskState.ACTIVE, RiskState.SAFE]
        with transaction.atomic():  # the caution is used up with the state it leads to
            _enter(plan, RiskState.SAFE, before, caution, worded(caution, facts, limits), until_ms)
            if caution == breakers.SAFE_DRAWDOWN:
                plan.caution_peak = equity
                plan.save(update_fields=["caution_peak"])


def _mark(plan: PortfolioPlan, equity: Decimal, now_ms: int) -> None:
    """Bring the marks up to date: losses count from the first mark of day and week."""
    before = {name: getattr(plan, name) for name in MARKS}
    today = risk.day_of(now_ms)
    if plan.peak_equity == 0:
        plan.peak_equity = plan.caution_peak = equity
    if plan.day is None or today > plan.day:  # not where the clock falls back over midnight
        if plan.day is None or plan.day.isocalendar()[:2] != today.isocalendar()[:2]:
            plan.week_equity = equity
        plan.day, plan.day_equity = today, equity
    plan.caution_peak = max(plan.caution_peak, equity)
    after = {name: getattr(plan, name) for name in MARKS}
    if after != before:  # a person may have resumed the plan meanwhile, which resets them
        PortfolioPlan.objects.filter(pk=plan.pk, **before).update(**after)


@transaction.atomic
def _enter(
    plan: PortfolioPlan,
    state: str,
    before: list[str],
    code: int,
    why: str,
    safe_until_ms: int | None = None,
) -> None:
    of = "the plan's model" if code in OF_MODEL else "equity of the whole plan"
    note = f"{why} ({of})"
    members_of(plan, is_locked=True)  # the oldest first
    mine = LiveSession.objects.driven().filter(plan=plan, risk_state__in=before)
    entering = list(mine.exclude(risk_state=state).order_by("pk"))
    changes: dict[str, Any] = {} if safe_until_ms is None else {"safe_until_ms": safe_until_ms}
    if changes:
        mine.filter(risk_state=state).update(**changes)
    for row in entering:
        change_risk_state(row, state, note, **changes)
    if entering:
        first = entering[0]
        level = AlertLevel.WARNING if state == RiskState.SAFE else AlertLevel.CRITICAL
        text = f"{plan}: {note}. All its sessions are {state} now."
        alerts.raise_alert(plan.owner, level, f"risk:{first.pk}", text, first, kind=AlertKind.BREAKER)


@transaction.atomic
def resume(plan: PortfolioPlan, reason: str, by: Any) -> None:
    """Let all sessions of a plan trade as usual again; its limits count anew from today's equity."""
    members = members_of(plan, is_locked=True)
    equity = equity_of(members)
    for row in members:
        if row.is_driven and row.risk_state in (RiskState.HALTED, RiskState.SAFE):
            before, row.risk_state, row.note = row.risk_state, RiskState.ACTIVE, ""
            row.safe_until_ms, row.loss_streak, row.health = 0, 0, {}
            row.save(update_fields=["risk_state", "note", "safe_until_ms", "loss_streak", "health"])
            audit.record(
                by, RESUME_FROM_HALT, row, reason=reason, equity=str(equity), before=before,
                after=row.risk_state,
            )  # fmt: skip
            alerts.close_alert(row.owner, f"risk:{row.pk}")
    plan.peak_equity = plan.day_equity = plan.week_equity = plan.caution_peak = equity
    plan.health = {}
    plan.save(update_fields=["peak_equity", "day_equity", "week_equity", "caution_peak", "health"])
