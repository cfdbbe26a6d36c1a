"""The life of an order: planned, sent once, answered. `settle.py` finds out what became of unanswered ones.

An intent is a committed row before anything is sent. The database decides who moves it: every move is an
UPDATE that names the status it starts from, so a row moves once even when two processes try.
"""

import hashlib
import logging
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from market.prepared import Count, Insert, Select, Updates
from trading.exchanges.errors import BadCredentials, ExchangeError, OrderRejected, VenueClosed
from trading.exchanges.port import OrderReport, Proposal
from trading.guard import Leased, LeaseLost
from trading.models import Decision, LiveSession, Order, OrderStatus, OrderType, ParentOrder, Side

logger = logging.getLogger(__name__)

S = OrderStatus
NEXT: dict[str, set[OrderStatus]] = {
    S.WAITING: {S.APPROVED, S.REFUSED},
    S.APPROVED: {S.SENDING, S.REFUSED},
    S.PLANNED: {S.SENDING, S.REFUSED},
    S.SENDING: {S.UNCERTAIN, S.OPEN, S.FILLED, S.CANCELLED, S.REJECTED, S.REFUSED},
    S.UNCERTAIN: {S.OPEN, S.FILLED, S.CANCELLED, S.ABSENT},
    S.OPEN: {S.FILLED, S.CANCELLED},
    S.CANCELLED: {S.FILLED},  # a fill may win the race against our cancel
    S.ABSENT: {S.FILLED, S.CANCELLED},  # the proof was wrong: better a corrected row than a wrong book
    S.FILLED: set(),
    S.REJECTED: set(),
    S.REFUSED: set(),
}
NEVER_THERE = [S.REJECTED, S.REFUSED]  # certainly not on the venue
GONE = "the venue does not know this order any more"  # answer of an open one that is sought
CENT = Decimal("0.01")
DISTINCT_MS = 3_600_000  # venue time within which no two orders of an account look alike
_store = Insert(Order, is_shy=True)  # the database allows one unsettled order per account and pair
_store_move = Updates(Order, where=["id", "status"])
_count = Count(Order, where=["session"])
_recent = Select(Order, ["quantity", "status"], where=["account", "pair", "side", "planned_ms__gt"])


class IllegalMove(Exception):
    """A bug: the table of moves does not allow this one."""


def move(order: Order, status: OrderStatus, **changes: Any) -> bool:
    """Change an order's status once; False if another process moved it first.

    :raises IllegalMove: when the table does not allow it.
    """
    if status not in NEXT[order.status]:
        raise IllegalMove(f"order {order.pk} is {order.status} and cannot become {status}")
    changes |= {"status": status, "changed_at": timezone.now()}
    if not _store_move(changes, id=order.pk, status=order.status):
        return False
    for name, value in changes.items():
        setattr(order, name, value)
    return True


def distinct_quantity(
    quantity: Decimal, *, step: Decimal, session: LiveSession, side: str, now_ms: int
) -> Decimal:
    """Return `quantity` lowered by the fewest steps that make it unlike every recent order of the account.

    The venue takes no client order id: pair, side, type and quantity must tell our orders apart.
    """
    taken = taken_quantities(session, side, now_ms)
    while step > 0 and quantity in taken:
        quantity -= step
    return max(quantity, Decimal(0))


def taken_quantities(session: LiveSession, side: str, now_ms: int) -> frozenset[Decimal]:
    """Return the quantities of the account's recent orders of the session's pair on one side."""
    where = {"account": session.account_id, "pair": session.pair, "side": side}
    rows = _recent(**where, planned_ms__gt=now_ms - DISTINCT_MS)
    return frozenset(quantity for quantity, status in rows if status not in NEVER_THERE)


def distinct_collateral(notional: Decimal, *, gap: Decimal, session: LiveSession, now_ms: int) -> Decimal:
    """Return `notional` in whole cents, lowered until it is `gap` away from every recent one of the pair.

    The venue turns collateral into a quantity at the price it fills at: that far apart, no two collaterals
    give the same quantity at one price.
    """
    recent = Order.objects.filter(account=session.account_id, pair=session.pair, side=Side.SHORT_OPEN)
    recent = recent.filter(planned_ms__gt=now_ms - DISTINCT_MS).exclude(status__in=NEVER_THERE)
    found = notional.quantize(CENT, ROUND_FLOOR)
    for taken in sorted(filter(None, recent.values_list("collateral", flat=True)), reverse=True):
        if abs(found - taken) < gap:
            found = (taken - gap).quantize(CENT, ROUND_FLOOR)
    return max(found, Decimal(0))


