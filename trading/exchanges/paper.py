"""Trading on paper: live prices from elsewhere, simulated fills, books that survive a restart.

A resting limit is looked at whenever something is read or sent: a touch between two looks is not seen.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from django.db import DatabaseError
from django.db.models import F

from market.kernel.instrument import Instrument
from trading.exchanges import paper_shorts
from trading.exchanges.errors import BadAnswer, OrderRejected, OutcomeUnknown, Unreachable, VenueClosed
from trading.exchanges.paper_book import PaperBook
from trading.exchanges.port import (
    OPEN,
    SHORT_CLOSE,
    SHORT_OPEN,
    ZERO,
    Balance,
    OrderReport,
    Proposal,
    Quote,
    ShortPosition,
    ShortReport,
)
from trading.exchanges.streamed import Streamed
from trading.models import PaperState

Result = TypeVar("Result")
OPENING_USD = Decimal(50_000)
TRIES = 50


class Prices(Protocol):
    """Where quotes and rules come from: the reading half of an Exchange."""

    def server_ms(self) -> int: ...
    def now_ms(self) -> int: ...
    def instruments(self) -> dict[str, Instrument]: ...
    def tradable(self) -> frozenset[str]: ...
    def quotes(self, pairs: Iterable[str] | None = None) -> dict[str, Quote]: ...


def open_books(account_id: int, usd: Decimal) -> None:
    """Give a new paper account its money."""
    state = PaperBook.opened("USD", usd).as_dict()
    PaperState.objects.get_or_create(account_id=account_id, defaults={"state": state})


class Paper:
    """See `port.Exchange`."""

    name = "paper"
    has_client_ids = False
    lists_emptied = False

    def __init__(self, prices: Prices, account_id: int) -> None:
        self._prices = prices
        self._account_id = account_id

    @property
    def prices(self) -> Prices:
        """Return where its prices come from."""
        return self._prices

    def close(self) -> None:
        """End what runs on behalf of the prices."""
        if isinstance(self._prices, Streamed):
            self._prices.close()

    def server_ms(self) -> int:
        return self._prices.server_ms()

    def now_ms(self) -> int:
        return self._prices.now_ms()

    def instruments(self) -> dict[str, Instrument]:
        return self._prices.instruments()

    def tradable(self) -> frozenset[str]:
        return self._prices.tradable()

    def quotes(self, pairs: Iterable[str] | None = None) -> dict[str, Quote]:
        wanted = None if pairs is None else list(pairs)
        resting = self._read().open_pairs()
        found = self._prices.quotes(None if wanted is None else [*wanted, *(resting - set(wanted))])
        if resting:
            self._sweep(found)
        return found if wanted is None else {pair: found[pair] for pair in wanted if pair in found}

    def balances(self, *, allow_empty: bool = False) -> dict[str, Balance]:
        book = self._current()
        locked: dict[str, Decimal] = {}
        for pair, short in book.shorts.items():
            quote = pair.partition("/")[2]
            locked[quote] = locked.get(quote, ZERO) + short.collateral
        return {
            coin: replace(balance, collateral=locked.get(coin, ZERO))
            for coin, balance in book.balances.items()
        }

    def place(self, order: Proposal) -> OrderReport:
        rules, quote = self._market(order.pair)
        now_ms = self.now_ms()
        order.before_send()

        def place(book: PaperBook) -> OrderReport:
            if order.side == SHORT_OPEN:
                paper_shorts.open_short(book, rules, order.collateral or ZERO, quote, now_ms)
            elif order.side == SHORT_CLOSE:
                paper_shorts.close_short(book, rules, order.quantity, quote, now_ms)
            else:
                return book.place(order, rules, quote, now_ms)
            return book.orders[-1]

        return self._change(place, moves_money=True)

    def cancel(self, venue_order_id: str) -> bool:
        self._current()
        rules, now_ms = self.instruments(), self.now_ms()
        return self._change(lambda book: book.cancel(venue_order_id, rules, now_ms), moves_money=True)

    def report(self, venue_order_id: str) -> OrderReport | None:
        found = self.reports(None, limit=10_000)
        return next((report for report in found if report.venue_order_id == venue_order_id), None)

    def reports(self, pair: str | None, *, open_only: bool = False, limit: int = 100) -> list[OrderReport]:
        found = [
            report
            for report in reversed(self._current().orders)
            if pair in (None, report.pair) and (report.status == OPEN or not open_only)
        ]
        return found[:limit]

    def open_short(self, pair: str, collateral: Decimal, price: Decimal | None = None) -> ShortReport:
        if price is not None:
            raise OrderRejected("a paper account opens shorts at the market only: leave the price out")
        rules, quote = self._market(pair)
        now_ms = self.now_ms()
        return self._change(
            lambda book: paper_shorts.open_short(book, rules, collateral, quote, now_ms), moves_money=True
        )

    def close_short(self, pair: str, quantity: Decimal | None = None) -> ShortReport:
        rules, quote = self._market(pair)
        now_ms = self.now_ms()
        return self._change(
            lambda book: paper_shorts.close_short(book, rules, quantity, quote, now_ms), moves_money=True
        )

    def short_positions(self) -> list[ShortPosition]:
        book = self._read()
        if not book.shorts:
            return []
        quotes = self._prices.quotes(book.shorts)
        if set(book.shorts) - set(quotes):
            raise BadAnswer("a short's pair has no quote at present")
        return paper_shorts.positions(book, quotes)

    def _market(self, pair: str) -> tuple[Instrument, Quote]:
        """Return the rules and the quote an order on `pair` would meet."""
        rules = self.instruments().get(pair)
        if rules is None:
            raise OrderRejected("pair not found")
        if pair not in self.tradable():
            raise VenueClosed(f"{pair} can not be traded now")
        quote = self._prices.quotes([pair]).get(pair)
        if quote is None:
            raise VenueClosed(f"{pair} has no quote at present, so that nothing can fill")
        return rules, quote

    def _current(self) -> PaperBook:
        """Return the books after the resting orders have met the present quotes."""
        book = self._read()
        resting = book.open_pairs()
        return self._sweep(self._prices.quotes(resting)) if resting else book

    def _sweep(self, quotes: dict[str, Quote]) -> PaperBook:
        rules, now_ms = self.instruments(), self.now_ms()

        def sweep(book: PaperBook) -> PaperBook:
            book.sweep(rules, quotes, now_ms)
            return book

        return self._change(sweep)

    def _read(self) -> PaperBook:
        return self._change(lambda book: book)

    def _change(self, act: Callable[[PaperBook], Result], *, moves_money: bool = False) -> Result:
        """Do `act` on the books once, whatever other processes do to them at the same time."""
        for _ in range(TRIES):
            row = self._row()
            book = PaperBook.from_dict(row.state)
            result = act(book)
            state = book.as_dict()
            if state == row.state or self._replaced(row, state, moves_money=moves_money):
                return result
        raise Unreachable("the paper books are busy")

    def _row(self) -> PaperState:
        try:
            state = PaperBook.opened("USD", OPENING_USD).as_dict()
            return PaperState.objects.get_or_create(account_id=self._account_id, defaults={"state": state})[0]
        except DatabaseError as error:
            raise Unreachable("the paper books cannot be read from the database") from error

    def _replaced(self, row: PaperState, state: dict[str, Any], *, moves_money: bool) -> bool:
        unchanged = PaperState.objects.filter(pk=row.pk, version=row.version)
        try:
            return bool(unchanged.update(state=state, version=F("version") + 1))
        except DatabaseError as error:
            kind = OutcomeUnknown if moves_money else Unreachable
            raise kind("the paper books could not be written to the database") from error
