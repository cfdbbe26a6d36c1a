"""Exposure caps over several sessions, checked in the transaction that writes the intent.

The cap's rows are locked first (SQLite's transactions take the write lock at once), so that two sessions
cannot both see the same room and fill it together. What waits for an answer or for a person counts as held.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q

from market.kernel import breakers
from market.kernel.instrument import Instrument
from trading.books import coins
from trading.models import ExposureCap, LiveSession, Order, ParentOrder, ParentStatus, Side
from trading.models.order import HELD_BACK, UNSETTLED

DUST = Decimal(1)  # quote currency; a position below it is a rest no venue takes an order for


@dataclass(frozen=True, slots=True)
class Use:
    """What the sessions under a cap hold, quote currency."""

    total: Decimal
    per_pair: dict[str, Decimal]
    count: int


def caps_over(session: LiveSession) -> list[ExposureCap]:
    """Lock and return the caps a session trades under. Call inside a transaction."""
    over = Q(account=None, owner=session.owner_id) | Q(account=session.account_id)
    rows = ExposureCap.objects.select_for_update().filter(over, currency=coins(session.pair)[1])
    return list(rows.order_by("pk"))


def use_of(cap: ExposureCap, without: LiveSession | None = None) -> Use:
    """Return what the driven sessions under a cap hold or are about to hold, but for one of them."""
    scope = Q(account=cap.account_id) if cap.account_id else Q(owner=cap.owner_id)
    sessions = LiveSession.objects.driven().filter(scope, pair__endswith=f"/{cap.currency}")
    rows = [row for row in sessions if without is None or row.pk != without.pk]
    pending = pending_of(rows)
    per_pair: dict[str, Decimal] = defaultdict(Decimal)
    count = 0
    for row in rows:
        value = value_of(row, pending[row.pk])
        per_pair[row.pair] += value
        count += value >= DUST
    return Use(sum(per_pair.values(), Decimal(0)), dict(per_pair), count)


def pending_of(sessions: Iterable[LiveSession]) -> dict[int, list[tuple[Decimal, Decimal]]]:
    """Return (signed quantity, price) of what is under way, held back or still to be sent, by session."""
    found: dict[int, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    rows = list(sessions)
    orders = Order.objects.filter(session__in=rows, status__in=[*UNSETTLED, *HELD_BACK])
    for order in orders.exclude(parent__status=ParentStatus.WORKING):
        found[order.session_id].append((_signed(order.side, order.quantity), order.expected_price))
    for parent in ParentOrder.objects.filter(session__in=rows, status=ParentStatus.WORKING):
        found[parent.session_id].append((_signed(parent.side, parent.left), Decimal(0)))
    return found


def _signed(side: str, quantity: Decimal) -> Decimal:
    return quantity * Side(side).sign


def value_of(session: LiveSession, pending: list[tuple[Decimal, Decimal]]) -> Decimal:
    """Return the largest value a session's position has or will have when what is pending fills."""
    price = max([session.price, *(at for _, at in pending)])
    after = session.held + sum((quantity for quantity, _ in pending), Decimal(0))
    return max(abs(session.held), abs(after)) * price


def fitted(
    session: LiveSession, quantity: Decimal, price: Decimal, instrument: Instrument
) -> tuple[Decimal, str]:
    """Return (quantity, reason): the order cut to what the caps over its session leave.

    What only closes is never cut. Call inside the transaction that writes the intent.
    """
    held = session.held
    if quantity == 0 or (quantity * held < 0 and abs(quantity) <= abs(held)):
        return quantity, ""
    for cap in caps_over(session):
        use = use_of(cap, without=session)
        room, why = room_of(cap, use, session)
        if room is None:
            continue
        cut = breakers.cap_position(quantity, held, price, room, instrument.step, Decimal(0))
        if cut != quantity:
            return cut, f"{cap}: {why}"
    return quantity, ""


def room_of(cap: ExposureCap, use: Use, session: LiveSession) -> tuple[Decimal | None, str]:
    """Return (the value this session's position may have, why); None without a limit."""
    if cap.max_open and use.count >= cap.max_open and abs(session.held) * session.price < DUST:
        return Decimal(0), f"{use.count} positions are open, {cap.max_open} are allowed"
    rooms = []
    if cap.max_total:
        left = cap.max_total - use.total
        rooms.append((left, f"others hold {use.total:.2f} of {cap.max_total.normalize():f} {cap.currency}"))
    if cap.max_per_pair:
        taken = use.per_pair.get(session.pair, Decimal(0))
        words = f"others hold {taken:.2f} of {cap.max_per_pair.normalize():f} in {session.pair}"
        rooms.append((cap.max_per_pair - taken, words))
    return min(rooms, key=lambda room: room[0], default=(None, ""))
