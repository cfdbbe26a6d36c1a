"""What became of an order nobody answered (docs/decisions/003-order-settlement.md).

Every turn begins here, so start-up, take-over and an ordinary bar are one path. Nothing is ever sent again:
an order is matched on the venue, or proven absent, or stays uncertain while the pair waits.
"""

import logging
from datetime import timedelta
from typing import Any, cast

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from trading import alerts, books, foreign, reconciliation, short_books
from trading.exchanges.errors import OrderRejected, OutcomeUnknown
from trading.exchanges.port import OPEN, ByClientId, Exchange, OrderReport
from trading.guard import LISTED, Leased
from trading.locks import lock_books
from trading.models import (
    Account,
    AlertKind,
    AlertLevel,
    Fill,
    LedgerEntry,
    LiveSession,
    Order,
    OrderStatus,
    ParentStatus,
    Side,
)
from trading.models.order import RESTING, OrderQuerySet
from trading.orders import GONE as GONE
from trading.orders import client_id_of, move
from trading.states import DRIVEN

logger = logging.getLogger(__name__)

Venue = Exchange | Leased
BEFORE_MS = 120_000  # an order may carry a time this far before the last venue time we had read
BOUND_MS = 15_000  # venue time after which an order that was sent must be visible
TELL_AFTER_S = 60.0


def settle(session: LiveSession, exchange: Leased) -> bool:
    """Find out what became of unsettled orders; True when none is left that concerns this session.

    Orders of the account's ended sessions are settled too: nobody else would, and they block pair and books.

    :raises ExchangeError: when a read fails: everything stands as it is, nothing may be planned.
    """
    for order in concerning(session).select_related("account", "session__owner").order_by("id"):
        if order.status == OrderStatus.PLANNED:
            move(order, OrderStatus.REFUSED, answer="never sent", settled_ms=exchange.now_ms())
        elif order.status == OrderStatus.SENDING:
            move(order, OrderStatus.UNCERTAIN, answer="the process ended while it was being sent")
        if order.status == OrderStatus.UNCERTAIN:
            resolve(order, exchange)
        elif order.status == OrderStatus.OPEN:
            is_followed = order.session_id == session.pk and not order.is_resting
            (follow if is_followed else withdraw)(order, exchange)
    mine = Q(session=session) | Q(pair=session.pair)
    return not concerning(session).filter(mine).exists()


def concerning(session: LiveSession) -> OrderQuerySet:
    """Return the unsettled orders this session must settle: its own, and those nobody drives any more.

    Its own order that rests on the venue is no question while its parent order is at work: `working.py` looks
    after it. One whose parent was given up, because the session had failed, is nobody else's to withdraw.
    """
    at_work = session.parents.filter(status=ParentStatus.WORKING)
    mine = Q(session=session) & ~(RESTING & Q(parent__in=at_work))
    orphaned = ~Q(session__status__in=DRIVEN)
    return Order.objects.filter(account=session.account_id).unsettled().filter(mine | orphaned)


def accept(order: Order, report: OrderReport, session: LiveSession | None = None) -> Fill | None:
    """Write down a report of the venue about our order, and book it once it is finished; return the fill.

    :param session: see `books.book`
    """
    if report.status == OPEN:
        if order.status != OrderStatus.OPEN:
            move(order, OrderStatus.OPEN, venue_order_id=report.venue_order_id)
        if not report.filled:
            return None
    return books.book(order, report, session)


def accept_unnamed(order: Order, report: OrderReport, exchange: Leased) -> None:
    """Book an answered order whose id the answer does not tell, once it is found in the venue's list.

    Until then it is uncertain; it cannot be proven absent, because the venue's books show it.

    :raises ExchangeError: when the list cannot be read; the next turn tries again.
    """
    words = f"accepted: {report.filled.normalize():f} at {report.average_price.normalize():f}"
    if move(order, OrderStatus.UNCERTAIN, answer=words):
        resolve(order, exchange)


def follow(order: Order, exchange: Venue) -> None:
    """Look at an open order."""
    report = exchange.report(order.venue_order_id)
    if report is not None:
        _shown(order, report)
    elif order.answer != GONE:
        _note(order, GONE)
    elif is_over(order, exchange.now_ms()):
        _seek(order, exchange)


