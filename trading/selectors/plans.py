"""Portfolio plans with what their sessions hold, and what they have made of their money."""

from decimal import Decimal
from typing import Any

import numpy as np
from django.db.models import F, Max

from market.kernel import metrics
from market.kernel.portfolio import equity
from market.web.numbers import plain
from market.web.ownership import visible
from trading.models import Fill, PlanDecision, PortfolioPlan, RiskState, SessionStatus
from trading.selectors.figures import DRIVEN
from trading.selectors.home import BUCKET_MS, LEAST_BUCKETS

SHOWN = 20
CURVE = 600  # points of a chart
NEWEST = 10_000  # bars that figures of a curve look back on


def plans_of(user: Any) -> list[dict[str, Any]]:
    """Return the plans `user` may see, newest first, each with its parts."""
    rows = visible(PortfolioPlan, user).select_related("account", "risk", "model")
    return [plan_facts(plan) for plan in rows.prefetch_related("sessions")]


def plan_facts(plan: PortfolioPlan) -> dict[str, Any]:
    """Return a plan's equity and, per pair, the share it has and the one it should have; None: not known."""
    sessions = sorted(plan.sessions.all(), key=lambda row: row.pk)
    worth = {row.pk: equity(row.cash, row.held, row.price) for row in sessions}
    is_known = bool(sessions) and all(row.started_ms and row.price for row in sessions)
    total = sum(worth.values(), Decimal(0)) if is_known else None
    parts = [
        {
            "session": row,
            "wanted": plan.weights[row.pair],
            "share": float(row.held * row.price / total) if total else None,
            "pnl": worth[row.pk] - row.capital if is_known and row.capital is not None else None,
        }
        for row in sessions
    ]
    states = {row.status for row in sessions}
    given = sum((row.capital or Decimal(0) for row in sessions), Decimal(0))
    careful = (row for row in sessions if row.risk_state in (RiskState.HALTED, RiskState.SAFE))
    return {
        "plan": plan,
        "equity": total,
        "pnl": None if total is None else total - given,
        "fees": sum((row.fees for row in sessions), Decimal(0)),
        "parts": parts,
        "currency": next(iter(plan.weights)).rpartition("/")[2],
        "is_open": any(row.status in DRIVEN for row in sessions),
        "can_pause": bool(states & {SessionStatus.PENDING, SessionStatus.RUNNING}),
        "can_resume": bool(states & {SessionStatus.PAUSED, SessionStatus.FAILED}),
        "can_stop": bool(states & set(DRIVEN)),
        "halted": next(careful, None),
    }


def plan_detail(plan: PortfolioPlan) -> dict[str, Any]:
    """Return the context of a plan's page."""
    fills = Fill.objects.filter(session__plan=plan).select_related("order", "session").order_by("-id")
    facts = plan_facts(plan)
    capital = (facts["equity"] - facts["pnl"]) if facts["equity"] is not None else None
    return {
        **facts,
        **plan_figures(plan),
        "return_total": facts["pnl"] / capital if capital else None,
        "decisions": [decision_row(row) for row in plan.decisions.all()[:SHOWN]],
        "fills": fills[:SHOWN],
        "trades": fills.count(),
    }


def plan_figures(plan: PortfolioPlan) -> dict[str, Any]:
    """Return Sharpe, from six hours on as on Home, and drawdown over its newest bars; None: not known yet."""
    rows = list(plan.points.order_by("-at_ms").values_list("at_ms", "equity")[:NEWEST])[::-1]
    if len(rows) < 3:
        return {"sharpe": None, "max_drawdown": None}
    curve = np.array([float(worth) for _, worth in rows])
    found = metrics.summary(curve, np.array([at for at, _ in rows]) - plan.interval_ms, plan.interval_ms)
    is_long = rows[-1][0] - rows[0][0] >= BUCKET_MS * LEAST_BUCKETS
    return {"sharpe": found["sharpe"] if is_long else None, "max_drawdown": found["max_drawdown"]}


def decision_row(row: PlanDecision) -> dict[str, Any]:
    """Return a decision with its pairs side by side."""
    names = ("pair", "wanted", "held", "side")
    sides = {1: "BUY", -1: "SELL", 0: "HOLD"}
    listed = zip(row.pairs, row.weights, row.held, (sides[side] for side in row.sides), strict=False)
    return {"row": row, "parts": [dict(zip(names, part, strict=True)) for part in listed]}


def plan_chart(plan: PortfolioPlan) -> dict[str, Any]:
    """Return equity and drawdown at the bars, thinned, and the weights wanted at each decision."""
    ends = plan.points.aggregate(last=Max("at_ms"))
    first = plan.points.values_list("at_ms", flat=True).first()
    points = equity_of_plan(plan, points=CURVE) if first is not None and ends["last"] else []
    made = list(plan.decisions.filter(is_made=True).order_by("-bar_ms")[:CURVE])[::-1]
    pairs = made[-1].pairs if made else []
    return {
        "t": [row["at_ms"] for row in points],
        "equity": [float(row["equity"]) for row in points],
        "drawdown": [row["drawdown"] for row in points],
        "capital": float(plan.capital),
        "currency": next(iter(plan.weights)).rpartition("/")[2],
        "decided": [row.bar_ms + plan.interval_ms for row in made],
        "weights": {pair: [row.weights[place] for row in made] for place, pair in enumerate(pairs)},
    }


def equity_of_plan(plan: PortfolioPlan, *, points: int = 1000) -> list[dict[str, Any]]:
    """Return the equity curve, oldest first, thinned to about `points`, amounts as exact strings."""
    ends = plan.points.aggregate(last=Max("at_ms"))
    first = plan.points.values_list("at_ms", flat=True).first()
    if first is None:
        return []
    width = max(1, (ends["last"] - first) // max(2, points))
    kept = (
        plan.points.order_by().annotate(bucket=F("at_ms") / width).values("bucket").annotate(t=Max("at_ms"))
    )
    rows = plan.points.filter(at_ms__in=kept.values("t"))
    return [
        {"at_ms": row.at_ms, "equity": plain(row.equity), "cash": plain(row.cash), "drawdown": row.drawdown}
        for row in rows
    ]
