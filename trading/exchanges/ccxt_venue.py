"""Other venues behind our port, through the ccxt library. Orders carry a client id of ours.

Spot only. What each venue does differently is in `ccxt_dialects`.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from market.kernel.instrument import Instrument
from trading.exchanges import ccxt_answers as answers
from trading.exchanges.ccxt_dialects import Dialect
from trading.exchanges.ccxt_wire import CcxtWire, NoSuchOrder
from trading.exchanges.errors import ExchangeError, OrderRejected, OutcomeUnknown
from trading.exchanges.port import (
    Balance,
    OrderReport,
    Proposal,
    Quote,
    ShortPosition,
    ShortReport,
)
from trading.exchanges.stillness import Stillness, as_of, shown

RULES_FRESH_S = 3600.0  # some megabytes: rarely read
NO_SHORTS = "this venue's shorts are not supported here: choose a pair to buy and sell"


class Ccxt:
    """See `port.Exchange` and `port.ByClientId`.

    :param known_pairs: pairs whose orders may be the account's; some venues list orders of one pair only.
    """

    has_client_ids = True
    lists_emptied = False

    def __init__(self, wire: CcxtWire, dialect: Dialect, known_pairs: Callable[[], set[str]]) -> None:
        self.name = f"ccxt:{dialect.name}"
        self._wire, self._dialect, self._known_pairs = wire, dialect, known_pairs
        self._traded: set[str] = set()  # pairs, by this object
        self._rules: tuple[dict[str, Instrument], frozenset[str]] = ({}, frozenset())
        self._rules_read_s: float | None = None
        self._stillness = Stillness()

    def __repr__(self) -> str:
        return f"Ccxt({self._dialect.name!r}, {self._wire.base_url!r})"

    def server_ms(self) -> int:
        return self._wire.server_ms()

    def now_ms(self) -> int:
        return self._wire.now_ms()

    def instruments(self) -> dict[str, Instrument]:
        return self._current_rules()[0]

    def tradable(self) -> frozenset[str]:
        return self._current_rules()[1]

    def quotes(self, pairs: Iterable[str] | None = None) -> dict[str, Quote]:
        listed = self.instruments()
        wanted = sorted(listed if pairs is None else set(pairs) & set(listed))
        if not wanted:
            return {}
        asked = None if pairs is None else wanted
        tickers = self._wire.call(lambda client: client.fetch_tickers(asked))
        now_ms = self.now_ms()
        found = answers.quotes(tickers, wanted, now_ms)
        signs = shown(tickers, ("bid", "ask", "last", "timestamp"))  # a time of its own that goes on is one
        since_ms = self._stillness.since(signs, now_ms, rate=1.0)
        return found if since_ms is None else as_of(found, since_ms)

    def balances(self, *, allow_empty: bool = False) -> dict[str, Balance]:
        self.instruments()
        wallet = self._wire.call(lambda client: client.fetch_balance())
        return answers.balances(wallet, allow_empty=allow_empty)

    def place(self, order: Proposal) -> OrderReport:
        self._check(order)
        self._traded.add(order.pair)
        placed = self._wire.call(
            lambda client: self._dialect.place(client, order),
            kind="order",
            moves_money=True,
            before_send=order.before_send,
        )
        try:
            if placed.get("status") is not None:
                return answers.order_report(placed)
            found = self._found(order.pair, order_id=str(placed["id"]))
        except (ExchangeError, TypeError, KeyError) as error:
            raise OutcomeUnknown(f"an order was accepted, but not shown yet: {error}") from error
        if found is None:
            raise OutcomeUnknown("an order was accepted, but not shown yet")
        return found

    def cancel(self, venue_order_id: str) -> bool:
        pair, order_id = parts_of(venue_order_id)
        self.instruments()
        try:
            self._wire.call(
                lambda client: client.cancel_order(order_id, pair), kind="order", moves_money=True
            )
        except NoSuchOrder:
            return False
        return True

    def report(self, venue_order_id: str) -> OrderReport | None:
        pair, order_id = parts_of(venue_order_id)
        return self._found(pair, order_id=order_id) if pair else None

    def find(self, pair: str, client_id: str) -> OrderReport | None:
        return self._found(pair, client_id=client_id)

    def reports(self, pair: str | None, *, open_only: bool = False, limit: int = 100) -> list[OrderReport]:
        self.instruments()
        if pair is None:
            listed = sorted((self._known_pairs() | self._traded) & set(self.instruments()))
            found = [one for each in listed for one in self._orders(each, limit, open_only=open_only)]
        else:
            found = self._orders(pair, limit, open_only=open_only)
        return sorted(found, key=_age, reverse=True)[:limit]

    def open_short(self, pair: str, collateral: Decimal, price: Decimal | None = None) -> ShortReport:
        raise OrderRejected(NO_SHORTS)

    def close_short(self, pair: str, quantity: Decimal | None = None) -> ShortReport:
        raise OrderRejected(NO_SHORTS)

    def short_positions(self) -> list[ShortPosition]:
        return []

    def _current_rules(self) -> tuple[dict[str, Instrument], frozenset[str]]:
        local_s = self._wire.clock.local_s()
        if self._rules_read_s is None or local_s - self._rules_read_s > RULES_FRESH_S:
            self._rules = answers.instruments(self._wire.fresh_markets())
            self._rules_read_s = local_s
        return self._rules

    def _check(self, order: Proposal) -> None:
        """Say no to what the library would silently round or fill in."""
        rules = self.instruments().get(order.pair)
        if rules is None:
            raise OrderRejected("pair not found")
        if order.side not in ("BUY", "SELL"):
            raise OrderRejected(NO_SHORTS)
        if not order.client_id:
            raise OrderRejected("an order needs a client id on this venue")
        figures: list[tuple[Decimal | None, Any, str]] = [(order.quantity, rules.step, "quantity")]
        figures += [(order.price, rules.tick, "price")] if order.type == "LIMIT" else []
        for value, grid, what in figures:
            if value is None or not value.is_finite() or value <= 0:
                raise OrderRejected(f"an order's {what} must be above zero, not {value}")
            if value % grid:
                raise OrderRejected(f"{what} step size error: the venue takes multiples of {grid}")

    def _found(self, pair: str, *, order_id: str = "", client_id: str = "") -> OrderReport | None:
        if pair not in self.instruments():
            return None
        try:
            row = self._wire.call(
                lambda client: self._dialect.find(client, pair, order_id=order_id, client_id=client_id),
                kind="order",
            )
        except NoSuchOrder:
            return None
        if not _has_traded(row):
            return answers.order_report(row)
        trades = self._wire.call(
            lambda client: client.fetch_my_trades(
                pair, None, self._dialect.most_trades, {"orderId": str(row["id"])}
            ),
            kind="order",
        )
        return answers.order_report(row, trades)

    def _orders(self, pair: str, limit: int, *, open_only: bool) -> list[OrderReport]:
        count = max(1, min(limit, self._dialect.most_orders))
        if open_only:
            rows = self._wire.call(lambda client: client.fetch_open_orders(pair, None, count))
        else:
            rows = self._wire.call(lambda client: self._dialect.orders(client, pair, count))
        trades = []
        if any(_has_traded(row) for row in rows):
            most = self._dialect.most_trades
            trades = self._wire.call(lambda client: client.fetch_my_trades(pair, None, most))
        return with_trades(rows, trades, is_whole=len(trades) < self._dialect.most_trades)


def with_trades(
    rows: list[dict[str, Any]], trades: list[dict[str, Any]], *, is_whole: bool
) -> list[OrderReport]:
    """Return the orders, newest first, as far back as the listed trades tell about them.

    :param is_whole: there are no older trades than those listed.
    """
    of_order: dict[str, list[dict[str, Any]]] = {}
    for trade in trades:
        of_order.setdefault(str(trade.get("order")), []).append(trade)
    oldest_ms = 0 if is_whole else min(int(trade["timestamp"]) for trade in trades)
    found = []
    for row in sorted(rows, key=lambda one: int(one.get("timestamp") or 0), reverse=True):
        if _has_traded(row) and int(row.get("timestamp") or 0) <= oldest_ms:
            break
        found.append(answers.order_report(row, of_order.get(str(row.get("id")), [])))
    return found


def parts_of(venue_order_id: str) -> tuple[str, str]:
    """Return (pair, the venue's own id); the pair is empty for an id that is not of our making."""
    pair, _, order_id = venue_order_id.partition(":")
    return (pair, order_id) if order_id else ("", venue_order_id)


def _has_traded(row: dict[str, Any]) -> bool:
    return answers.number(row.get("filled") or "0", "filled") > 0


def _age(report: OrderReport) -> tuple[int, int, str]:
    return report.created_ms, len(report.venue_order_id), report.venue_order_id
