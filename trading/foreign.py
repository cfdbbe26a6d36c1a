"""Orders of an account that we did not send: recognised by their ids, taken over once, told by policy.

The money of such an order has moved, so the account's ledger always follows. Policy decides about sessions:
where it says *adopt*, a position that somebody closed by hand is closed in the session's books, too; where it
says *ignore*, sessions keep their own view and nobody is told.

An order that trades in parts is taken over part by part, the first as soon as a comparison meets it: were a
part entered as a plain correction, the whole order would take it from a session once more.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal

from market.kernel.instrument import floor_to_step
from market.kernel.shorts import Short
from trading import books, short_books
from trading.caps import held_by
from trading.exchanges.port import OPEN, OrderReport
from trading.locks import lock_sessions
from trading.models import (
    Account,
    Fill,
    ForeignOrders,
    LedgerEntry,
    LedgerKind,
    LiveSession,
    Order,
    OrderStatus,
    SessionStatus,
    Side,
)
from trading.models.session import DRIVEN
from trading.orders import DISTINCT_MS

UNIT = Decimal("0.000000000001")  # the finest amount a column holds
NOISE = Decimal("0.0000000001")  # 15 significant digits of a large amount
BY_HAND, MARK = "placed by hand", ":by-hand:"
ZERO = Decimal(0)
LEAST_SHORT = Decimal(1)  # quote currency; the venue leaves no smaller short open


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a foreign order that closes a session's position; > 0, whatever side it was on."""

    session: LiveSession
    quantity: Decimal  # > 0, base units
    fee: Decimal  # quote currency


def unknown(account: Account, reports: list[OrderReport]) -> list[OrderReport]:
    """Return what has traded since the books were opened and is in none of them, oldest first.

    Each is an order's report whose traded quantity, price and fee are those of the part that is missing.
    One that looks like an order of ours in flight is not somebody else's: it is about to be settled.
    """
    in_flight = list(Order.objects.unsettled().filter(account=account))
    orders = account.orders.exclude(venue_order_id="").exclude(reason=BY_HAND)
    ours = set(orders.values_list("venue_order_id", flat=True))
    theirs = [
        report
        for report in reversed(reports)
        if has_traded(report)
        and report.side in Side.values
        and report.created_ms >= account.opened_ms
        and report.venue_order_id not in ours
        and not any(has_its_figures(order, report) for order in in_flight)
    ]
    taken = _taken(account, theirs)
    left = (_left(report, taken.get(report.venue_order_id)) for report in theirs)
    return [report for report in left if report is not None]


def not_booked(account: Account, reports: list[OrderReport]) -> list[OrderReport]:
    """Return the orders that are neither one of ours nor were taken over, in part or whole, as others'."""
    known = set(account.orders.exclude(venue_order_id="").values_list("venue_order_id", flat=True))
    kind = LedgerKind.ADJUSTMENT
    notes = set(LedgerEntry.objects.filter(account=account, kind=kind).values_list("note", flat=True))
    return [one for one in reports if one.venue_order_id not in known and note_of(one) not in notes]


def has_traded(report: OrderReport) -> bool:
    """Say whether any of an order has traded; one that waits or was cancelled may have in part."""
    return report.filled > 0


def _taken(account: Account, reports: Iterable[OrderReport]) -> dict[str, books.Traded]:
    """Return what was taken over of each order, by its id; orders of which nothing was are left out."""
    found: dict[str, books.Traded] = defaultdict(lambda: books.Traded(ZERO, ZERO, ZERO))
    noted = {note_of(report): report for report in reports}
    kinds = (LedgerKind.ADJUSTMENT, LedgerKind.FEE)
    entries = LedgerEntry.objects.filter(account=account, note__in=noted, kind__in=kinds)
    for note, coin, kind, amount in entries.values_list("note", "coin", "kind", "amount"):
        report = noted[note]
        if kind == LedgerKind.FEE:
            change = books.Traded(ZERO, ZERO, -amount)
        elif coin == books.coins(report.pair)[1]:
            change = books.Traded(ZERO, -amount * Side(report.side).sign, ZERO)
        else:
            change = books.Traded(abs(amount), ZERO, ZERO)
        found[report.venue_order_id] += change
    fills = Fill.objects.filter(order__account=account, order__reason=BY_HAND)
    for ref, quantity, price, fee in fills.values_list("order__client_ref", "quantity", "price", "fee"):
        found[ref.partition(MARK)[2]] += books.Traded(abs(quantity), abs(quantity) * price, fee)
    return dict(found)


