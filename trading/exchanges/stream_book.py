"""The newest quotes out of a stream's frames, and what was wrong with their order. No clock, no network."""

from dataclasses import dataclass, field, replace
from decimal import Decimal

from trading.exchanges.port import Quote
from trading.exchanges.stream_dialects import Part

GAP_MS = 5_000  # both venues speak up within 3 s even where nothing changes
FRESH_START = 1  # a sequence that begins anew


@dataclass(slots=True)
class Told:
    """What is known of one symbol."""

    at_ms: int = 0  # of the touch
    sequence: int = 0
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    change_24h: Decimal | None = None
    volume_quote_24h: Decimal | None = None


@dataclass(slots=True)
class StreamBook:
    """Quotes by symbol, and counts: `gaps` in time, frames that were `late`, quotes taken in."""

    told: dict[str, Told] = field(default_factory=dict)
    frames: int = 0
    gaps: int = 0
    late: int = 0

    def take(self, part: Part) -> bool:
        """Take a frame's part in; False for one that is older than what is known."""
        known = self.told.setdefault(part.symbol, Told())
        if part.last is not None:
            known.last, known.change_24h = part.last, part.change_24h
            known.volume_quote_24h = part.volume_quote_24h
        if part.sequence is None:  # it says nothing about the touch
            return True
        is_anew = part.sequence == FRESH_START and part.at_ms >= known.at_ms
        if not is_anew and (part.sequence < known.sequence or part.at_ms < known.at_ms):
            self.late += 1
            return False
        self.gaps += bool(known.at_ms) and part.at_ms - known.at_ms > GAP_MS
        self.frames += 1
        known.at_ms, known.sequence = part.at_ms, part.sequence
        known.bid, known.ask = part.bid, part.ask
        return True

    def forget(self) -> None:
        """Drop the quotes: after a break the old ones say nothing, and a sequence may begin anew."""
        self.told = {
            symbol: replace(told, sequence=0, bid=None, ask=None, last=None)
            for symbol, told in self.told.items()
        }

    def quote(self, symbol: str, pair: str) -> Quote | None:
        """Return the newest quote of a symbol; None while it has no usable one."""
        known = self.told.get(symbol)
        if known is None or known.bid is None or known.ask is None or known.last is None:
            return None
        if not 0 < known.bid <= known.ask or known.last <= 0:
            return None
        return Quote(
            pair, known.bid, known.ask, known.last, known.at_ms, known.change_24h, known.volume_quote_24h
        )
