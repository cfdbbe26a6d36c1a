"""Exposure caps over several sessions, checked in the transaction that writes the intent.

Paused sessions and those that have ended with a position count like the others: it is exposure all the same.

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
from market.prepared import Select
from trading import short_books
from trading.books import coins
from trading.models import ExposureCap, Holding, LiveSession, Order, ParentOrder, ParentStatus, Side
from trading.models.order import HELD_BACK, UNSETTLED
from trading.models.session import DRIVEN

_caps = Select(ExposureCap, ["id"], where=["currency"])
DUST = Decimal(1)  # quote currency; a position below it is a rest no venue takes an order for


@dataclass(frozen=True, slots=True)
class Use:
    """What the sessions under a cap hold, quote currency."""

    total: Decimal
    per_pair: dict[str, Decimal]
    count: int


def caps_over(session: LiveSession) -> list[ExposureCap]:
    """Lock and return the caps a session trades under. Call inside a transaction."""
    currency = coins(session.pair)[1]
    if not _caps(currency=currency):
        return []
    over = Q(account=None, owner=session.owner_id) | Q(account=session.account_id)
    rows = ExposureCap.objects.select_for_update().filter(over, currency=currency)
    return list(rows.order_by("pk"))


def use_of(cap: ExposureCap, without: LiveSession | None = None) -> Use:
    """Return what the sessions under a cap hold or are about to hold, but for one of them.

    Sessions that have ended count as long as they hold something, or an order of theirs is unsettled.
    """
    scope = Q(account=cap.account_id) if cap.account_id else Q(owner=cap.owner_id)
    unsettled = Order.objects.filter(status__in=[*UNSETTLED, *HELD_BACK]).values("session")
    exposed = Q(status__in=DRIVEN) | ~Q(held=0) | Q(pk__in=unsettled)
    sessions = list(LiveSession.objects.filter(scope, exposed, pair__endswith=f"/{cap.currency}"))
    held, marks = held_by(sessions), marks_of(sessions)
    rows = [row for row in sessions if without is None or row.pk != without.pk]
    pending = pending_of(rows)
    per_pair: dict[str, Decimal] = defaultdict(Decimal)
    count = 0
    for row in rows:
        value = value_of(held[row.pk], pending[row.pk], marks[row.account_id, row.pair])
        per_pair[row.pair] += value
        count += value >= DUST
    return Use(sum(per_pair.values(), Decimal(0)), dict(per_pair), count)


def pending_of(sessions: Iterable[LiveSession]) -> dict[int, list[tuple[Decimal, Decimal]]]:
    """Return (signed quantity, price) of what is under way, held back or still to be sent, by session."""
    found: dict[int, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    rows = list(sessions)
    at_work = ParentOrder.objects.filter(  # nobody goes on with what an ended session has left
        session__in=[row for row in rows if row.is_driven], status=ParentStatus.WORKING
    )
    orders = Order.objects.filter(session__in=rows, status__in=[*UNSETTLED, *HELD_BACK])
    for order in orders.exclude(parent__in=at_work):
        found[order.session_id].append((_signed(order.side, order.quantity), order.expected_price))
    for parent in at_work:
        found[parent.session_id].append((_signed(parent.side, parent.left), Decimal(0)))
    return found


def _signed(side: str, quantity: Decimal) -> Decimal:
    return quantity * Side(side).sign


def marks_of(sessions: Iterable[LiveSession]) -> dict[tuple[int, str], Decimal]:
    """Return the newest price that any of the sessions has seen, by account and pair."""
    newest: dict[tuple[int, str], LiveSession] = {}
    for row in sessions:
        key = (row.account_id, row.pair)
        if key not in newest or row.price_ms > newest[key].price_ms:
            newest[key] = row
    return {key: row.price for key, row in newest.items()}


def held_by(sessions: Iterable[LiveSession]) -> dict[int, Decimal]:
    """Return what each session holds, by session; of one that has ended what of it is still there.

    Nobody tells an ended session that a person has sold its position by hand. So it counts as far as the
    account's books hold more than the driven sessions do, the newest first.
    """
    rows = sorted(sessions, key=lambda row: (not row.is_driven, -row.pk))
    holdings = Holding.objects.filter(account__in={row.account_id for row in rows})
    left = {(one.account_id, one.coin): one.quantity for one in holdings}
    found = {}
    for row in rows:
        name = short_books.name_of(row.pair) if row.held < 0 else coins(row.pair)[0]
        room = left.get((row.account_id, name), Decimal(0))
        part = abs(row.held) if row.is_driven else min(abs(row.held), max(room, Decimal(0)))
        left[row.account_id, name] = room - part
        found[row.pk] = part.copy_sign(row.held)
    return found


def value_of(held: Decimal, pending: list[tuple[Decimal, Decimal]], mark: Decimal) -> Decimal:
    """Return the largest value a position has or will have when what is pending fills."""
    price = max([mark, *(at for _, at in pending)])
    after = held + sum((quantity for quantity, _ in pending), Decimal(0))
    return max(abs(held), abs(after)) * price


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
