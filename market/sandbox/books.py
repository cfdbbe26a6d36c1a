"""What the exchange keeps per account: purses, orders, short positions; exact Decimals, nothing rounded."""

from dataclasses import asdict, dataclass, field, fields
from decimal import ROUND_FLOOR, Decimal
from typing import Any

ZERO = Decimal(0)


def floor_to(value: Decimal, decimals: int) -> Decimal:
    """Return `value` floored (towards minus infinity) to decimal places."""
    return value.quantize(Decimal(1).scaleb(-decimals), ROUND_FLOOR)


def fee_of(notional: Decimal, rate: Decimal) -> Decimal:
    """Return a fee in USD, floored to six decimals as the venue does."""
    return floor_to(notional * rate, 6)


@dataclass(slots=True)
class Purse:
    """One coin of an account: free, locked by resting orders, locked as short collateral (USD only)."""

    free: Decimal = ZERO
    pending: Decimal = ZERO
    collateral: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return self.free + self.pending + self.collateral


@dataclass(slots=True)
class Order:
    """An order row, spot or short. `locked` of `lock_coin` is held while it is PENDING."""

    order_id: int
    account: str
    pair: str
    side: str  # BUY, SELL, SHORT_OPEN, SHORT_CLOSE
    kind: str  # MARKET, LIMIT
    price: Decimal
    quantity: Decimal
    created_ms: int
    status: str = "PENDING"  # then FILLED or CANCELED
    role: str = "TAKER"
    finished_ms: int = 0
    filled: Decimal = ZERO
    average: Decimal = ZERO
    fee: Decimal = ZERO
    fee_rate: Decimal = ZERO
    fee_coin: str = "USD"
    lock_coin: str = "USD"
    locked: Decimal = ZERO
    waits_for: str = ""  # the touch that fills it while resting

    @property
    def coin(self) -> str:
        return self.pair.split("/")[0]

    @property
    def is_short(self) -> bool:
        return self.side.startswith("SHORT")

    def fill(self, price: Decimal, at_ms: int) -> None:
        self.status, self.finished_ms = "FILLED", at_ms
        self.filled, self.average, self.locked = self.quantity, price, ZERO

    def as_dict(self) -> dict[str, Any]:
        return _plain(asdict(self))

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> "Order":
        return cls(**_typed(cls, row))


@dataclass(slots=True)
class Position:
    """An open short on one pair; `entry` is quantity-weighted, `collateral` sits in the USD purse."""

    position_id: int
    pair: str
    entry: Decimal
    quantity: Decimal
    collateral: Decimal
    created_ms: int

    def as_dict(self) -> dict[str, Any]:
        return _plain(asdict(self))


@dataclass(slots=True)
class Account:
    """One key's purses and shorts. A coin once traded stays listed."""

    key: str
    purses: dict[str, Purse] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)  # by pair

    def purse(self, coin: str, add: bool = True) -> Purse:
        """Return the purse of `coin`; with `add` it stays listed from now on."""
        return self.purses.setdefault(coin, Purse()) if add else self.purses.get(coin, Purse())

    def lock(self, order: Order) -> None:
        purse = self.purse(order.lock_coin)
        purse.free -= order.locked
        purse.pending += order.locked

    def unlock(self, order: Order) -> None:
        """Give back what the order held."""
        purse = self.purse(order.lock_coin)
        purse.free += order.locked
        purse.pending -= order.locked
        order.locked = ZERO

    def purses_as_dict(self) -> dict[str, list[str]]:
        return {
            coin: [_text(p.free), _text(p.pending), _text(p.collateral)] for coin, p in self.purses.items()
        }

    def restore(self, purses: dict[str, list[str]], pair: str, position: dict[str, Any] | None) -> None:
        self.purses = {coin: Purse(*map(Decimal, values)) for coin, values in purses.items()}
        if position is not None:
            self.positions[pair] = Position(**_typed(Position, position))
        elif pair:
            self.positions.pop(pair, None)


def _text(value: Decimal) -> str:
    return format(value, "f")


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: _text(value) if isinstance(value, Decimal) else value for key, value in row.items()}


def _typed(kind: type[Any], row: dict[str, Any]) -> dict[str, Any]:
    decimals = {each.name for each in fields(kind) if each.type is Decimal}
    return {key: Decimal(value) if key in decimals else value for key, value in row.items()}
