"""What contests ask for: no idle day, no over-trading, a score.

A contest counts days with a trade and screens by 0.4 Sortino + 0.3 Sharpe + 0.3 Calmar. Days are UTC.
"""

from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F, Max, Min

from market.kernel import metrics, portfolio
from trading import alerts, caps, entry, plans, risk, turnover, waiting, working
from trading.acting import carry_out, intend, too_soon
from trading.exchanges.port import Quote
from trading.models import (
    AlertLevel,
    Decision,
    EquityPoint,
    LiveSession,
    OrderStatus,
    RiskState,
    SessionStatus,
)
from trading.seat import Seat

REASON = "activity floor"
LEAN = 0.001  # of exposure: a policy that leans less wants nothing


def within_budget(seat: Seat, sized: risk.Sized, now_ms: int) -> risk.Sized:
    """Cut an order to what leaves the position once the day's turnover budget is spent."""
    why = turnover.spent(seat.session, now_ms) if sized.quantity else ""
    return risk.exits_only(sized, seat.session, seat.instrument, why) if why else sized


def keep_active(seat: Seat, quote: Quote, now_ms: int) -> None:
    """Make one small trade the way the policy leans when the UTC day is about to pass without one."""
    session = seat.session
    if not _is_wanted(seat, now_ms):
        return
    share, sized = lean(session, seat.decider.policy.action_spec.asked), None
    if share is not None:
        sized = _small(seat, share, quote, now_ms)
    if sized is None or sized.quantity == 0:
        _tell_idle(session, sized.reason if sized else "the policy leans to neither side")
        return
    is_asked = waiting.is_needed(session, sized.quantity, sized.price)
    if is_asked and (no := waiting.rejected_lately(session, sized.quantity)):
        _tell_idle(session, no)
        return
    reason = f"{REASON}: the policy leans to {'more' if sized.quantity > 0 else 'less'} exposure"
    with transaction.atomic():
        quantity, why = caps.fitted(session, sized.quantity, sized.price, seat.instrument)
        order = intend(seat, quantity, sized.price, reason, now_ms)
    if order is None:
        _tell_idle(session, why or "an order that small cannot be told from another of this hour")
    carry_out(seat, order, quote)


def _is_wanted(seat: Seat, now_ms: int) -> bool:
    session = seat.session
    floor_s = working.execution_of(session).activity_s
    if not floor_s or session.status != SessionStatus.RUNNING or session.risk_state != RiskState.ACTIVE:
        return False
    today_ms = turnover.day_start(now_ms)
    if too_soon(now_ms, seat.refused_ms) or now_ms < today_ms + risk.DAY_MS - floor_s * 1000:
        return False
    if session.orders.unsettled().exists() or working.working(session) is not None:
        return False
    if seat.may_wait and waiting.held_back(session):
        return False  # a person has been asked, or told, already
    return not session.orders.filter(status=OrderStatus.FILLED, settled_ms__gte=today_ms).exists()


def lean(session: LiveSession, asked: Any) -> float | None:
    """Return by how much exposure the policy wants more (or less) than is held; None when it does not say.

    That is the mean of the exposures its last decision's actions ask for, weighted by their probabilities,
    where keeping counts as what was held; of a policy without probabilities, the target it named.

    :param asked: from an action's index to the exposure it asks for; None keeps
    """
    last: Decision | None = session.decisions.order_by("-bar_ms").first()
    if last is None or not last.portfolio:
        return None
    held = float(last.portfolio[0])
    if last.probabilities:
        exposures = [asked(index) for index in range(len(last.probabilities))]
        wanted = sum(
            chance * (held if exposure is None else exposure)
            for chance, exposure in zip(last.probabilities, exposures, strict=True)
        )
    elif last.target is not None:
        wanted = last.target
    else:
        return None
    return wanted - held if abs(wanted - held) > LEAN else None


def _small(seat: Seat, leaning: float, quote: Quote, now_ms: int) -> risk.Sized:
    """Size the trade through every rule an ordinary one passes."""
    session = seat.session
    share = working.execution_of(session).activity_share
    held = float(portfolio.exposure_of(session.cash, session.held, quote.mid))
    target = held + (share if leaning > 0 else -share)
    if float(session.held) * target < 0:
        target = 0.0  # a small trade closes a small position, it does not turn it
    target = min(max(target, -1.0 if seat.may_short else 0.0), 1.0)
    trades = working.trades_today(session, quote.at_ms)
    seen = entry.of_seat(seat, quote, now_ms=now_ms, trades_today=trades)
    return risk.size(session, target, quote, seat.instrument, trades_today=trades, entry=seen, is_sized=True)


def _tell_idle(session: LiveSession, why: str) -> None:
    key = f"idle:{session.pk}:{session.day}"
    if not session.alerts.filter(key=key).exists():
        text = f"{session}: this UTC day passes without a trade of it: {why}."
        alerts.raise_alert(session.owner, AlertLevel.WARNING, key, text, session)


def score(session: LiveSession, until_ms: int | None = None) -> dict[str, float | None]:
    """Return the contest figures of a session's daily UTC closes so far; None where there are too few days.

    Money that its plan has moved is no profit of it.

    :return: contest_score, contest_sortino, contest_sharpe, contest_calmar; see `metrics.contest`
    """
    points = EquityPoint.objects.filter(session=session)
    if until_ms is not None:
        points = points.filter(at_ms__lte=until_ms)
    # 00:00 belongs to the day it ends, as in `metrics.daily_equity`.
    days = points.annotate(utc_day=(F("at_ms") - 1) / risk.DAY_MS).values("utc_day")
    ends = list(days.annotate(start=Min("at_ms"), end=Max("at_ms")).values_list("start", "end"))
    instants = {end for _, end in ends} | ({min(start for start, _ in ends)} if ends else set())
    found = points.filter(at_ms__in=instants).order_by("at_ms").values_list("at_ms", "equity", "capital")
    rows = plans.with_capital(session, list(found))
    times = np.array([row[0] for row in rows], dtype=np.int64)
    equity, capital = (np.array([float(row[place]) for row in rows]) for place in (1, 2))
    return metrics.contest(metrics.without_transfers(equity, capital), times)
