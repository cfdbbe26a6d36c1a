"""Portfolio plans with what their sessions hold."""

from decimal import Decimal
from typing import Any

from market.kernel.portfolio import equity
from market.web.ownership import visible
from trading.models import PortfolioPlan
from trading.selectors.figures import DRIVEN


def plans_of(user: Any) -> list[dict[str, Any]]:
    """Return the plans `user` may see, newest first, each with its parts."""
    rows = visible(PortfolioPlan, user).select_related("account", "risk").prefetch_related("sessions")
    return [plan_facts(plan) for plan in rows]


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
        }
        for row in sessions
    ]
    return {
        "plan": plan,
        "equity": total,
        "parts": parts,
        "currency": next(iter(plan.weights)).rpartition("/")[2],
        "is_open": any(row.status in DRIVEN for row in sessions),
    }
