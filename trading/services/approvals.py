"""A person's yes or no to an order that waits. The runner sends it, after looking at the price again."""

from typing import Any

from django.db import transaction

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from trading import alerts, orders, waiting
from trading.models import Order, OrderStatus
from trading.models.order import HELD_BACK


def approve_order(*, order: Order, by: Any = None, via: str = "") -> Order:
    """Let a waiting order be sent.

    :param via: how it was approved, where nobody is signed in ("link")
    :raises Conflict: when it does not wait (any more), or its time is over
    """
    if order.status == OrderStatus.WAITING and waiting.is_expired(order):
        raise Conflict("its time is over: nothing is sent", field="order")
    return _decide(order, OrderStatus.APPROVED, "order.approve", by, via, answer="approved")


def reject_order(*, order: Order, reason: str = "", by: Any = None, via: str = "") -> Order:
    """Drop an order that waits for a person, or that one has approved and that is not on its way yet.

    A link answers once; only who is signed in can take a yes back.

    :raises BadInput: for a reason that is too long
    :raises Conflict: when it is neither (any more)
    """
    if len(reason) > 200:
        raise BadInput("the reason must have at most 200 characters", field="reason")
    words = f"{waiting.REJECTED}: {reason.strip()}" if reason.strip() else waiting.REJECTED
    return _decide(order, OrderStatus.REFUSED, "order.reject", by, via, answer=words)


@transaction.atomic
def _decide(order: Order, status: OrderStatus, action: str, by: Any, via: str, *, answer: str) -> Order:
    wanted = HELD_BACK if status == OrderStatus.REFUSED and not via else [OrderStatus.WAITING]
    if order.status not in wanted or not orders.move(order, status, answer=answer):
        order.refresh_from_db()
        raise Conflict(f"the order does not wait for a person, it is {order.status}", field="order")
    detail = {"session": order.session_id, "answer": answer, **({"via": via} if via else {})}
    AuditEvent.objects.create(
        actor=by,
        owner=order.session.owner,
        action=action,
        object_type="order",
        object_id=str(order.pk),
        detail=detail,
    )
    alerts.close_alert(order.session.owner, waiting.key_of(order))
    return order
