"""Our books: what an account holds is the sum of its ledger entries; a fill is booked in one piece."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from django.db import transaction

from market.kernel.plan import followed
from market.kernel.portfolio import average_entry, equity, realised, settle
from market.kernel.triggers import EXIT_REASONS
from market.prepared import Insert, Select, Update
from trading import orders, positions, session_row, short_books
from trading.alerts import announce
from trading.exchanges.port import FILLED, OPEN, OrderReport
from trading.locks import lock_account
from trading.models import (
    Account,
    AlertKind,
    Fill,
    Holding,
    LedgerEntry,
    LedgerKind,
    LiveSession,
    Order,
    OrderStatus,
    Side,
)

logger = logging.getLogger(__name__)

UNBOOKED = (OrderStatus.SENDING, OrderStatus.UNCERTAIN)  # never yet seen at the venue: no fills
_holding = Select(Holding, ["id", "quantity"], where=["account", "coin"], lock=True)
_store_holding = Update(Holding, ["quantity"], where=["id"])
_store_entries, _store_fill = Insert(LedgerEntry), Insert(Fill)
STOPS = {reason for reason in EXIT_REASONS.values() if reason}

AVERAGES = Context(prec=14)  # an average is no balance: 14 digits survive every database


def coins(pair: str) -> tuple[str, str]:
    """Return (base, quote) of `BTC/USD`."""
    base, _, quote = pair.partition("/")
    return base, quote


Change = tuple[str, Decimal, str]  # coin, amount, kind of ledger entry


def enter(account: Account, changes: Collection[Change], *, fill: Fill | None = None, note: str = "") -> None:
    """Write ledger entries and the holdings they change. Call inside a transaction.

    The sums are made in Decimal here: SQL arithmetic on SQLite is binary floating point.
    """
    _store_entries.all([
        LedgerEntry(account=account, coin=coin, amount=amount, kind=kind, fill=fill, note=note[:200])
        for coin, amount, kind in changes
    ])  # fmt: skip
    for coin in dict.fromkeys(coin for coin, _, _ in changes):
        key, quantity = _locked(account, coin)
        for name, amount, _ in changes:
            quantity += amount if name == coin else 0
        _store_holding({"quantity": quantity}, id=key)


def _locked(account: Account, coin: str) -> tuple[int, Decimal]:
    """Lock a holding, made where there is none yet; return its key and quantity."""
    while not (found := _holding(account=account.pk, coin=coin)):
        Holding.objects.get_or_create(account=account, coin=coin)
    key, quantity = found[0]
    return key, quantity


@dataclass(frozen=True, slots=True)
class Part:
    """What of an order has traded since it was last booked."""

    quantity: Decimal  # unsigned
    price: Decimal  # average of this part
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Traded:
    """What our books have of an order already."""

    quantity: Decimal  # unsigned
    paid: Decimal  # quantity times price, unsigned
    fee: Decimal

    def __add__(self, more: "Traded") -> "Traded":
        return Traded(self.quantity + more.quantity, self.paid + more.paid, self.fee + more.fee)


@transaction.atomic
def book(order: Order, report: OrderReport, session: LiveSession | None = None) -> Fill | None:
    """Book what the venue says about an order: status, new fill, ledger and session, all or nothing.

    An order that is still open is booked as far as it has traded; what was booked before counts once.
    None when there was nothing to book, or another process has booked it.

    :param session: the order's, in the hands of its driver: it then says what its row says afterwards
    """
    lock_account(order.account_id)
    if session is None:
        session = session_row.locked(order.session_id)
    else:
        session_row.lock(session)
    finished_ms = report.finished_ms or report.created_ms
    # Only whoever moves it on from there knows: another process may have found it open, and booked a part.
    is_first = order.status in UNBOOKED and report.status != OPEN
    if report.status != OPEN:
        status = OrderStatus.FILLED if report.status == FILLED else OrderStatus.CANCELLED
        is_known = order.status == status == OrderStatus.CANCELLED  # it has traded more than it seemed to
        if not is_known and not orders.move(
            order, status, venue_order_id=report.venue_order_id, settled_ms=finished_ms
        ):
            return None
    part = first_part(report) if is_first else unbooked(order, report)
    return None if part is None else book_part(session, order, part, report)


def book_part(session: LiveSession, order: Order, part: Part, report: OrderReport) -> Fill:
    """Book what has traded of an order: fill, ledger, session. Call inside a transaction.

    :param session: the order's, locked, with its account.
    """
    side, note = Side(order.side), f"order {report.venue_order_id}"
    mine = of_session(session, side, part)
    quantity = mine.quantity * side.sign
    fill = Fill(
        order=order,
        session=session,
        quantity=quantity,
        price=part.price,
        fee=mine.fee,
        role=report.role,
        realised=realised(session.entry_price, session.held, quantity, part.price),
        filled_ms=_traded_ms(report, session),
    )
    _store_fill(fill)
    relief = post(session.account, side, order.pair, part, LedgerKind.TRADE, fill=fill, note=note)
    if relief:
        fill.relief = short_books.kept(relief * mine.quantity / part.quantity)
        fill.realised += fill.relief
        fill.save(update_fields=["relief", "realised"])
    _book_session(session, fill)
    tell_fill(fill)
    return fill


def _traded_ms(report: OrderReport, session: LiveSession) -> int:
    """Return when the newest part of an order traded, on the venue's clock."""
    if report.status != OPEN:
        return report.finished_ms or report.created_ms
    # An open order has no end; where its trades have no date, the newest was before the newest price.
    return report.traded_ms or max(report.created_ms, session.price_ms)