def _note(order: Order, words: str) -> None:
    """Keep whether the venue shows an open order, and since when: the bound on our clock counts from then."""
    order.answer, order.changed_at = words, timezone.now()
    still_open = Order.objects.filter(pk=order.pk, status=OrderStatus.OPEN)
    still_open.update(answer=order.answer, changed_at=order.changed_at)


def _shown(order: Order, report: OrderReport) -> None:
    with transaction.atomic():
        lock_books(order)
        if order.answer == GONE:
            _note(order, "")
            alerts.close_alert(order.session.owner, key_of(order))
        accept(order, report)


def _seek(order: Order, exchange: Venue) -> None:
    """Look for an open order that is not found by its id; cancelled by the same proof as of absence."""
    if exchange.has_client_ids:
        found = cast(ByClientId, exchange).find(order.pair, client_id_of(order))
        is_gone = found is None
    else:
        reports = exchange.reports(order.pair)  # before the wallet
        found = listed(order, reports)
        is_gone = found is None and covers(order, reports) and _balances_agree(order, exchange)
    if found is not None:
        _shown(order, found)
    elif is_gone:
        _over(order, OrderStatus.CANCELLED, settled_ms=exchange.now_ms())
        logger.warning("order %s: %s; nothing of it is unbooked", order.client_ref, GONE)
    elif timezone.now() - order.changed_at > timedelta(seconds=TELL_AFTER_S):
        _tell(order)


def withdraw(order: Order, exchange: Venue) -> None:
    """Cancel an open order, then ask what became of it: a fill may have won the race, or a part of one.

    Cancelling twice does no harm, so an unanswered cancel is no riddle: the order is looked at, and stays
    open until the venue says that it is not.

    :raises ExchangeError: when the order cannot be looked at; it stays open then.
    """
    try:
        exchange.cancel(order.venue_order_id)
    except OutcomeUnknown as error:
        logger.warning("order %s: the cancel was not answered: %s", order.client_ref, error)
    except OrderRejected as error:  # some venues refuse what they cannot cancel: the look tells
        logger.info("order %s: %s", order.client_ref, error)
    follow(order, exchange)


def resolve(order: Order, exchange: Leased) -> None:
    """Match an uncertain order with the venue's, or prove that it is not there."""
    reports: list[OrderReport] = []
    if exchange.has_client_ids:
        found = exchange.find(order.pair, client_id_of(order))
        # A venue refuses a request whose timestamp is older than it accepts: past the bounds it cannot come.
        is_absent = found is None and is_over(order, exchange.now_ms())
    else:
        reports = exchange.reports(order.pair)  # before the wallet: a fill in between then is a difference
        asked_ms = exchange.now_ms()
        found = listed(order, reports)
        is_absent = found is None and is_over(order, asked_ms) and covers(order, reports)
        is_absent = is_absent and _balances_agree(order, exchange)
    if found is not None:
        logger.info("order %s found on the venue as %s", order.client_ref, found.venue_order_id)
        if Side(order.side).is_short:
            reconciliation.adopt_before(order.account, found, reports, exchange)
        with transaction.atomic():
            lock_books(order)
            accept(order, found)
            _tell_no_more(order)
    elif is_absent:
        now_ms = exchange.now_ms()
        _over(order, OrderStatus.ABSENT, answer="proven not to be on the venue", settled_ms=now_ms)
        logger.info("order %s is proven absent", order.client_ref)
    elif timezone.now() - order.changed_at > timedelta(seconds=TELL_AFTER_S):
        _tell(order)


@transaction.atomic
def _over(order: Order, status: OrderStatus, **changes: Any) -> None:
    """Write down that nothing of an order is on the venue, and that nobody need look for it any more."""
    move(order, status, **changes)
    _tell_no_more(order)


def _tell_no_more(order: Order) -> None:
    """Take back what was told of an order when it was sent, and when it was sought in vain."""
    for key in (f"order:{order.session_id}", key_of(order)):
        alerts.close_alert(order.session.owner, key)


def listed(order: Order, reports: list[OrderReport]) -> OrderReport | None:
    """Return what a list of the venue shows of an order, by its id if it is known, else by its figures."""
    if not order.venue_order_id:
        return matching(order, reports)
    return next((one for one in reports if one.venue_order_id == order.venue_order_id), None)


