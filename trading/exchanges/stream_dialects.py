"""What price streams say: venue frames -> parts of a quote. Pure; whatever is malformed raises ValueError."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from market.sources.binance import symbol_of


@dataclass(frozen=True, slots=True)
class Part:
    """What one frame tells about one symbol; None is not told by it."""

    symbol: str
    at_ms: int  # venue clock
    sequence: int | None = None  # rises from frame to frame; 1 begins anew
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    change_24h: Decimal | None = None  # fraction
    volume_quote_24h: Decimal | None = None


class Dialect(Protocol):
    """How a venue's public stream is spoken to."""

    path: str
    heartbeat: dict[str, Any] | None  # to be sent every HEARTBEAT_S; None: the protocol's pings do

    def symbol(self, pair: str) -> str:
        """Return the venue's name of a pair."""
        ...

    def subscriptions(self, symbols: Iterable[str]) -> list[dict[str, Any]]:
        """Return the messages that ask for the quotes of symbols."""
        ...

    def part(self, frame: Any) -> Part | None:
        """Return what a frame tells; None for acknowledgements and the like.

        :raises ValueError: for a frame that cannot be understood, and for a refusal.
        """
        ...


class BinanceStream:
    """Spot tickers of Binance, about one a second and symbol."""

    path = "/ws"
    heartbeat: dict[str, Any] | None = None

    def symbol(self, pair: str) -> str:
        return symbol_of(pair)

    def subscriptions(self, symbols: Iterable[str]) -> list[dict[str, Any]]:
        names = [f"{symbol.lower()}@ticker" for symbol in sorted(symbols)]
        return [{"method": "SUBSCRIBE", "params": names, "id": 1}]

    def part(self, frame: Any) -> Part | None:
        row = _dict(frame)
        if "error" in row or "code" in row:
            raise ValueError(f"refused: {str(row)[:120]}")
        if row.get("e") != "24hrTicker":
            return None
        return Part(
            symbol=str(row["s"]),
            at_ms=_integer(row, "E"),
            sequence=_integer(row, "E"),
            bid=_decimal(row, "b"),
            ask=_decimal(row, "a"),
            last=_decimal(row, "c"),
            change_24h=_decimal(row, "P") / 100,
            volume_quote_24h=_decimal(row, "q"),
        )


class BybitStream:
    """Spot touch and last price of Bybit's v5 public stream, each from its own topic."""

    path = "/v5/public/spot"
    heartbeat: dict[str, Any] | None = {"op": "ping"}
    AT_ONCE = 10  # topics in one message

    def symbol(self, pair: str) -> str:
        return symbol_of(pair)

    def subscriptions(self, symbols: Iterable[str]) -> list[dict[str, Any]]:
        topics = [f"{topic}.{symbol}" for symbol in sorted(symbols) for topic in ("orderbook.1", "tickers")]
        parts = [topics[first : first + self.AT_ONCE] for first in range(0, len(topics), self.AT_ONCE)]
        return [{"op": "subscribe", "args": part} for part in parts]

    def part(self, frame: Any) -> Part | None:
        row = _dict(frame)
        if row.get("success") is False:
            raise ValueError(f"refused: {str(row.get('ret_msg'))[:120]}")
        topic = str(row.get("topic", ""))
        if topic.startswith("orderbook.1."):
            data = _dict(row.get("data"))
            bids, asks = data.get("b") or [], data.get("a") or []
            return Part(
                symbol=str(data["s"]),
                at_ms=_integer(row, "ts"),
                sequence=_integer(data, "u"),
                bid=_decimal(bids[0], 0) if bids else None,
                ask=_decimal(asks[0], 0) if asks else None,
            )
        if topic.startswith("tickers."):
            data = _dict(row.get("data"))
            return Part(
                symbol=str(data["symbol"]),
                at_ms=_integer(row, "ts"),
                last=_decimal(data, "lastPrice"),
                change_24h=_decimal(data, "price24hPcnt"),
                volume_quote_24h=_decimal(data, "turnover24h"),
            )
        return None


STREAMS: dict[str, Dialect] = {
    "paper-binance": BinanceStream(),
    "ccxt:binance": BinanceStream(),
    "ccxt:bybit": BybitStream(),
}


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _integer(row: dict[str, Any], name: str) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError(f"{name} is no positive whole number")
    return value


def _decimal(row: Any, name: Any) -> Decimal:
    try:
        value = Decimal(str(row[name]))
    except (InvalidOperation, LookupError, TypeError):
        raise ValueError(f"{name} is no number") from None
    if not value.is_finite():
        raise ValueError(f"{name} is no number")
    return value
