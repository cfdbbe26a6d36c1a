"""A person ends an order of which neither the venue nor the wallet says what became of it.

The runner proves by itself whether an order has traded. Where it cannot, because the venue shows the order no
more and its wallet is not what our books say, it asks for a person, who can look at the venue by hand.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from django.db import transaction

from market.errors import BadInput, Conflict
from market.kernel.costs import fee_of
from market.kernel.instrument import Instrument
from market.models import AuditEvent
from trading import alerts, books, orders, session_row, settle
from trading.accounts import failure
from trading.exchanges.errors import ExchangeError
from trading.exchanges.port import CANCELLED, FILLED, ByClientId, Exchange, OrderReport
from trading.exchanges.registry import connect
from trading.locks import lock_account
from trading.models import Order, OrderStatus, OrderType, Reconciliation, Side
from trading.services.reconcile import reconcile_account

ZERO = Decimal(0)
LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Ended:
    """An order that a person has ended, and how the account's books compare since."""

    order: Order
    compared: Reconciliation | None
    why_not: str = ""  # the books could not be compared yet

    @property
    def sentence(self) -> str:
        """Say what came of it, for people."""
        if self.compared is None:
            return f"Ended. The books could not be compared yet: {self.why_not}."
        if self.compared.equal:
            return "Ended, and the books are the venue's."
        done = "; ".join(one["done"] for one in self.compared.differences[:1])
        return f"Ended. The books were not the venue's: {done}."


def end_order(
    *, order: Order, reason: str, filled: Decimal | None = None, price: Decimal | None = None, by: Any = None
) -> Ended:
    """End an order that nobody but a person can, book what it has traded, and compare the account's books.

    :param reason: what the person knows; kept with the order and in the audit trail
    :param filled: base units that it has traded beyond what is booked; only of one that had been accepted
    :param price: the average they have traded at, quote currency
    :raises BadInput: without a reason, for figures the order cannot have, or when the venue cannot be read
    :raises Conflict: when it is not stuck (any more): the venue shows it, or it may still be proven
    """
    part = _checked(order, reason.strip(), filled or ZERO, price)
    expected = order.quantity - books.booked_of(order).quantity
    if not settle.stuck(Order.objects.filter(pk=order.pk)).exists():
        order.refresh_from_db()
        raise Conflict(
            f"the order is {order.status}: only one that has been sought in vain for a minute can be ended "
            "by hand",
            field="order",
        )
    try:
        exchange = connect(order.account)
        rules = _require_unseen(order, exchange)
    except ExchangeError as error:
        raise BadInput(failure(order.account, error), field="order") from error
    _end(order, part, rules, exchange.now_ms(), reason.strip(), by, expected)
    try:
        return Ended(order, reconcile_account(account=order.account, by=by))
    except BadInput as error:
        return Ended(order, None, error.message.rstrip("."))


def _checked(order: Order, reason: str, filled: Decimal, price: Decimal | None) -> books.Part | None:
    """Return what has traded, its fee not known yet; None when that is nothing."""
    if not reason:
        raise BadInput("say what you know of the order: the reason is kept", field="reason")
    if len(reason) > LONGEST_REASON:
        raise BadInput(f"the reason must have at most {LONGEST_REASON} characters", field="reason")
    left = order.quantity - books.booked_of(order).quantity
    if not 0 <= filled <= left:
        raise BadInput(
            f"what it has traded must lie between 0 and {left.normalize():f}, which is not booked yet",
            field="filled",
        )
    if filled == 0:
        return None
    if order.status != OrderStatus.OPEN or Side(order.side).is_short:
        raise BadInput(
            "only of an order to buy or sell that the venue had accepted a trade can be entered: leave it at "
            "0, and the comparison of the books takes over what there is",
            field="filled",
        )
    if price is None or not 0 < price < 10**12:
        raise BadInput("give the average price it has traded at, above 0", field="price")
    return books.Part(filled, price, ZERO)


def _require_unseen(order: Order, exchange: Exchange) -> Instrument | None:
    """Ask once more, and return the pair's rules. :raises Conflict: when the venue shows the order"""
    if not settle.is_over(order, exchange.server_ms()):
        raise Conflict("the request may still take effect: try again in a minute", field="order")
    number = order.venue_order_id
    is_shown = bool(number) and exchange.report(number) is not None
    if exchange.has_client_ids:
        client_id = orders.client_id_of(order)
        is_shown = is_shown or cast(ByClientId, exchange).find(order.pair, client_id) is not None
    else:
        is_shown = is_shown or settle.listed(order, exchange.reports(order.pair)) is not None
    if is_shown:
        raise Conflict("the venue shows this order: it is settled without you", field="order")
    return exchange.instruments().get(order.pair)


@transaction.atomic
def _end(
    order: Order,
    part: books.Part | None,
    rules: Instrument | None,
    at_ms: int,
    reason: str,
    by: Any,
    expected: Decimal,
) -> None:
    """:param expected: what was left of it before the venue was asked: a runner may have found more since"""
    lock_account(order.account_id)
    session, before = session_row.locked(order.session_id), order.status
    left = order.quantity - books.booked_of(order).quantity
    if left != expected or not settle.stuck(Order.objects.filter(pk=order.pk)).exists():
        raise Conflict("the venue has just shown it again: look again", field="order")
    after = OrderStatus.ABSENT if before == OrderStatus.UNCERTAIN else OrderStatus.CANCELLED
    after = OrderStatus.FILLED if part is not None and part.quantity == left else after
    if not orders.move(order, after, answer=f"ended by a person: {reason}", settled_ms=at_ms):
        order.refresh_from_db()
        raise Conflict(f"the order has just become {order.status}", field="order")
    detail: dict[str, Any] = {"session": session.pk, "before": before, "after": after, "reason": reason}
    if part is not None:
        report = _report(order, part, rules, at_ms)
        books.book_part(session, order, books.Part(part.quantity, part.price, report.fee), report)
        detail |= {"filled": f"{part.quantity:f}", "price": f"{part.price:f}", "fee": f"{report.fee:f}"}
    AuditEvent.objects.create(
        actor=by, owner=session.owner, action="order.end", object_type="order", object_id=str(order.pk),
        detail=detail,
    )  # fmt: skip
    for key in (settle.key_of(order), f"resting:{session.pk}"):
        alerts.close_alert(session.owner, key)


def _report(order: Order, part: books.Part, rules: Instrument | None, at_ms: int) -> OrderReport:
    """Return what the venue would have said of the part; its fee by the pair's present rules."""
    is_maker, fee = order.type == OrderType.LIMIT, ZERO
    if rules is not None:
        own = rules.as_decimal()
        rate = own.maker_fee if is_maker else own.taker_fee
        fee = fee_of(part.quantity * part.price, rate, own.fee_step, ZERO)
    status = FILLED if order.status == OrderStatus.FILLED else CANCELLED
    return OrderReport(
        order.venue_order_id, order.pair, order.side, order.type, status, order.quantity, part.quantity,
        part.price, fee, books.coins(order.pair)[1], "MAKER" if is_maker else "TAKER", order.sent_ms, at_ms,
    )  # fmt: skip
