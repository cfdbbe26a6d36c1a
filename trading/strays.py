"""Orders of ours that had been given up as not on the venue, and rest there all the same: they are withdrawn.

A request can be held up for longer than the bound of the proof (docs/decisions/003-order-settlement.md). By
then the wish has another order, or is over; nobody looks after this one, and both would trade.
"""

import logging
from typing import cast

from django.db import transaction
from django.db.models import Q

from trading import alerts, books, foreign
from trading.exchanges.errors import BadCredentials, ExchangeError, OrderRejected, OutcomeUnknown
from trading.exchanges.port import OPEN, ByClientId, Exchange, OrderReport
from trading.guard import Leased
from trading.locks import lock_books
from trading.models import Account, AlertKind, Order, OrderStatus, OrderType
from trading.orders import DISTINCT_MS, GONE, client_id_of

logger = logging.getLogger(__name__)

RESTED = "it had reached the venue after all, and rested there: withdrawn"


def withdraw(account: Account, exchange: Exchange | Leased) -> None:
    """Withdraw what rests, and book what of it has traded. Asks nothing where no order can be meant.

    What cannot be asked or cancelled now is tried again by the next comparison.

    :raises BadCredentials: when the venue does not know us
    """
    wanted = sought(account, exchange.now_ms())
    try:
        for order, report in _resting(account, wanted, exchange):
            _withdraw(order, report, exchange)
    except BadCredentials:
        raise
    except ExchangeError as error:
        logger.warning("account %s: orders that were given up could not be sought: %s", account.pk, error)


def sought(account: Account, now_ms: int) -> list[Order]:
    """Return the limit orders given up by proof, as long as their figures are no other order's."""
    given_up = Q(status=OrderStatus.ABSENT) | Q(status=OrderStatus.CANCELLED, answer=GONE)
    rows = account.orders.filter(given_up, type=OrderType.LIMIT, sent_ms__gte=now_ms - DISTINCT_MS)
    return list(rows.select_related("account", "session__owner").order_by("id"))


def _resting(
    account: Account, wanted: list[Order], exchange: Exchange | Leased
) -> list[tuple[Order, OrderReport]]:
    if not wanted:
        return []
    if exchange.has_client_ids:
        known = cast(ByClientId, exchange)
        shown = [(order, known.find(order.pair, client_id_of(order))) for order in wanted]
        return [(order, one) for order, one in shown if one is not None and one.status == OPEN]
    reports = [one for one in exchange.reports(None) if one.status == OPEN]
    free = foreign.not_booked(account, reports) if reports else []
    found: dict[str, tuple[Order, OrderReport]] = {}  # by the venue's id: a report is one order's only
    for order in wanted:
        among = reports if order.venue_order_id else free
        for one in among:
            if _is_it(order, one):
                found.setdefault(one.venue_order_id, (order, one))
    return list(found.values())


def _is_it(order: Order, report: OrderReport) -> bool:
    """Say whether a resting order is ours, by its id if that is known, else by all its figures."""
    if order.venue_order_id:
        return report.venue_order_id == order.venue_order_id
    figures = report.type, report.price
    is_alike = figures == (order.type, order.price) and foreign.has_its_figures(order, report)
    return is_alike and report.created_ms >= order.sent_ms


def _withdraw(order: Order, found: OrderReport, exchange: Exchange | Leased) -> None:
    try:
        exchange.cancel(found.venue_order_id)
    except (OutcomeUnknown, OrderRejected) as error:  # the look tells
        logger.warning("order %s: its cancel: %s", order.client_ref, error)
    report = exchange.report(found.venue_order_id) or found
    with transaction.atomic():
        lock_books(order)
        Order.objects.filter(pk=order.pk, venue_order_id="").update(venue_order_id=report.venue_order_id)
        books.book(order, report)
        if report.status != OPEN:
            Order.objects.filter(pk=order.pk, status=OrderStatus.CANCELLED).update(answer=RESTED)
            _tell(order)


def _tell(order: Order) -> None:
    text = (
        f"{order.session}: the order {order.side} {order.quantity.normalize():f} {order.pair}, which the "
        f"venue had not shown, was there after all: it is {order.status} now."
    )
    logger.warning(text)
    alerts.announce(order.session.owner, AlertKind.ORDER, f"stray:{order.pk}", text, order.session)
