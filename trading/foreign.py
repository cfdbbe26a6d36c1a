"""Orders of an account that we did not send: recognised by their ids, taken over once, told by policy.

The money of such an order has moved, so the account's ledger always follows. Policy decides about sessions:
where it says *adopt*, a position that somebody closed by hand is closed in the session's books, too; where it
says *ignore*, sessions keep their own view and nobody is told.
"""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from market.kernel.instrument import floor_to_step
from market.kernel.shorts import Short
from trading import books, short_books
from trading.exchanges.port import FILLED, OrderReport
from trading.models import (
    Account,
    ForeignOrders,
    LedgerEntry,
    LedgerKind,
    LiveSession,
    Order,
    OrderStatus,
    Side,
)

UNIT = Decimal("0.000000000001")  # the finest amount a column holds
BY_HAND = "placed by hand"
ZERO = Decimal(0)
LEAST_SHORT = Decimal(1)  # quote currency; the venue leaves no smaller short open


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a foreign order that closes a session's position; > 0, whatever side it was on."""

    session: LiveSession
    quantity: Decimal  # > 0, base units
    fee: Decimal  # quote currency


def unknown(account: Account, reports: list[OrderReport]) -> list[OrderReport]:
    """Return the filled orders since the books were opened that are in none of them, oldest first.

    One that looks like an order of ours in flight is not somebody else's: it is about to be settled.
    """
    in_flight = list(Order.objects.unsettled().filter(account=account))
    known = set(account.orders.exclude(venue_order_id="").values_list("venue_order_id", flat=True))
    kind = LedgerKind.ADJUSTMENT
    notes = set(LedgerEntry.objects.filter(account=account, kind=kind).values_list("note", flat=True))
    return [
        report
        for report in reversed(reports)
        if report.status == FILLED
        and report.side in Side.values
        and report.created_ms >= account.opened_ms
        and report.venue_order_id not in known
        and note_of(report) not in notes
        and not any(has_its_figures(order, report) for order in in_flight)
    ]


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
    """Book filled orders of the venue that our books do not know, and say what was done. In a transaction.

    One that matches an intent we had proven absent corrects that intent; any other is somebody else's act.
    """
    done = late_fills(account, reports)
    for report in unknown(account, reports):
        late = _proven_absent(account, report)
        if late is not None:
            books.book(late, report)
            done.append(f"order {late.client_ref} had reached the venue after all")
            continue
        what = f"{note_of(report)} ({report.side} {report.filled:f} {report.pair})"
        share = _share(account, report)
        if share is not None:
            _close(share, report)
            what += f", of which {share.quantity:f} were the position of {share.session}"
        rest = _rest(report, share)
        if rest.quantity or rest.fee:
            side, kind = Side(report.side), LedgerKind.ADJUSTMENT
            books.post(account, side, report.pair, rest, kind, note=note_of(report))
        done.append(f"{what} {_DONE[account.foreign_orders]}")
    return done


def late_fills(account: Account, reports: list[OrderReport]) -> list[str]:
    """Book what orders that we hold for cancelled have traded after all, and say so."""
    cancelled = account.orders.filter(status=OrderStatus.CANCELLED).exclude(venue_order_id="")
    found = {one.venue_order_id: one for one in reports if one.status == FILLED}
    late = cancelled.filter(venue_order_id__in=list(found))
    return [
        f"order {order.client_ref} was filled although it had been cancelled"
        for order in late
        if books.book(order, found[order.venue_order_id]) is not None
    ]


_DONE: dict[str, str] = {ForeignOrders.ADOPT: "adopted", ForeignOrders.IGNORE: "ignored by the sessions"}


def is_all(done: list[str]) -> bool:
    """Say whether nothing was done but taking note of foreign orders that are to be ignored."""
    return all(one.endswith(_DONE[ForeignOrders.IGNORE]) for one in done)


def note_of(report: OrderReport) -> str:
    """Return the note by which the ledger knows a foreign order again."""
    return f"foreign order {report.venue_order_id}"


def _share(account: Account, report: OrderReport) -> Share | None:
    """Return what a closing by hand took of a session's position: what it counts on and that is gone."""
    if account.foreign_orders != ForeignOrders.ADOPT or report.side not in (Side.SELL, Side.SHORT_CLOSE):
        return None
    is_short = report.side == Side.SHORT_CLOSE
    wanted = LiveSession.objects.driven().filter(account=account)
    wanted = wanted.filter(shorted__gt=0) if is_short else wanted.filter(held__gt=0)
    driven = list(wanted.select_for_update(of=("self",)).select_related("account", "owner"))
    session = next((one for one in driven if one.pair == report.pair), None)
    if session is None:
        return None
    base, _ = books.coins(report.pair)
    if is_short:
        name, mine, counted_on = short_books.name_of(report.pair), session.shorted, session.shorted
    else:
        name, mine = base, session.held
        counted_on = sum((one.held for one in driven if books.coins(one.pair)[0] == base), ZERO)
    holding = account.holdings.filter(coin=name).first()
    left = (holding.quantity if holding else ZERO) - report.filled
    quantity = min(counted_on - left, mine, report.filled)
    if quantity <= 0:
        return None
    fee = (report.fee * quantity / report.filled).quantize(UNIT, ROUND_DOWN)
    return Share(session, quantity, fee)


def _close(share: Share, report: OrderReport) -> None:
    """Write a closing by hand down as an order of the session whose position it closed."""
    session = share.session
    order = Order.objects.create(
        client_ref=f"{session.pk}:by-hand:{report.venue_order_id}",
        session=session,
        account_id=session.account_id,
        pair=report.pair,
        side=report.side,
        type=report.type,
        quantity=report.filled,
        expected_price=report.average_price,
        reason=BY_HAND,
        status=OrderStatus.FILLED,
        venue_order_id=report.venue_order_id,
        answer="somebody closed this position outside the session",
        fence=0,
        planned_ms=report.created_ms,
        sent_ms=report.created_ms,
        settled_ms=report.finished_ms or report.created_ms,
    )
    books.book_part(session, order, books.Part(share.quantity, report.average_price, share.fee), report)


def _rest(report: OrderReport, share: Share | None) -> books.Part:
    """Return what of an order no session has booked."""
    if share is None:
        return books.Part(report.filled, report.average_price, report.fee)
    return books.Part(report.filled - share.quantity, report.average_price, report.fee - share.fee)


def _proven_absent(account: Account, report: OrderReport) -> Order | None:
    absent = account.orders.filter(status=OrderStatus.ABSENT, pair=report.pair, side=report.side)
    absent = absent.filter(sent_ms__lte=report.created_ms)
    return next((order for order in absent if has_its_figures(order, report)), None)
