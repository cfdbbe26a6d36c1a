"""The auditor: the venue's journal against our rows. Every sentence it returns is a broken promise."""

from collections import Counter
from decimal import Decimal
from itertools import combinations
from typing import Any

from market.models import AuditEvent
from tests.chaos.acts import HAND, HAND_COLLATERALS
from trading.models import (
    Account,
    Fill,
    LedgerEntry,
    LedgerKind,
    LiveSession,
    Order,
    OrderStatus,
    OrderType,
    ParentOrder,
    ParentStatus,
    SessionStatus,
)
from trading.risk import HEADROOM

ENDED = [SessionStatus.STOPPED]
DOUBT = [OrderStatus.PLANNED, OrderStatus.SENDING, OrderStatus.UNCERTAIN, OrderStatus.OPEN]
Venue = dict[str, Any]


def audit(account: Account, theirs: Venue, pairs: tuple[str, ...], again: int = 0) -> list[str]:
    """Return what is wrong; an empty list is the proof.

    :param again: how often somebody asked for a session of a pair anew, which starts one if it had ended
    """
    return [
        *orders(account, theirs),
        *ledger(account, theirs),
        *sessions(account, pairs, again),
        *drivers(account),
        *decisions(account),
        *left_behind(account, theirs),
        *parents(account),
    ]


def counts(account: Account, theirs: Venue) -> dict[str, int]:
    """Return lost, doubled and invented orders, and how many there were."""
    placed, by_hand = _placed(account, theirs)
    known = Counter(account.orders.exclude(venue_order_id="").values_list("venue_order_id", flat=True))
    ours = placed - by_hand
    return {
        "orders": sum(ours.values()),
        "by_hand": sum(by_hand.values()),
        "lost": sum((ours - known).values()),
        "invented": sum((known - placed).values()),
        "doubled": sum(_doubled(account, theirs).values()),
        "uncertain_settled": account.orders.filter(
            answer__in=["proven not to be on the venue", "the process ended while it was being sent"]
        ).count(),
        "limit": account.orders.filter(type=OrderType.LIMIT).count(),
        "requoted": account.orders.filter(type=OrderType.LIMIT, status=OrderStatus.CANCELLED).count(),
        "splits": ParentOrder.objects.filter(session__account=account, style="split").count(),
        "absent": account.orders.filter(status=OrderStatus.ABSENT).count(),
    }


def _placed(account: Account, theirs: Venue) -> tuple[Counter, Counter]:
    """Return the venue's orders, and those among them that a person placed by hand."""
    placed = Counter(str(order["order_id"]) for order in theirs["orders"])
    chance = account.orders.filter(quantity__in=HAND, side__in=["BUY", "SELL"])  # a child may be as large
    ours = {(one.venue_order_id, one.side, one.quantity) for one in chance}
    by_hand = Counter(
        str(row["order_id"])
        for row in theirs["orders"]
        if _is_by_hand(row) and (str(row["order_id"]), row["side"], Decimal(str(row["quantity"]))) not in ours
    )
    return placed, by_hand


def _is_by_hand(row: dict[str, Any]) -> bool:
    """Sessions trade neither such quantities nor so little collateral."""
    if row["side"] == "SHORT_OPEN":
        return Decimal(row["quantity"]) * Decimal(row["price"]) <= max(map(Decimal, HAND_COLLATERALS))
    return Decimal(str(row["quantity"])) in HAND


def _doubled(account: Account, theirs: Venue) -> Counter:
    """Return the figures that the venue has more orders of than we have intents.

    A short's quantity is the venue's: an intent is doubled when a second row fits it that is none of ours.
    """
    rows = [row for row in theirs["orders"] if not row["side"].startswith("SHORT")]
    look = Counter(_look(o["pair"], o["side"], o["quantity"]) for o in rows)
    intents = Counter(_look(o.pair, o.side, o.quantity) for o in account.orders.all())
    known = set(account.orders.values_list("venue_order_id", flat=True))
    strange = [row for row in theirs["orders"] if row not in rows and str(row["order_id"]) not in known]
    again: Counter = Counter()
    for order in account.orders.filter(side__startswith="SHORT").exclude(venue_order_id=""):
        again[_look(order.pair, order.side, order.quantity)] += sum(fits(order, row) for row in strange)
    return again + Counter(
        {
            figure: n - intents[figure]
            for figure, n in look.items()
            if figure in intents and n > intents[figure]
        }
    )


def fits(order: Order, row: dict[str, Any]) -> bool:
    """Say whether a row can be what became of one of our short orders."""
    if (row["pair"], row["side"]) != (order.pair, order.side):
        return False
    quantity, price = Decimal(row["quantity"]), Decimal(row["price"])
    if order.side == "SHORT_CLOSE":  # a rest below the minimum goes with it
        return 0 <= (quantity - order.quantity) * price < 1
    return quantity * price <= order.collateral < (quantity + order.step) * price


def _look(pair: str, side: str, quantity: Any) -> tuple[str, str, Decimal]:
    return pair, side, Decimal(str(quantity)).normalize()


