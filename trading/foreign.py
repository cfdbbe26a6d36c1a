"""Orders of an account that we did not send: recognised by their ids, taken over once, told by policy.

The money of such an order has moved, so the account's ledger always follows. Policy decides about sessions:
where it says *adopt*, a position that somebody sold by hand is sold in the session's books, too; where it
says *ignore*, sessions keep their own view and nobody is told.
"""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from trading import books
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


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a foreign order that closes a session's position."""

    session: LiveSession
    quantity: Decimal  # > 0, base units
    fee: Decimal  # quote currency


def unknown(account: Account, reports: list[OrderReport]) -> list[OrderReport]:
    """Return the filled orders since the books were opened that are in none of them, oldest first.

    One that looks like an order of ours in flight is not somebody else's: it is about to be settled.
    """
    in_flight = {
        (order.pair, order.side, order.quantity)
        for order in Order.objects.unsettled().filter(account=account)
    }
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
        and (report.pair, report.side, report.quantity) not in in_flight
    ]


def effect_of(reports: list[OrderReport]) -> dict[str, Decimal]:
    """Return by how much filled orders changed each coin."""
    total: dict[str, Decimal] = {}
    for report in reports:
        base, quote = books.coins(report.pair)
        signed = report.filled if report.side == Side.BUY else -report.filled
        total[base] = total.get(base, Decimal(0)) + signed
        total[quote] = total.get(quote, Decimal(0)) - signed * report.average_price - report.fee
    return total


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
        for coin, amount in _rest(report, share).items():
            if amount:
                books.enter(account, coin, amount, LedgerKind.ADJUSTMENT, note=note_of(report))
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
    """Return what of a sale by hand was a session's position: coins it counts on and that are gone."""
    if account.foreign_orders != ForeignOrders.ADOPT or report.side != Side.SELL:
        return None
    wanted = LiveSession.objects.driven().filter(account=account, held__gt=0)
    driven = list(wanted.select_for_update(of=("self",)).select_related("account", "owner"))
    session = next((one for one in driven if one.pair == report.pair), None)
    if session is None:
        return None
    base, _ = books.coins(report.pair)
    counted_on = sum((one.held for one in driven if books.coins(one.pair)[0] == base), Decimal(0))
    holding = account.holdings.filter(coin=base).first()
    left = (holding.quantity if holding else Decimal(0)) - report.filled
    quantity = min(counted_on - left, session.held, report.filled)
    if quantity <= 0:
        return None
    fee = (report.fee * quantity / report.filled).quantize(UNIT, ROUND_DOWN)
    return Share(session, quantity, fee)


def _close(share: Share, report: OrderReport) -> None:
    """Write a sale by hand down as an order of the session whose position it closed."""
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
        answer="somebody sold this position outside the session",
        fence=0,
        planned_ms=report.created_ms,
        sent_ms=report.created_ms,
        settled_ms=report.finished_ms or report.created_ms,
    )
    books.book_part(session, order, books.Part(share.quantity, report.average_price, share.fee), report)


def _rest(report: OrderReport, share: Share | None) -> dict[str, Decimal]:
    """Return by how much an order changed each coin beyond what a session has booked of it."""
    effect = effect_of([report])
    if share is not None:
        base, quote = books.coins(report.pair)
        effect[base] += share.quantity
        effect[quote] -= share.quantity * report.average_price - share.fee
    return effect


def _proven_absent(account: Account, report: OrderReport) -> Order | None:
    absent = account.orders.filter(status=OrderStatus.ABSENT, pair=report.pair, side=report.side)
    return absent.filter(quantity=report.quantity, sent_ms__lte=report.created_ms).first()
