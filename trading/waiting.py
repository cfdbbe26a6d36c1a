"""Orders that wait for a person: which ones must, who is told, what ends the waiting."""

from datetime import timedelta
from decimal import Decimal

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from trading import alerts, links, orders
from trading.models import AlertKind, LiveSession, Order, OrderStatus, Side
from trading.models.order import HELD_BACK
from trading.numbers import exact

REJECTED = "rejected by a person"  # how the answer of such an order begins


def is_needed(session: LiveSession, quantity: Decimal, price: Decimal) -> bool:
    """Say whether an order needs a person's approval. Leaving a position never does."""
    above = exact(session.risk.approval_above)
    if above <= 0 or is_exit(session, quantity):
        return False
    return abs(quantity) * price > above


def is_exit(session: LiveSession, quantity: Decimal) -> bool:
    """Say whether an order only brings the position nearer to flat."""
    return quantity * session.held < 0 and abs(quantity) <= abs(session.held)


def held_back(session: LiveSession) -> list[Order]:
    """Return the session's orders that wait for a person, or for the runner after a person's yes."""
    return list(session.orders.filter(status__in=HELD_BACK).select_related("session__owner"))


def rejected_lately(session: LiveSession, quantity: Decimal) -> str:
    """Return why a person is not asked for such an order again yet: a no lasts as long as a question."""
    sides = [side for side in Side if side.sign * quantity > 0]
    pause = timedelta(seconds=session.risk.approval_s)
    noes = session.orders.filter(
        status=OrderStatus.REFUSED, answer__startswith=REJECTED, side__in=sides,
        changed_at__gt=timezone.now() - pause,
    )  # fmt: skip
    last = noes.order_by("-changed_at").values_list("changed_at", flat=True).first()
    return "" if last is None else f"{REJECTED}: asked again from {last + pause:%Y-%m-%d %H:%M:%S} UTC on"


def drop(session: LiveSession, why: str, at_ms: int) -> None:
    """End the waiting of the session's orders: something else has come first."""
    for order in held_back(session):
        if not refuse(order, why, at_ms):  # a person has just said yes
            order.refresh_from_db()
            if order.status in HELD_BACK:
                refuse(order, why, at_ms)


@transaction.atomic
def refuse(order: Order, why: str, at_ms: int) -> bool:
    """End the waiting of one order; False if somebody else moved it first."""
    done = orders.move(order, OrderStatus.REFUSED, answer=why[:300], settled_ms=at_ms)
    if done:
        alerts.close_alert(order.session.owner, key_of(order))
    return done


def is_expired(order: Order) -> bool:
    return order.expires_at is not None and order.expires_at <= timezone.now()


def key_of(order: Order) -> str:
    return f"approval:{order.pk}"


def tell(order: Order) -> None:
    """Ask for approval, with what is wanted and until when. Call in the transaction that wrote the order."""
    session, value = order.session, order.quantity * order.expected_price
    text = (
        f"{session} wants to {order.side} {order.quantity.normalize():f} {order.pair} at about "
        f"{order.expected_price.normalize():f} (worth {value:.2f}): {order.reason}. Approve or reject it on "
        f"the Risk page until {order.expires_at:%Y-%m-%d %H:%M:%S} UTC, else it is dropped."
    )
    kind, url = AlertKind.APPROVAL, reverse("risk-overview")
    alerts.raise_alert(session.owner, kind.level, key_of(order), text, session, kind=kind, url=url)


def link_of(order: Order) -> str:
    """Return the path of the page on which whoever holds the link approves or rejects this one order."""
    return links.approval_path(order.pk)


def order_of(token: str) -> Order | None:
    """Return the order a link was made for; None for a link that is forged or too old."""
    pk = links.approval_order_id(token)
    rows = Order.objects.select_related("session__owner", "session__risk", "account")
    return None if pk is None else rows.filter(pk=pk).first()