def orders(account: Account, theirs: Venue) -> list[str]:
    wrong = []
    found = counts(account, theirs)
    wrong += [f"{found[kind]} order(s) {kind}" for kind in ("lost", "invented", "doubled") if found[kind]]
    shown = {str(order["order_id"]): order for order in theirs["orders"]}
    for order in account.orders.prefetch_related("fills"):
        wrong += order_against(order, shown.get(order.venue_order_id))
    return wrong


def order_against(order: Order, row: dict[str, Any] | None) -> list[str]:
    """Compare one of our orders with the venue's row of that id."""
    fills = list(order.fills.all())
    if order.status in DOUBT:
        return [f"{order.client_ref} is still {order.status}"]
    if order.status != OrderStatus.FILLED:
        return [f"{order.client_ref} is {order.status} and has a fill"] if fills else []
    if row is None or len(fills) != 1:
        return [f"{order.client_ref} is filled with {len(fills)} fill(s), the venue shows {row}"]
    signed = abs(fills[0].quantity)
    if (fills[0].quantity > 0) != (order.side in ("BUY", "SHORT_CLOSE")):
        return [f"{order.client_ref} is a {order.side} booked as {fills[0].quantity}"]
    if order.side.startswith("SHORT"):
        rest = (Decimal(row["quantity"]) - signed) * Decimal(row["price"])
        if not fits(order, row) or not 0 <= rest < (1 if order.side == "SHORT_CLOSE" else Decimal("1e-9")):
            return [f"{order.client_ref} for {order.collateral} booked {signed}, the venue says {row}"]
        return []
    if signed != order.quantity or _look(order.pair, order.side, signed) != _look(
        row["pair"], row["side"], row["quantity"]
    ):
        return [f"{order.client_ref} booked {fills[0].quantity}, the venue says {row}"]
    return []


def ledger(account: Account, theirs: Venue) -> list[str]:
    """Every coin is equal to the last digit, is the sum of its entries, and moved by known orders only."""
    wrong = []
    amounts = {coin: sum(map(Decimal, purse.values())) for coin, purse in theirs["purses"].items()}
    shorts = {f"{one['pair']} short": one for one in theirs["shorts"]}
    amounts |= {name: Decimal(one["quantity"]) for name, one in shorts.items()}
    _, by_hand = _placed(account, theirs)
    is_merged = any(o["side"] == "SHORT_OPEN" and str(o["order_id"]) in by_hand for o in theirs["orders"])
    quotient = Decimal("1e-7") if is_merged else Decimal(0)  # what an averaged entry price leaves
    ours = {row.coin: row.quantity for row in account.holdings.all()}
    for coin in sorted(set(ours) | set(amounts)):
        mine, venue = ours.get(coin, Decimal(0)), amounts.get(coin, Decimal(0))
        if abs(mine - venue) > (quotient if coin == "USD" else 0):
            wrong.append(f"{coin}: our books say {mine}, the venue {venue}")
        entered = sum((one.amount for one in account.ledger.filter(coin=coin)), Decimal(0))
        if entered != mine:
            wrong.append(f"{coin}: the ledger adds up to {entered}, the holding is {mine}")
    for row in account.holdings.exclude(quantity=0):
        one = shorts.get(row.coin)
        if one and (
            abs(row.entry_price - Decimal(one["entry"])) > quotient
            or row.collateral != Decimal(one["collateral"])
        ):
            wrong.append(f"{row.coin}: our books say {row.entry_price} for {row.collateral}, the venue {one}")
    allowed = {f"foreign order {order_id}" for order_id in by_hand}
    adjusted = LedgerEntry.objects.filter(account=account, kind=LedgerKind.ADJUSTMENT)
    notes = set(adjusted.values_list("note", flat=True))
    wrong += [f"an adjustment that no order by hand explains: {note}" for note in sorted(notes - allowed)]
    wrong += [f"{note} was not adopted" for note in sorted(allowed - notes)]
    return wrong


def sessions(account: Account, pairs: tuple[str, ...], again: int = 0) -> list[str]:
    """Each session ended as asked, with books that are its capital and its fills, never below zero.

    A pair has one session at a time: the next is made after the last turn of the one before.
    """
    wrong = []
    rows = list(LiveSession.objects.filter(account=account).order_by("pk"))
    started = AuditEvent.objects.filter(action="session.start", object_id__in=[str(row.pk) for row in rows])
    if not len(pairs) <= len(rows) <= len(pairs) + again or {row.pair for row in rows} != set(pairs):
        wrong.append(f"{len(rows)} sessions were started, {len(pairs)} were asked for and {again} again")
    for before, after in combinations(rows, 2):
        if before.pair == after.pair and before.turn_at and before.turn_at > after.created_at:
            wrong.append(f"sessions {before.pk} and {after.pk} traded {after.pair} at the same time")
    if started.count() != len(rows):
        wrong.append(f"{started.count()} starts are on record for {len(rows)} sessions")
    for row in rows:
        if row.status not in ENDED:
            wrong.append(f"session {row.pk} is {row.status}: {row.note}")
        wrong += books_of(row)
    return wrong


