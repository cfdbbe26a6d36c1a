"""From a wish to an order: the intent is committed, then sent, then its answer is booked."""

from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.utils import timezone

from market.kernel import rebalance
from trading import alerts, legs, orders, risk, settle, waiting
from trading.exchanges.port import Quote
from trading.models import AlertKind, Decision, Fill, LiveSession, Order, OrderStatus, ParentOrder, Side
from trading.seat import Seat
from trading.states import point, reload

LEAST = "what is left is below the venue's smallest order"
ALIKE = "what is left is too small to be told from other orders of the last hour"
RETRY_MS = 10_000  # venue time between two tries of an exit that was refused


def too_soon(now_ms: int, *since_ms: int) -> bool:
    """Say whether one of these instants was just now; a clock that is set back puts nothing off longer."""
    return any(abs(now_ms - at_ms) < RETRY_MS for at_ms in since_ms)


def leave(seat: Seat, quote: Quote, reason: str, now_ms: int) -> None:
    """Close the whole position at the market."""
    session = seat.session
    if too_soon(now_ms, seat.refused_ms):
        return
    quantity = rebalance.closing_quantity(session.held, seat.instrument.step, Decimal(0))
    with transaction.atomic():
        order = intend(seat, quantity, risk.exit_price(session.held, quote), reason, now_ms)
    carry_out(seat, order, quote)


def intend(
    seat: Seat,
    quantity: Decimal,
    price: Decimal,
    reason: str,
    now_ms: int,
    decision: Decision | None = None,
    parent: ParentOrder | None = None,
    limit: Decimal | None = None,
) -> Order | None:
    """Write the intent to trade a signed quantity down; None when there is nothing to trade.

    :param limit: the price of an order that is to rest; None trades at the market.

    Call inside a transaction, together with what led to it.
    """
    session = seat.session
    if quantity == 0:
        return None
    if seat.may_wait and waiting.is_exit(session, quantity):
        waiting.drop(session, f"the session leaves its position instead: {reason}", now_ms)
    leg = legs.first_leg(session, quantity, price, seat.instrument)
    if leg.side == Side.SHORT_OPEN and not seat.may_short:
        return None
    if not seat.exchange.has_client_ids:
        leg = legs.distinct(session, leg, price, seat.instrument, now_ms)
    if not risk.can_be_sent(leg.quantity, limit or price, seat.instrument):
        if parent is None:
            _say_why(decision, too_small(seat))
        return None
    order = orders.plan(
        session,
        quantity=leg.signed,
        side=leg.side,
        collateral=leg.collateral,
        step=leg.step,
        expected_price=price,
        reason=reason,
        fence=seat.lease.fence,
        now_ms=now_ms,
        decision=decision,
        parent=parent,
        price=limit,
        expires_at=None if parent or leg.is_closing else _deadline(seat, leg.signed, price),
    )
    if order is not None and order.status == OrderStatus.WAITING:
        waiting.tell(order)
    return order


def too_small(seat: Seat) -> str:
    """Return why nothing is sent of an order that the rules allow."""
    return LEAST if seat.exchange.has_client_ids else ALIKE


def _say_why(decision: Decision | None, why: str) -> None:
    """Keep on a decision, which is written down by then, why nothing comes of it."""
    if decision is not None:
        decision.risk_reason = "; ".join(filter(None, (decision.risk_reason, why)))[:200]
        decision.save(update_fields=["risk_reason"])


def _deadline(seat: Seat, quantity: Decimal, price: Decimal) -> datetime | None:
    """Return until when a person may approve an order; None for one that needs nobody."""
    if not waiting.is_needed(seat.session, quantity, price):
        return None
    seat.may_wait = True
    return timezone.now() + timedelta(seconds=seat.session.risk.approval_s)


def carry_out(seat: Seat, order: Order | None, quote: Quote) -> None:
    """Send a committed intent and book the answer.

    :raises LeaseLost: when the session is no longer ours to trade.
    :raises BadCredentials: when the venue does not know the account.
    """
    if order is None:
        return
    if order.status == OrderStatus.WAITING:
        return
    session = seat.session
    seat.has_sent = True
    report = orders.send(order, exchange=seat.exchange, seen_ms=quote.at_ms, tell=partial(_tell, session))
    if report is None and order.status == OrderStatus.APPROVED:
        order.refresh_from_db()
        if order.status == OrderStatus.REFUSED:
            return  # a person has just taken the yes back
    if report is None:
        seat.is_checked = False  # whatever happened there, compare the books before the next decision
        seat.refused_ms = quote.at_ms
        seat.may_have_told = True
        return
    if report.venue_order_id:
        fill = settle.accept(order, report, session)
        settled(session, fill)
    else:
        settle.accept_unnamed(order, report, seat.exchange)
        settled(session)
    if seat.may_have_told:
        alerts.close_alert(session.owner, f"order:{session.pk}")
        seat.may_have_told = False


def settled(session: LiveSession, fill: Fill | None = None) -> None:
    """Take over what was booked and mark the equity right after it.

    :param fill: the newest, where that is known; a session that says what its row says is not read again
    """
    if fill is None or session.stored_marks is None:
        reload(session)
    newest = session.fills.order_by("-id").values_list("filled_ms", flat=True)
    last = newest.first() if fill is None else fill.filled_ms
    if last:
        point(session, last, risk.last_exit_price(session))


def _tell(session: LiveSession, order: Order) -> None:
    words = f"{session}: the order {order.side} {order.quantity.normalize():f} {order.pair} is {order.status}"
    kind = AlertKind.ORDER
    text = f"{words}: {order.answer}"
    alerts.raise_alert(session.owner, kind.level, f"order:{session.pk}", text, session, kind=kind)