def of_session(session: LiveSession, side: Side, part: Part) -> Part:
    """Return the session's part of what has traded.

    The venue merges all shorts of a pair and closes a rest below its minimum along with what it was asked
    for: that rest may be somebody else's.
    """
    if side != Side.SHORT_CLOSE or part.quantity <= session.shorted:
        return part
    return Part(session.shorted, part.price, short_books.kept(part.fee * session.shorted / part.quantity))


def post(
    account: Account,
    side: Side,
    pair: str,
    part: Part,
    kind: str,
    *,
    fill: Fill | None = None,
    note: str,
) -> Decimal:
    """Enter into the account's books what a trade changed; return the loss a short's collateral spared it.

    Call inside a transaction.
    """
    base, quote = coins(pair)
    relief = Decimal(0)
    if side.is_short:
        short = short_books.of_account(account).get(pair, short_books.NONE)
        made, changes, relief = short_books.after(short, side, pair, part.quantity, part.price)
    else:
        quantity = part.quantity * side.sign
        changes = {base: quantity, quote: -quantity * part.price}
    entries = [(name, amount, kind) for name, amount in changes.items()]
    if part.fee:
        entries.append((quote, -part.fee, LedgerKind.FEE))
    enter(account, entries, fill=fill, note=note)
    if side.is_short:
        short_books.remember(account, pair, made)
    return relief


def tell_fill(fill: Fill) -> None:
    """Announce a fill; one by which a stop left the position is announced as that.

    A message that cannot be written must not keep the fill out of the books.
    """
    order, session = fill.order, fill.session
    _, quote = coins(order.pair)
    price = f"{fill.price.normalize():f}"
    text = (
        f"{session}: {order.side} {abs(fill.quantity).normalize():f} {order.pair} at {price} ({order.reason})"
    )
    if not fill.realised:
        text += "."
    else:
        text += f", {'profit' if fill.realised > 0 else 'loss'} {abs(fill.realised):.2f} {quote} before fees."
    kind = AlertKind.STOP_HIT if order.reason in STOPS else AlertKind.FILL
    try:
        with transaction.atomic():
            announce(session.owner, kind, f"fill:{fill.pk}", text, session)
    except Exception:
        logger.exception("fill %s: it is booked, but could not be announced", fill.pk)


def first_part(report: OrderReport) -> Part | None:
    """Return what a report shows of an order that has no fills; None when that is nothing."""
    return Part(report.filled, report.average_price, report.fee) if report.filled > 0 else None


def unbooked(order: Order, report: OrderReport) -> Part | None:
    """Return what a report shows beyond the order's fills; None when that is nothing."""
    booked = booked_of(order)
    return beyond(report, booked) if booked.quantity else first_part(report)


def booked_of(order: Order) -> Traded:
    """Return what of an order is in the books."""
    booked = Traded(Decimal(0), Decimal(0), Decimal(0))
    for fill in order.fills.all():
        booked += Traded(abs(fill.quantity), abs(fill.quantity) * fill.price, fill.fee)
    return booked


def beyond(report: OrderReport, booked: Traded) -> Part | None:
    """Return what a report shows beyond what is booked of it; None when that is nothing."""
    quantity = report.filled - booked.quantity
    if quantity <= 0:
        return None
    price = AVERAGES.plus((report.filled * report.average_price - booked.paid) / quantity)
    return Part(quantity, price, report.fee - booked.fee)


def _book_session(session: LiveSession, fill: Fill) -> None:
    before, worth = session.held, equity(session.cash, session.held, fill.price)
    entry = average_entry(session.entry_price, before, fill.quantity, fill.price)
    session.cash, session.held = settle(session.cash, before, fill.quantity, fill.price, fill.fee)
    session.cash += fill.relief
    if Side(fill.order.side).is_short:
        session.shorted -= fill.quantity
    session.entry_price = AVERAGES.plus(entry)
    session.fees += fill.fee
    session.realised += fill.realised
    after = equity(session.cash, session.held, fill.price)
    track = followed(
        positions.track_of(session), before, session.held, worth, after, fill.price,
        positions.plan_of(session.risk),
    )  # fmt: skip
    changed: dict[str, Any] = {name: getattr(session, name) for name in positions.remember(session, track)}
    if session.held == 0 or before * session.held <= 0:  # closed, opened or turned: guards start anew
        changed |= {"bars_held": 0, "high_water": fill.price if session.held else Decimal(0)}
        changed |= {"stop_price": Decimal(0), "take_price": Decimal(0), "take_kind": 0, "levels": {}}
    if before * fill.quantity < 0:  # what cool-downs and the losing streak look at
        is_loss = fill.realised < fill.fee
        changed |= {"last_exit_ms": fill.filled_ms, "loss_streak": session.loss_streak + 1 if is_loss else 0}
        if is_loss:
            changed["last_loss_ms"] = fill.filled_ms
    for name, value in changed.items():
        setattr(session, name, value)
    session_row.store(session, ["cash", "held", "shorted", "entry_price", "fees", "realised", *changed])