def books_of(session: LiveSession) -> list[str]:
    """Capital and fills are the books; below zero only by what the price ran away while an order was out."""
    cash, held = session.capital if session.started_ms else Decimal(0), Decimal(0)
    shorted = Decimal(0)
    wrong = []
    for fill in session.fills.select_related("order").order_by("id"):
        cash += fill.relief - fill.quantity * fill.price - fill.fee
        held += fill.quantity
        if fill.order.side.startswith("SHORT"):
            shorted -= fill.quantity
        if cash < min(-slipped(fill), 0) or held + shorted < 0 or shorted < 0:
            wrong.append(f"session {session.pk} has cash {cash}, {held} and {shorted} short after {fill}")
    if (cash, held, shorted) != (session.cash, session.held, session.shorted):
        wrong.append(
            f"session {session.pk} has {session.cash}, {session.held} and {session.shorted} short, its fills "
            f"say {cash}, {held} and {shorted}"
        )
    return wrong


def slipped(fill: Fill) -> Decimal:
    """Return what a purchase cost more than its touch and the headroom it was sized with."""
    sized_for = fill.order.expected_price * (1 + HEADROOM)
    return fill.quantity * (fill.price - sized_for) * (1 + HEADROOM)


def drivers(account: Account) -> list[str]:
    """The fences of a session's orders never fall: a driver that was replaced sent nothing."""
    wrong = []
    for session in LiveSession.objects.filter(account=account):
        sent = session.orders.exclude(venue_order_id="")
        fences = [order.fence for order in sorted(sent, key=lambda one: int(one.venue_order_id))]
        if fences != sorted(fences):
            wrong.append(f"session {session.pk}: a replaced driver sent an order: fences {fences}")
    return wrong


def decisions(account: Account) -> list[str]:
    """A decision has one order or parent, or a close and what it opens; no bar was decided on twice."""
    wrong = []
    for session in LiveSession.objects.filter(account=account):
        made = session.orders.exclude(decision=None).filter(parent=None).order_by("id")
        sides: dict[int, list[Order]] = {}
        for order in made:
            sides.setdefault(order.decision_id, []).append(order)
        wrong += [
            f"decision {pk} turned by {[f'{one.side} {one.status}' for one in both]}"
            for pk, both in sides.items()
            if len(both) == 2 and not turned(*both)
        ]
        ordered = Counter({pk: len(both) for pk, both in sides.items()})
        wishes = Counter(session.parents.exclude(decision=None).values_list("decision", flat=True))
        wrong += [f"decision {pk} has {n} parent orders" for pk, n in wishes.items() if n > 1]
        wrong += [f"decision {pk} has orders beside its parent order" for pk in wishes if pk in ordered]
        bars = Counter(session.decisions.values_list("bar_ms", flat=True))
        wrong += [f"decision {pk} has {n} orders" for pk, n in ordered.items() if n > 2]
        wrong += [
            f"session {session.pk}: bar {bar} was decided on {n} times" for bar, n in bars.items() if n > 1
        ]
    return wrong


def left_behind(account: Account, theirs: Venue) -> list[str]:
    """Nothing of a session that has ended rests at the venue or is at work in our books."""
    ended = LiveSession.objects.filter(account=account, status__in=ENDED)
    refs = dict(account.orders.filter(session__in=ended).values_list("venue_order_id", "client_ref"))
    wrong = [
        f"{refs[str(row['order_id'])]} of an ended session rests at the venue"
        for row in theirs["orders"]
        if row["status"] == "PENDING" and str(row["order_id"]) in refs
    ]
    working = ParentOrder.objects.filter(session__in=ended, status=ParentStatus.WORKING)
    return wrong + [f"parent order {one.pk} of an ended session is at work: {one}" for one in working]


def parents(account: Account) -> list[str]:
    """No wish trades more than it asked for, nor by orders of the other side."""
    wrong = []
    for parent in ParentOrder.objects.filter(session__account=account).prefetch_related("children__fills"):
        children = list(parent.children.all())
        traded = sum((abs(fill.quantity) for child in children for fill in child.fills.all()), Decimal(0))
        if traded > parent.quantity:
            wrong.append(f"parent order {parent.pk} asked for {parent.quantity} and traded {traded}")
        if {child.side for child in children} - {parent.side}:
            wrong.append(f"parent order {parent.pk} ({parent.side}) has orders of the other side")
    return wrong


def turned(first: Order, second: Order) -> bool:
    """Say whether two orders of one decision are a close that was filled before the opening was planned."""
    pairs = (("SELL", "SHORT_OPEN"), ("SHORT_CLOSE", "BUY"))
    numbers = [int(one.venue_order_id) for one in (first, second) if one.venue_order_id]
    is_proven = first.status == OrderStatus.FILLED and numbers == sorted(numbers)
    return (first.side, second.side) in pairs and is_proven
