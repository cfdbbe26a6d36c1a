"""The Risk page: states of all sessions, breakers and how much of them is used, caps, orders that wait."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.db.models import F

from market.web.ownership import visible
from trading import caps, settle
from trading.models import Decision, ExposureCap, LiveSession, Order, OrderStatus
from trading.models.order import HELD_BACK
from trading.risk import REACHED
from trading.selectors.figures import DRIVEN
from trading.selectors.session import breaker_rows, session_figures, sessions_of

SHOWN, FOLDED = 20, 500  # rows of a list, and how many it is made of
LOOKED_AT = 5_000  # newest decisions: most have nothing to say, and a table of months is not searched for it
FIGURES = re.compile(r"[\d.,]+")


def risk_overview(user: Any) -> dict[str, Any]:
    """Return the context of the Risk page."""
    sessions = list(sessions_of(user).filter(status__in=DRIVEN)[:200])
    return {
        "rows": [(figures := session_figures(row), breaker_rows(figures)) for row in sessions],
        "caps": [cap_facts(cap) for cap in visible(ExposureCap, user).select_related("account", "owner")],
        "waiting": waiting_orders(user),
        "stuck": stuck_orders(user),
        "refused": refusals(user),
    }


def waiting_orders(user: Any) -> Any:
    """Return the orders that wait for a person, or for the runner after a person's yes, newest first."""
    mine = Order.objects.filter(session__in=visible(LiveSession, user), status__in=HELD_BACK)
    return mine.select_related("session", "account")


def stuck_orders(user: Any) -> Any:
    """Return the orders that only a person can end, newest first; see `settle.stuck`."""
    mine = Order.objects.filter(session__in=visible(LiveSession, user))
    return settle.stuck(mine).select_related("session__owner", "account")


def refusals(user: Any) -> dict[str, Any]:
    """Return what limits have cut or refused lately, newest first; what repeats is one row, see `folded`."""
    mine = visible(LiveSession, user)
    newest = Decision.objects.filter(session__in=mine).order_by("-id").values("pk")[:LOOKED_AT]
    decisions = Decision.objects.filter(pk__in=newest).exclude(risk_reason__in=["", REACHED])
    orders = Order.objects.filter(session__in=mine, status=OrderStatus.REFUSED).order_by("-id")
    named = {"name": F("session__name")}
    return {
        "decisions": folded(
            decisions.order_by("-id").values(
                "pk", "session_id", **named, side=F("action"), at_ms=F("decided_ms"), why=F("risk_reason")
            )[:FOLDED]
        ),
        "orders": folded(
            orders.values(
                "pk", "session_id", "side", "quantity", "pair", **named, at_ms=F("planned_ms"),
                why=F("answer"),
            )[:FOLDED]
        ),
    }  # fmt: skip


def folded(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the newest row of each session's equal ones, with `count` and the oldest one's time, `since_ms`.

    Reasons are equal if nothing but their figures differs.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = (row["session_id"], row["side"], FIGURES.sub("", row["why"]))
        one = found.setdefault(key, {**row, "count": 0})
        one["count"], one["since_ms"] = one["count"] + 1, row["at_ms"]
    return list(found.values())[:SHOWN]


def cap_facts(cap: ExposureCap) -> dict[str, Any]:
    """Return a cap with what is used of it; `worst_pair` is the one that holds most."""
    use = caps.use_of(cap)
    pair, most = max(use.per_pair.items(), key=lambda item: item[1], default=("", Decimal(0)))
    return {
        "cap": cap,
        "total": use.total,
        "count": use.count,
        "worst_pair": pair,
        "worst": most,
        "total_used": min(1.0, float(use.total / cap.max_total)) if cap.max_total else None,
        "pair_used": min(1.0, float(most / cap.max_per_pair)) if cap.max_per_pair else None,
        "open_used": min(1.0, use.count / cap.max_open) if cap.max_open else None,
    }