def plan(
    session: LiveSession,
    *,
    quantity: Decimal,
    side: Side | None = None,
    collateral: Decimal | None = None,
    step: Decimal | None = None,
    expected_price: Decimal,
    reason: str,
    fence: int,
    now_ms: int,
    decision: Decision | None = None,
    parent: ParentOrder | None = None,
    price: Decimal | None = None,
    expires_at: datetime | None = None,
) -> Order | None:
    """Commit the intent to trade a signed `quantity`; None while another order of the pair is unsettled.

    :param side: of a short, with `collateral` and the venue's quantity `step` where it opens one
    :param price: of a limit order; None is a market order.
    :param expires_at: makes the order wait for a person until then.
    """
    at_ms = decision.bar_ms if decision else now_ms
    number = _count(session=session.pk) + 1
    order = Order(
        client_ref=f"{session.pk}:{at_ms}:{session.pair}:{number}",
        session=session,
        account_id=session.account_id,
        decision=decision,
        parent=parent,
        pair=session.pair,
        side=side or (Side.BUY if quantity > 0 else Side.SELL),
        type=OrderType.MARKET if price is None else OrderType.LIMIT,
        quantity=abs(quantity),
        collateral=collateral,
        step=step,
        price=price,
        expected_price=expected_price,
        reason=reason[:200],
        fence=fence,
        planned_ms=now_ms,
        status=S.WAITING if expires_at else S.PLANNED,
        expires_at=expires_at,
    )
    return order if _store(order) else None


def client_id_of(order: Order) -> str:
    """Return the id by which a venue that takes such ids knows an order again; always the same for a row.

    32 characters of what every venue allows. The time is in it because two installations may share a key.
    """
    what = f"{order.client_ref} {order.created_at.timestamp():.6f}"
    return "tb" + hashlib.sha256(what.encode()).hexdigest()[:30]


def send(
    order: Order, *, exchange: Leased, seen_ms: int, tell: Callable[[Order], None]
) -> OrderReport | None:
    """Send a planned order once and return the venue's report; None when it was not accepted or is uncertain.

    :param seen_ms: the latest time read from the venue: certainly not after the send
    :param tell: tells a person of an order that was not taken, in the transaction that writes that down
    :raises LeaseLost: when the lease does not allow a send any more; the order stays planned or is refused.
    :raises BadCredentials: when the venue does not know us; the order is recorded as rejected.
    """
    with exchange.required():
        is_ours = move(order, S.SENDING, sent_ms=seen_ms, fence=exchange.lease.fence)
    if not is_ours:
        return None
    figures = (order.pair, order.side, order.type, order.quantity, order.price, order.collateral)
    proposal = Proposal(*figures, client_id=client_id_of(order))
    try:
        return exchange.place(proposal)
    except LeaseLost:
        move(order, S.REFUSED, answer="not sent: the lease was about to end", settled_ms=seen_ms)
        raise
    except ExchangeError as error:
        with transaction.atomic():
            record_failure(order, error, seen_ms)
            if not isinstance(error, BadCredentials):  # else the session itself has a word for it
                tell(order)
        if isinstance(error, BadCredentials):
            raise
        return None


def record_failure(order: Order, error: ExchangeError, at_ms: int) -> None:
    """Write down what a failed send means: rejected, never there, or uncertain."""
    words = str(error)[:300]
    if not error.had_no_effect:
        move(order, S.UNCERTAIN, answer=words)
    elif isinstance(error, (OrderRejected, VenueClosed, BadCredentials)):
        move(order, S.REJECTED, answer=words, settled_ms=at_ms)
    else:
        move(order, S.REFUSED, answer=f"never sent: {words}"[:300], settled_ms=at_ms)
    logger.warning("order %s is %s: %s", order.client_ref, order.status, words)
