"""What a venue does with orders, simulated: pure books in Decimal, fees and touch prices as Roostoo's.

Market orders fill whole at the touch; a limit fills at its price, as maker, once the other side reaches it;
a limit that is marketable on arrival fills at the touch as taker. Refusals use the venue's words.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal
from typing import Any

from market.kernel.costs import fee_of
from market.kernel.instrument import Instrument, floor_to_step, is_tradable
from market.kernel.portfolio import settle
from trading.exchanges.errors import OrderRejected
from trading.exchanges.port import CANCELLED, FILLED, OPEN, ZERO, Balance, OrderReport, Proposal, Quote

KEPT_ORDERS = 200  # settled orders remembered, newest


@dataclass(slots=True)
class PaperShort:
    """An open short; collateral in quote currency."""

    quantity: Decimal
    entry_price: Decimal
    collateral: Decimal
    opened_ms: int


@dataclass(slots=True)
class PaperBook:
    """Balances by coin, orders oldest first, shorts by pair."""

    balances: dict[str, Balance] = field(default_factory=dict)
    orders: list[OrderReport] = field(default_factory=list)
    shorts: dict[str, PaperShort] = field(default_factory=dict)
    next_id: int = 1

    @classmethod
    def opened(cls, coin: str, amount: Decimal) -> "PaperBook":
        return cls(balances={coin: Balance(amount)})

    def place(self, order: Proposal, rules: Instrument, quote: Quote, now_ms: int) -> OrderReport:
        """Fill or rest an order.

        :raises OrderRejected: in the venue's words; nothing has changed then.
        """
        touch = quote.ask if order.side == "BUY" else quote.bid
        price = self._checked_price(order, rules, touch)
        reaches = order.type == "MARKET" or (price >= touch if order.side == "BUY" else price <= touch)
        report = OrderReport(
            str(self.next_id), order.pair, order.side, order.type, OPEN, order.quantity, ZERO, ZERO, ZERO,
            rules.quote, "TAKER" if reaches else "MAKER", now_ms, 0, price,
        )  # fmt: skip
        coin, needed = _cost(report, rules, touch if reaches else price)
        if needed > self.free(coin):
            raise OrderRejected("insufficient balance")
        self.next_id += 1
        if reaches:
            report = self._filled(report, rules, touch, now_ms)
        else:
            self._move(coin, free=-needed, locked=needed)
        self.orders.append(report)
        self._forget_old()
        return report

    def sweep(self, rules: dict[str, Instrument], quotes: dict[str, Quote], now_ms: int) -> None:
        """Fill every resting order that the opposite touch has reached."""
        for index, report in enumerate(self.orders):
            quote = quotes.get(report.pair)
            if report.status != OPEN or quote is None or report.price is None or report.pair not in rules:
                continue
            if quote.ask <= report.price if report.side == "BUY" else quote.bid >= report.price:
                self._unlock(report, rules[report.pair])
                self.orders[index] = self._filled(report, rules[report.pair], report.price, now_ms)

    def cancel(self, order_id: str, rules: dict[str, Instrument], now_ms: int) -> bool:
        """Take a resting order back; False when there is none of that id."""
        for index, report in enumerate(self.orders):
            if report.venue_order_id == order_id and report.status == OPEN:
                self._unlock(report, rules[report.pair])
                self.orders[index] = replace(report, status=CANCELLED, finished_ms=now_ms)
                return True
        return False

    def enter(
        self, side: str, rules: Instrument, quantity: Decimal, price: Decimal, fee: Decimal, now_ms: int
    ) -> str:
        """Enter a filled order whose money has moved already, and return its id."""
        number = str(self.next_id)
        self.next_id += 1
        self.orders.append(
            OrderReport(
                number, rules.pair, side, "MARKET", FILLED, quantity, quantity, price, fee, rules.quote,
                "TAKER", now_ms, now_ms, price,
            )
        )  # fmt: skip
        self._forget_old()
        return number

    def free(self, coin: str) -> Decimal:
        return self.balances[coin].free if coin in self.balances else ZERO

    def open_pairs(self) -> set[str]:
        """Return the pairs with a resting order."""
        return {report.pair for report in self.orders if report.status == OPEN}

    def as_dict(self) -> dict[str, Any]:
        """Return the books as JSON-ready values; Decimals become plain strings."""
        return {
            "balances": {coin: _plain(asdict(balance)) for coin, balance in self.balances.items()},
            "orders": [_plain(asdict(report)) for report in self.orders],
            "shorts": {pair: _plain(asdict(short)) for pair, short in self.shorts.items()},
            "next_id": self.next_id,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "PaperBook":
        return cls(
            {coin: _typed(Balance, row) for coin, row in state.get("balances", {}).items()},
            [_typed(OrderReport, row) for row in state.get("orders", [])],
            {pair: _typed(PaperShort, row) for pair, row in state.get("shorts", {}).items()},
            state.get("next_id", 1),
        )

    def _checked_price(self, order: Proposal, rules: Instrument, touch: Decimal) -> Decimal:
        if order.side not in ("BUY", "SELL") or order.type not in ("MARKET", "LIMIT"):
            raise OrderRejected("order type error")
        price = touch if order.type == "MARKET" else order.price
        if price is None or price <= 0:
            raise OrderRejected("limit order requires a price")
        if order.quantity <= 0:
            raise OrderRejected("quantity error")
        if floor_to_step(order.quantity, rules.step, ZERO) != order.quantity:
            raise OrderRejected("quantity step size error")
        if floor_to_step(price, rules.tick, ZERO) != price:
            raise OrderRejected("price step size error")
        if not is_tradable(order.quantity, price, rules.min_notional):
            raise OrderRejected("order amount too small")
        return price

    def _filled(self, report: OrderReport, rules: Instrument, price: Decimal, now_ms: int) -> OrderReport:
        """Move the money of a whole fill and return the settled report."""
        fee = fee_of(report.quantity * price, _rate(report, rules), rules.fee_step, ZERO)
        signed = report.quantity if report.side == "BUY" else -report.quantity
        cash, held = settle(self.free(rules.quote), self.free(rules.base), signed, price, fee)
        self._move(rules.quote, free=cash - self.free(rules.quote))
        self._move(rules.base, free=held - self.free(rules.base))
        return replace(
            report, status=FILLED, filled=report.quantity, average_price=price, fee=fee, finished_ms=now_ms
        )

    def _unlock(self, report: OrderReport, rules: Instrument) -> None:
        coin, locked = _cost(report, rules, report.price or ZERO)
        self._move(coin, free=locked, locked=-locked)

    def _move(self, coin: str, *, free: Decimal = ZERO, locked: Decimal = ZERO) -> None:
        before = self.balances.get(coin, Balance(ZERO))
        self.balances[coin] = Balance(before.free + free, before.locked + locked)

    def _forget_old(self) -> None:
        settled = [report for report in self.orders if report.status != OPEN]
        forgotten = {report.venue_order_id for report in settled[:-KEPT_ORDERS]}
        self.orders = [report for report in self.orders if report.venue_order_id not in forgotten]


def _rate(report: OrderReport, rules: Instrument) -> Decimal:
    return Decimal(rules.maker_fee if report.role == "MAKER" else rules.taker_fee)


def _cost(report: OrderReport, rules: Instrument, price: Decimal) -> tuple[str, Decimal]:
    """Return (coin, amount) that an order takes from the free balance: a buy pays its fee on top."""
    if report.side == "SELL":
        return rules.base, report.quantity
    notional = report.quantity * price
    return rules.quote, notional + fee_of(notional, _rate(report, rules), rules.fee_step, ZERO)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    row.pop("raw", None)
    return {name: format(value, "f") if isinstance(value, Decimal) else value for name, value in row.items()}


def _typed(kind: Any, row: dict[str, Any]) -> Any:
    decimals = {each.name for each in fields(kind) if "Decimal" in str(each.type)}
    return kind(
        **{
            name: Decimal(value) if name in decimals and value is not None else value
            for name, value in row.items()
        }
    )
