"""The port every venue is reached through: our own values, in Decimal and epoch milliseconds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from market.kernel.instrument import Instrument

OPEN, FILLED, CANCELLED = "open", "filled", "cancelled"
SHORT_OPEN, SHORT_CLOSE = "SHORT_OPEN", "SHORT_CLOSE"
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Quote:
    """Top of book of one pair."""

    pair: str
    bid: Decimal
    ask: Decimal
    last: Decimal
    at_ms: int  # venue clock
    change_24h: Decimal | None = None  # fraction
    volume_quote_24h: Decimal | None = None  # quote currency
    is_still: bool = False  # nothing the venue shows has moved since `at_ms`, for too long to be believed

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2


def always() -> None:
    """Let an order go."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An order somebody wants to send.

    An adapter calls `before_send` at the last moment before the order leaves: its sender may have been
    suspended since it was allowed to send.
    """

    pair: str
    side: str  # BUY or SELL; SHORT_OPEN and SHORT_CLOSE where the venue can short, at the market only
    type: str  # MARKET or LIMIT
    quantity: Decimal  # base units, > 0; of SHORT_OPEN only expected, the venue takes what `collateral` gives
    price: Decimal | None = None  # limit price; None for MARKET
    collateral: Decimal | None = None  # quote currency, of SHORT_OPEN
    client_id: str = ""  # by which a venue that takes such ids knows the order again
    before_send: Callable[[], None] = field(default=always, repr=False, compare=False)  # raises to stop it


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What the venue says about one order."""

    venue_order_id: str  # empty: accepted, and the answer does not tell under which id; see `reports`
    pair: str
    side: str  # BUY, SELL; a venue's short activity appears as SHORT_OPEN, SHORT_CLOSE
    type: str
    status: str  # open, filled or cancelled
    quantity: Decimal
    filled: Decimal  # base units by which the purse changed; a fee taken out of a purchase is not in it
    average_price: Decimal  # of the filled part; 0 when nothing filled
    fee: Decimal  # in `fee_coin`; 0 when nothing filled
    fee_coin: str
    role: str  # TAKER or MAKER
    created_ms: int
    finished_ms: int  # 0 while open
    price: Decimal | None = None  # limit price, where the venue tells it
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)  # the venue's own words
    traded_ms: int = 0  # of the newest trade of an open order; 0 where the venue does not date it


@dataclass(frozen=True, slots=True)
class Balance:
    """One coin of a wallet, in units of the coin."""

    free: Decimal
    locked: Decimal = ZERO  # in resting orders, and collateral of shorts
    collateral: Decimal = ZERO  # of `locked`, where the venue tells it apart

    @property
    def total(self) -> Decimal:
        return self.free + self.locked


@dataclass(frozen=True, slots=True)
class ShortPosition:
    """An open short. Its collateral already sits in the quote coin's locked balance: never add it again."""

    pair: str
    quantity: Decimal  # base units, > 0
    entry_price: Decimal
    collateral: Decimal  # quote currency
    unrealised: Decimal  # quote currency
    opened_ms: int


@dataclass(frozen=True, slots=True)
class ShortReport:
    """What came of opening or closing a short. Amounts in the quote currency."""

    venue_id: str  # position id, or the order id of a waiting limit; empty after a close
    pair: str
    status: str  # open (a limit that waits) or filled
    quantity: Decimal
    price: Decimal
    fee: Decimal
    collateral: Decimal  # locked by an opening; what remains locked after a close
    realised: Decimal = ZERO
    returned: Decimal = ZERO  # paid back to the free balance by a close
    is_closed: bool = False  # nothing is left of the position
    created_ms: int = 0
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Exchange(Protocol):
    """A venue. Raises only ExchangeError.

    Order calls (`place`, `cancel`, `open_short`, `close_short`) raise `OutcomeUnknown` when it is not known
    whether they took effect; every other error of theirs means that they did not. Reads raise `Unreachable`
    or `BadAnswer` when what they ask about is unknown; an empty result is an answer.
    """

    name: str
    has_client_ids: bool  # then it is `ByClientId`, too
    lists_emptied: bool  # a coin once held stays in the wallet: one that is absent was not read

    def server_ms(self) -> int:
        """Ask the venue for its time, epoch ms."""
        ...

    def now_ms(self) -> int:
        """Estimate the venue's time, epoch ms, without a call (except the very first)."""
        ...

    def instruments(self) -> dict[str, Instrument]:
        """Return the rules of every listed pair, in Decimal; remembered for a few minutes."""
        ...

    def tradable(self) -> frozenset[str]:
        """Return the pairs that take orders, as fresh as `instruments`; none while the venue is closed."""
        ...

    def quotes(self, pairs: Iterable[str] | None = None) -> dict[str, Quote]:
        """Return the quotes of `pairs` (None: all) from one call. A pair without a usable quote is absent.

        Where it can be told that the whole ticker has stopped moving, they are `is_still`; see `stillness`.
        """
        ...

    def balances(self, *, allow_empty: bool = False) -> dict[str, Balance]:
        """Return the wallet by coin. A wallet without a single coin is `BadAnswer` unless allowed."""
        ...

    def place(self, order: Proposal) -> OrderReport:
        """Send an order once."""
        ...

    def cancel(self, venue_order_id: str) -> bool:
        """Cancel an order; False when nothing was cancelled, perhaps because it has filled."""
        ...

    def report(self, venue_order_id: str) -> OrderReport | None:
        """Return one order; None when the venue knows none of that id."""
        ...

    def reports(self, pair: str | None, *, open_only: bool = False, limit: int = 100) -> list[OrderReport]:
        """Return the account's orders, newest first."""
        ...

    def open_short(self, pair: str, collateral: Decimal, price: Decimal | None = None) -> ShortReport:
        """Open or enlarge a short worth up to `collateral` in quote currency; `price` makes it a limit."""
        ...

    def close_short(self, pair: str, quantity: Decimal | None = None) -> ShortReport:
        """Close `quantity` of a short at the market; None closes all."""
        ...

    def short_positions(self) -> list[ShortPosition]:
        """Return the open shorts."""
        ...


class ByClientId(Protocol):
    """What a venue can do whose orders carry an id of ours."""

    def find(self, pair: str, client_id: str) -> OrderReport | None:
        """Return the order of that client id; None when the venue knows none."""
        ...