def _left(report: OrderReport, taken: books.Traded | None) -> OrderReport | None:
    """Return an order's report reduced to what was not taken over yet; None when that is nothing."""
    if taken is None:
        return report
    part = books.beyond(report, taken)
    if part is None or part.quantity <= NOISE or Side(report.side).is_short:  # a short trades in one piece
        return None
    return replace(report, filled=part.quantity, average_price=part.price, fee=part.fee)


def has_its_figures(order: Order, report: OrderReport) -> bool:
    """Say whether pair, side and quantity of a report are those an order of ours must have there.

    The venue makes an opening short's quantity of the collateral at the price it fills at; closing one, it
    adds a rest that is below its minimum.
    """
    if (report.pair, report.side) != (order.pair, order.side):
        return False
    if order.side == Side.SHORT_OPEN and order.collateral is not None and order.step is not None:
        if report.average_price <= 0:
            return False
        return report.quantity == floor_to_step(order.collateral / report.average_price, order.step, ZERO)
    if order.side == Side.SHORT_CLOSE:
        return 0 <= (report.quantity - order.quantity) * report.average_price < LEAST_SHORT
    return report.quantity == order.quantity


def effect_of(reports: list[OrderReport], held: dict[str, Short] | None = None) -> dict[str, Decimal]:
    """Return by how much filled orders, oldest first, changed each holding.

    :param held: the account's shorts before them
    """
    total: dict[str, Decimal] = {}
    shorts = dict(held or {})
    for report in reports:
        for name, amount in _effect(report, shorts).items():
            total[name] = total.get(name, ZERO) + amount
    return total


def _effect(report: OrderReport, shorts: dict[str, Short]) -> dict[str, Decimal]:
    """Return what one order changed; a short goes on in `shorts`."""
    side, (base, quote) = Side(report.side), books.coins(report.pair)
    if side.is_short:
        before = shorts.get(report.pair, short_books.NONE)
        shorts[report.pair], changes, _ = short_books.after(
            before, side, report.pair, report.filled, report.average_price
        )
    else:
        signed = report.filled * side.sign
        changes = {base: signed, quote: -signed * report.average_price}
    return {**changes, quote: changes.get(quote, ZERO) - report.fee}


def take_over(account: Account, reports: list[OrderReport]) -> list[str]:
    """Book what has traded at the venue and our books do not know, and say what was done. In a transaction
    that holds the account.

    One that matches an intent we had proven absent corrects that intent; any other is somebody else's act.
    """
    lock_sessions(account.pk)
    done = late_fills(account, reports)
    for report in unknown(account, reports):
        late = _proven_absent(account, report)
        if late is not None:
            if report.status == OPEN:  # what more of it trades is found by this
                late.venue_order_id = report.venue_order_id
                late.save(update_fields=["venue_order_id"])
            books.book(late, report)
            done.append(f"order {late.client_ref} {_LATE[OrderStatus.ABSENT]}")
            continue
        what = f"{note_of(report)} ({report.side} {report.filled.normalize():f} {report.pair})"
        shares = _shares(account, report)
        for share in shares:
            _close(share, report)
            what += f", of which {share.quantity.normalize():f} were the position of {share.session}"
        rest = _rest(report, shares)
        if rest.quantity or rest.fee:
            side, kind = Side(report.side), LedgerKind.ADJUSTMENT
            books.post(account, side, report.pair, rest, kind, note=note_of(report))
        done.append(f"{what} {_DONE[account.foreign_orders]}")
    return done


def late_fills(account: Account, reports: list[OrderReport]) -> list[str]:
    """Book what orders that we hold for cancelled or absent have traded after all, and say so."""
    found = {one.venue_order_id: one for one in reports if one.venue_order_id and has_traded(one)}
    ended = (OrderStatus.CANCELLED, OrderStatus.ABSENT)
    late = list(account.orders.filter(status__in=ended, venue_order_id__in=list(found)))
    words = [f"order {one.client_ref} {_LATE[OrderStatus(one.status)]}" for one in late]
    booked = [books.book(one, found[one.venue_order_id]) for one in late]
    return [said for said, fill in zip(words, booked, strict=True) if fill is not None]


_LATE = {
    OrderStatus.CANCELLED: "has traded although it had been cancelled",
    OrderStatus.ABSENT: "had reached the venue after all",
}
_DONE: dict[str, str] = {ForeignOrders.ADOPT: "adopted", ForeignOrders.IGNORE: "ignored by the sessions"}


def is_all(done: list[str]) -> bool:
    """Say whether nothing was done but taking note of foreign orders that are to be ignored."""
    return all(one.endswith(_DONE[ForeignOrders.IGNORE]) for one in done)