def stuck(rows: OrderQuerySet) -> OrderQuerySet:
    """Return the orders that have been sought in vain for so long that a person was told and may end them."""
    unseen = Q(status=OrderStatus.UNCERTAIN) | Q(status=OrderStatus.OPEN, answer=GONE)
    return rows.filter(unseen, changed_at__lte=timezone.now() - timedelta(seconds=TELL_AFTER_S))


def matching(order: Order, reports: list[OrderReport]) -> OrderReport | None:
    """Return the venue's order that is ours: same pair, side, type and quantity, made since the send.

    Orders that already belong to one of our rows are nobody else's; nor is one that was taken over.
    """
    alike = [report for report in reports if is_alike(order, report)]
    free = foreign.not_booked(order.account, alike) if alike else []
    return free[-1] if free else None


def is_alike(order: Order, report: OrderReport) -> bool:
    """Say whether a report can be this order; the quantity was made distinct for this question."""
    return (
        report.type == order.type
        and report.created_ms >= order.sent_ms - BEFORE_MS
        and foreign.has_its_figures(order, report)
    )


def covers(order: Order, reports: list[OrderReport]) -> bool:
    """Say whether a newest-first list reaches back to before the send, or holds everything there is."""
    if len(reports) < LISTED:
        return True
    return min(report.created_ms for report in reports) < order.sent_ms - BEFORE_MS


def is_over(order: Order, asked_ms: int) -> bool:
    """Say whether the request can no longer take effect: past its bound on the venue's clock and on ours.

    Ours counts from when the order became uncertain, because a venue's clock may run faster than real time.
    """
    bound = timedelta(seconds=2 * settings.VENUE_TIMEOUT_S)
    return asked_ms > order.sent_ms + BOUND_MS and timezone.now() - order.changed_at > bound


def _balances_agree(order: Order, exchange: Venue) -> bool:
    """Say whether the wallet is what our books say without this order, or without more of it.

    A difference that somebody else's finished orders explain is adopted first. Two sessions may trade one
    account at once, so the comparison only counts when nothing was booked or in flight meanwhile.
    """
    account: Account = order.account
    names = _telling_coins(order)
    before = _newest_entry(account, names)
    seen = reconciliation.look(account, exchange, may_short=Side(order.side).is_short)
    if not names or _telling_coins(order) != names or _newest_entry(account, names) != before:
        return False
    differing = reconciliation.compare(reconciliation.holdings(account), seen.totals, seen.parts)
    wrong = [one.coin for one in differing if one.coin in names]
    if wrong:
        logger.warning("order %s: %s differ from our books", order.client_ref, ", ".join(wrong))
        # Of every pair: whoever bought something else by hand paid with the same dollars.
        return reconciliation.adopt_if_explained(account, names, seen, exchange.reports(None))
    return True


def _telling_coins(order: Order) -> tuple[str, ...]:
    """Return the coins of an order's pair that no other unsettled order of the account can have moved.

    A fill moves both coins, so one is enough; were all asked for, two uncertain orders that share a purse
    would wait for each other for ever.
    """
    others = order.account.orders.unsettled().exclude(pk=order.pk).values_list("pair", flat=True)
    moving = {coin for pair in others for coin in books.coins(pair)}
    base, quote = books.coins(order.pair)
    own = (short_books.name_of(order.pair) if Side(order.side).is_short else base, quote)
    return tuple(coin for coin in own if coin not in moving)


def _newest_entry(account: Account, names: tuple[str, ...]) -> int:
    entries = LedgerEntry.objects.filter(account=account, coin__in=names)
    return entries.order_by("-id").values_list("id", flat=True).first() or 0


def key_of(order: Order) -> str:
    return f"uncertain:{order.pk}"


def _tell(order: Order) -> None:
    alerts.raise_alert(
        order.session.owner,
        AlertLevel.CRITICAL,
        key_of(order),
        f"It is still not known what became of {order.side} {order.quantity.normalize():f} {order.pair}: the "
        "venue shows no such order, but its balances are not what our books say. Nothing more is traded on "
        "this pair. Look at the account by hand; trading goes on once the balances agree, or once you have "
        f"ended order {order.pk} on the Risk page.",
        order.session,
        kind=AlertKind.ORDER,
        url=reverse("risk-overview"),
    )
