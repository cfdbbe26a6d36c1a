"""A session's record as plain values. Amounts are decimal texts: a float would change them."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from trading.models import LiveSession
from trading.selectors.history import parents_of, risk_changes


def plain(amount: Decimal | None) -> str | None:
    """Return a decimal without exponent and without trailing zeros."""
    if amount is None:
        return None
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def export(session: LiveSession) -> dict[str, Any]:
    """Return everything a session did; instants are epoch milliseconds of the venue's clock."""
    fills = list(session.fills.select_related("order").order_by("id"))
    return {
        "id": session.pk,
        "name": session.name,
        "status": session.status,
        "policy": session.policy_name,
        "pair": session.pair,
        "interval_ms": session.interval_ms,
        "account": session.account.name,
        "capital": plain(session.capital),
        "cash": plain(session.cash),
        "held": plain(session.held),
        "shorted": plain(session.shorted),
        "fees": plain(session.fees),
        "orders": _orders(session, fills),
        "fills": [
            {
                "client_ref": fill.order.client_ref,
                "venue_order_id": fill.order.venue_order_id,
                "quantity": plain(fill.quantity),
                "price": plain(fill.price),
                "fee": plain(fill.fee),
                "role": fill.role,
                "realised": plain(fill.realised),
                "relief": plain(fill.relief),
                "filled_ms": fill.filled_ms,
            }
            for fill in fills
        ],
        "parents": _parents(session),
        "risk_changes": [
            {"at": event.at.isoformat(), "by": str(event.actor) if event.actor else None, **event.detail}
            for event in risk_changes(session).order_by("id")
        ],
        "decisions": _decisions(session),
        "equity": [
            {name: plain(value) if isinstance(value, Decimal) else value for name, value in row.items()}
            for row in session.equity_points.order_by("at_ms").values(
                "at_ms", "equity", "cash", "held", "price", "drawdown"
            )
        ],
    }


def _orders(session: LiveSession, fills: list[Any]) -> list[dict[str, Any]]:
    of_order = defaultdict(list)
    for fill in fills:
        of_order[fill.order_id].append(fill)
    return [
        {
            "client_ref": order.client_ref,
            "parent": order.parent_id,
            "venue_order_id": order.venue_order_id,
            "pair": order.pair,
            "side": order.side,
            "type": order.type,
            "quantity": plain(order.quantity),
            "collateral": plain(order.collateral),
            "price": plain(of_order[order.pk][0].price if of_order[order.pk] else order.price),
            "status": order.status,
            "fee": plain(sum((fill.fee for fill in of_order[order.pk]), Decimal(0))),
            "created_ms": order.planned_ms,
            "reason": order.reason,
            "answer": order.answer,
        }
        for order in session.orders.order_by("id")
    ]


def _parents(session: LiveSession) -> list[dict[str, Any]]:
    names = ("id", "style", "side", "quantity", "traded", "reason", "status", "note", "until_ms")
    rows = parents_of(session).order_by("id").values(*names)
    return [{**row, "quantity": plain(row["quantity"]), "traded": plain(row["traded"])} for row in rows]


def _decisions(session: LiveSession) -> list[dict[str, Any]]:
    names = (
        "bar_ms", "decided_ms", "price", "action", "target", "turns_to", "probabilities", "value",
        "confidence", "gate_reason", "risk_reason", "portfolio", "votes", "observation_hash", "model_hash",
        "latency_us",
    )  # fmt: skip
    rows = session.decisions.order_by("bar_ms").values(*names)
    return [{**row, "price": plain(row["price"])} for row in rows]
