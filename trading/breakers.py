"""The kernel's breakers on a session's row: facts and limits out of it, the next risk state into it."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from market.kernel import breakers
from market.kernel.risk import DAILY_LOSS, DRAWDOWN
from trading.models import LiveSession, RiskProfile, RiskState
from trading.numbers import exact, percent

UNKNOWN = -1.0
STATE_OF = {name: code for code, name in enumerate(breakers.STATES)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one look at the breakers came to; `reason` is empty where none has tripped."""

    state: str
    reason: str
    spent: dict[str, Any] = field(default_factory=dict)  # of the session: what a tripped caution has used up


def state_of(session: LiveSession) -> int:
    """Return the kernel's code of a session's risk state."""
    return STATE_OF[session.risk_state]


def limits_of(profile: RiskProfile) -> breakers.Limits:
    """Return the profile's limits as the kernel reads them."""
    return breakers.Limits(
        daily_loss=exact(profile.daily_loss),
        weekly_loss=exact(profile.weekly_loss),
        max_drawdown=exact(profile.max_drawdown),
        safe_drawdown=exact(profile.safe_drawdown),
        max_loss_streak=profile.max_loss_streak,
        max_error_share=profile.max_error_share,
        min_entropy=profile.min_entropy,
        max_psi=profile.max_psi,
        max_ks=profile.max_ks,
        max_turnover=profile.max_turnover,
    )


def facts_of(session: LiveSession, equity: Decimal, error_share: float = UNKNOWN) -> breakers.Facts:
    """Return what the breakers look at; what was never measured is not known and trips nothing."""
    return breakers.Facts(
        equity=equity,
        day_equity=session.day_equity,
        week_equity=session.week_equity,
        peak_equity=session.peak_equity,
        caution_peak=session.caution_peak,
        losses=session.loss_streak,
        error_share=error_share,
        **measures_of(session.health),
    )


def measures_of(health: dict[str, float | None]) -> dict[str, float]:
    """Return a model's health as the breakers look at it."""
    found = {name: health.get(name) for name in ("entropy", "psi", "ks", "turnover")}
    return {name: UNKNOWN if value is None else value for name, value in found.items()}


def look(
    session: LiveSession, equity: Decimal, *, is_flat: bool, now_ms: int, error_share: float = UNKNOWN
) -> Verdict:
    """Return the state after marking equity. A tripped caution is used up and begins its cool-down anew.

    `spent` is changed in the session, and is to be stored with the state.
    """
    session.caution_peak = max(session.caution_peak, equity)
    facts, limits = facts_of(session, equity, error_share), limits_of(session.risk)
    if session.is_weighed:  # limits on equity act on that of the whole plan: trading.weighing.watch
        zero = Decimal(0)
        limits = limits._replace(daily_loss=zero, weekly_loss=zero, max_drawdown=zero, safe_drawdown=zero)
    halt, caution = breakers.halting(facts, limits), breakers.cautious(facts, limits)
    state = state_of(session)
    after = breakers.next_state(state, halt, caution, is_flat, now_ms >= session.safe_until_ms)
    spent: dict[str, Any] = {}
    if caution and after == breakers.SAFE:
        spent["safe_until_ms"] = now_ms + int(session.risk.safe_cooldown_s * 1000)
        if caution == breakers.SAFE_DRAWDOWN:
            spent["caution_peak"] = equity
        if caution == breakers.LOSS_STREAK:
            spent["loss_streak"] = 0
    for name, value in spent.items():
        setattr(session, name, value)
    code = caution if after == breakers.SAFE else halt
    return Verdict(str(RiskState(breakers.STATES[after])), worded(code, facts, limits), spent)


def worded(code: int, facts: breakers.Facts, limits: breakers.Limits) -> str:
    """Return why a breaker has tripped with what was measured and its limit; empty where none has."""
    figures = {
        DAILY_LOSS: lambda: _lost(facts.equity, facts.day_equity, limits.daily_loss),
        breakers.WEEKLY_LOSS: lambda: _lost(facts.equity, facts.week_equity, limits.weekly_loss),
        DRAWDOWN: lambda: _lost(facts.equity, facts.peak_equity, limits.max_drawdown),
        breakers.SAFE_DRAWDOWN: lambda: _lost(facts.equity, facts.caution_peak, limits.safe_drawdown),
        breakers.LOSS_STREAK: lambda: f"{facts.losses} of {limits.max_loss_streak}",
        breakers.VENUE_ERRORS: lambda: (
            f"{percent(facts.error_share)}, the limit is {percent(limits.max_error_share)}"
        ),
        breakers.LOW_ENTROPY: lambda: f"{facts.entropy:.3g}, at least {limits.min_entropy:g} is needed",
        breakers.PSI: lambda: f"{facts.psi:.3g}, the limit is {limits.max_psi:g}",
        breakers.KS: lambda: f"{facts.ks:.3g}, the limit is {limits.max_ks:g}",
        breakers.TURNOVER: lambda: f"{facts.turnover:.3g} times, the limit is {limits.max_turnover:g}",
    }
    if code not in figures:
        return breakers.REASONS[code]
    return f"{breakers.REASONS[code]}: {figures[code]()}"


def _lost(equity: Decimal, start: Decimal, limit: Decimal) -> str:
    fallen = percent(1 - equity / start) if start > 0 else "all"
    return f"{fallen} lost, the limit is {percent(limit)}"
