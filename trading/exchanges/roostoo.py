"""Roostoo behind our port. Only this file and its two helpers know how Roostoo spells things."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from market.kernel.instrument import Instrument
from trading.exchanges import roostoo_answers as answers
from trading.exchanges.errors import BadAnswer, OrderRejected, OutcomeUnknown
from trading.exchanges.port import (
    SHORT_CLOSE,
    SHORT_OPEN,
    Balance,
    OrderReport,
    Proposal,
    Quote,
    ShortPosition,
    ShortReport,
    always,
)
from trading.exchanges.roostoo_answers import plain
from trading.exchanges.roostoo_wire import Call, RoostooWire
from trading.exchanges.stillness import Stillness, as_of, shown

RULES_FRESH_S = 300.0
NO_ORDER = "no order matched"
NONE_CANCELLED = "no order canceled"
MAX_ROWS = 1000


class Roostoo:
    """See `port.Exchange`. An order has no client id here: an unanswered one is matched by its figures."""

    name = "roostoo"
    has_client_ids = False
    lists_emptied = True

    def __init__(self, wire: RoostooWire) -> None:
        self._wire = wire
        self._rules: tuple[dict[str, Instrument], frozenset[str]] = ({}, frozenset())
        self._rules_read_s: float | None = None
        self._stillness = Stillness()

    def __repr__(self) -> str:
        return f"Roostoo({self._wire.base_url!r})"

    def server_ms(self) -> int:
        return self._wire.server_ms()

    @property
    def clock_rate(self) -> float:
        """Return the venue seconds that pass in a real one, as measured."""
        return self._wire.clock.rate

    def now_ms(self) -> int:
        if not self._wire.clock.is_synchronised:
            self._wire.server_ms()
        return self._wire.clock.now_ms()

    def instruments(self) -> dict[str, Instrument]:
        return self._current_rules()[0]

    def tradable(self) -> frozenset[str]:
        return self._current_rules()[1]

    def _current_rules(self) -> tuple[dict[str, Instrument], frozenset[str]]:
        local_s = self._wire.clock.local_s()
        if self._rules_read_s is None or local_s - self._rules_read_s > RULES_FRESH_S:
            self._rules = answers.instruments(self._wire.public("/v3/exchangeInfo", timed=False))
            self._rules_read_s = local_s
        return self._rules

    def quotes(self, pairs: Iterable[str] | None = None) -> dict[str, Quote]:
        answer = self._wire.public("/v3/ticker", timed=True)
        found = answers.quotes(answer, pairs)
        prices = shown(answer["Data"], ("MaxBid", "MinAsk", "LastPrice"))
        since_ms = self._stillness.since(prices, int(answer["ServerTime"]), self.clock_rate)
        return found if since_ms is None else as_of(found, since_ms)

    def balances(self, *, allow_empty: bool = False) -> dict[str, Balance]:
        return answers.balances(self._wire.signed(Call("GET", "/v3/balance")), allow_empty=allow_empty)

    def place(self, order: Proposal) -> OrderReport:
        if order.side in (SHORT_OPEN, SHORT_CLOSE):
            return self._place_short(order)
        sent = {
            "pair": order.pair,
            "side": order.side,
            "type": order.type,
            "quantity": plain(_positive(order.quantity, "quantity")),
        }
        if order.type == "LIMIT":
            sent["price"] = plain(_positive(order.price, "price"))
        answer = self._wire.signed(
            Call("POST", "/v3/place_order", sent, moves_money=True, before_send=order.before_send)
        )
        return _understood(lambda: answers.order_report(answer.get("OrderDetail")))

    def _place_short(self, order: Proposal) -> OrderReport:
        """Open or close a short at the market. The answer names no order: its id comes with `reports`."""
        if order.type != "MARKET":
            raise OrderRejected("shorts are traded at the market only: leave the price out")
        if order.side == SHORT_OPEN:
            done = self._open_short(order.pair, order.collateral, None, order.before_send)
        else:
            done = self._close_short(order.pair, order.quantity, order.before_send)
        return OrderReport(
            "", order.pair, order.side, order.type, done.status, done.quantity, done.quantity, done.price,
            done.fee, order.pair.partition("/")[2], "TAKER", done.created_ms, done.created_ms, raw=done.raw,
        )  # fmt: skip

    def cancel(self, venue_order_id: str) -> bool:
        sent = {"order_id": venue_order_id}
        answer = self._wire.signed(
            Call("POST", "/v3/cancel_order", sent, moves_money=True, empty_words=NONE_CANCELLED)
        )
        cancelled = answer.get("CanceledList") or []
        return _understood(lambda: venue_order_id in {str(order_id) for order_id in cancelled})

    def report(self, venue_order_id: str) -> OrderReport | None:
        found = self._orders({"order_id": venue_order_id})
        return next((report for report in found if report.venue_order_id == venue_order_id), None)

    def reports(self, pair: str | None, *, open_only: bool = False, limit: int = 100) -> list[OrderReport]:
        asked = {"limit": str(max(1, min(limit, MAX_ROWS)))}
        asked |= {"pair": pair} if pair is not None else {}
        asked |= {"pending_only": "TRUE"} if open_only else {}
        return self._orders(asked)

    def _orders(self, asked: dict[str, str]) -> list[OrderReport]:
        answer = self._wire.signed(Call("POST", "/v3/query_order", asked, empty_words=NO_ORDER))
        return [] if answer.get("Success") is False else answers.order_reports(answer)

    def open_short(self, pair: str, collateral: Decimal, price: Decimal | None = None) -> ShortReport:
        return self._open_short(pair, collateral, price, always)

    def _open_short(
        self, pair: str, collateral: Decimal | None, price: Decimal | None, before_send: Callable[[], None]
    ) -> ShortReport:
        sent = {"pair": pair, "collateral": plain(_positive(collateral, "collateral"))}
        if price is not None:
            sent |= {"order_type": "LIMIT", "price": plain(_positive(price, "price"))}
        answer = self._wire.signed(
            Call("POST", "/v6/short_open", sent, moves_money=True, before_send=before_send)
        )
        return _understood(lambda: answers.short_opened(answer))

    def close_short(self, pair: str, quantity: Decimal | None = None) -> ShortReport:
        return self._close_short(pair, quantity, always)

    def _close_short(
        self, pair: str, quantity: Decimal | None, before_send: Callable[[], None]
    ) -> ShortReport:
        sent = {"pair": pair}
        if quantity is not None:
            sent["close_qty"] = plain(_positive(quantity, "quantity"))
        answer = self._wire.signed(
            Call("POST", "/v6/short_close", sent, moves_money=True, before_send=before_send)
        )
        return _understood(lambda: answers.short_closed(pair, answer))

    def short_positions(self) -> list[ShortPosition]:
        return answers.short_positions(self._wire.signed(Call("GET", "/v6/short_positions")))


def _positive(value: Decimal | None, what: str) -> Decimal:
    if value is None or not value.is_finite() or value <= 0:
        raise OrderRejected(f"an order's {what} must be above zero, not {value}")
    return value


def _understood(parse: Callable[[], Any]) -> Any:
    """Return what the answer to a sent order says; one that cannot be read leaves the outcome unknown."""
    try:
        return parse()
    except (BadAnswer, TypeError) as error:
        raise OutcomeUnknown(f"an order's answer cannot be read: {error}") from error