def note_of(report: OrderReport) -> str:
    """Return the note by which the ledger knows a foreign order again."""
    return f"foreign order {report.venue_order_id}"


def _shares(account: Account, report: OrderReport) -> list[Share]:
    """Return what a closing by hand took of positions: what sessions count on and that is gone.

    Of a session that has failed first: nobody but a person can close it.
    """
    if account.foreign_orders != ForeignOrders.ADOPT or report.side not in (Side.SELL, Side.SHORT_CLOSE):
        return []
    is_short = report.side == Side.SHORT_CLOSE
    wanted = LiveSession.objects.filter(account=account, status__in=[*DRIVEN, SessionStatus.FAILED])
    wanted = wanted.filter(shorted__gt=0, pair=report.pair) if is_short else wanted.filter(held__gt=0)
    rows = list(wanted.select_related("account", "owner"))  # locked by `take_over`
    base = books.coins(report.pair)[0]
    if not is_short:
        rows = [row for row in rows if books.coins(row.pair)[0] == base]
    there = {pk: abs(held) for pk, held in held_by(rows).items()}
    holding = account.holdings.filter(coin=short_books.name_of(report.pair) if is_short else base).first()
    left = (holding.quantity if holding else ZERO) - report.filled
    missing = min(sum(there.values(), ZERO) - left, report.filled)
    shares = []
    for row in sorted(rows, key=lambda one: (one.is_driven, one.pk)):
        quantity = min(missing, there[row.pk], row.shorted if is_short else row.held)
        if row.pair != report.pair or quantity <= 0:
            continue
        fee = (report.fee * quantity / report.filled).quantize(UNIT, ROUND_DOWN)
        shares.append(Share(row, quantity, fee))
        missing -= quantity
    return shares


def _close(share: Share, report: OrderReport) -> None:
    """Write a closing by hand down as an order of the session whose position it closed.

    What an order closes in several sessions makes a row for each: the first has its id, an order is in the
    books once. What it closes later on goes to the same rows.
    """
    session = share.session
    ref = f"{session.pk}{MARK}{report.venue_order_id}"
    order = Order.objects.filter(client_ref=ref).first() or _written_down(session, report, ref)
    books.book_part(session, order, books.Part(share.quantity, report.average_price, share.fee), report)
    closed = books.booked_of(order).quantity
    order.quantity, order.answer = max(order.quantity, closed), _said(session, order, closed)
    order.settled_ms = report.finished_ms or report.created_ms
    order.save(update_fields=["quantity", "settled_ms", "answer"])


def _said(session: LiveSession, order: Order, closed: Decimal) -> str:
    """Return what somebody has done to a position, for people.

    :param closed: how much of it the order has traded by now, base units
    """
    is_short = Side(order.side).is_short
    rest, acted = (session.shorted, "bought back") if is_short else (session.held, "sold")
    if not rest:
        return "somebody closed this position outside the session"
    coin = books.coins(order.pair)[0]
    left = f"{rest.normalize():f} {coin} are left"
    return f"somebody {acted} {closed.normalize():f} {coin} of this position outside the session: {left}"


def _written_down(session: LiveSession, report: OrderReport, ref: str) -> Order:
    is_named = Order.objects.filter(account=session.account_id, venue_order_id=report.venue_order_id).exists()
    return Order.objects.create(
        client_ref=ref,
        session=session,
        account_id=session.account_id,
        pair=report.pair,
        side=report.side,
        type=report.type,
        quantity=report.filled,
        expected_price=report.average_price,
        reason=BY_HAND,
        status=OrderStatus.FILLED,
        venue_order_id="" if is_named else report.venue_order_id,
        fence=0,
        planned_ms=report.created_ms,
        sent_ms=report.created_ms,
    )


def _rest(report: OrderReport, shares: list[Share]) -> books.Part:
    """Return what of an order no session has booked."""
    quantity = report.filled - sum((one.quantity for one in shares), ZERO)
    return books.Part(quantity, report.average_price, report.fee - sum((one.fee for one in shares), ZERO))


def _proven_absent(account: Account, report: OrderReport) -> Order | None:
    absent = account.orders.filter(status=OrderStatus.ABSENT, pair=report.pair, side=report.side)
    # Later than that a venue takes no request any more, and others may have the same figures.
    absent = absent.filter(sent_ms__lte=report.created_ms, sent_ms__gt=report.created_ms - DISTINCT_MS)
    return next((order for order in absent if has_its_figures(order, report)), None)
