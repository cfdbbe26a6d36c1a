"""A venue whose quotes come from a price stream while that is fresh, and from its REST interface else."""

from collections.abc import Iterable
from typing import Any, Protocol

from trading.exchanges.port import Quote

FRESH_MS = 2_500  # below the age at which a session holds a price for stale


class Stream(Protocol):
    """See `stream.PriceStream`."""

    @property
    def state(self) -> dict[str, Any]: ...
    def want(self, pairs: Iterable[str]) -> None: ...
    def quotes(self) -> dict[str, Quote]: ...
    def close(self) -> None: ...


class Streamed:
    """Stands for `inner`, an `Exchange` or its prices; `close` ends the stream."""

    def __init__(self, inner: Any, stream: Stream) -> None:
        self._inner, self.stream = inner, stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def quotes(self, pairs: Iterable[str] | None = None) -> dict[str, Quote]:
        """Return quotes; those the stream has no fresh one of are asked for in one call.

        :raises ExchangeError: when that call fails: what the stream does not show is unknown.
        """
        if pairs is None:
            every: dict[str, Quote] = self._inner.quotes(None)
            return every
        wanted = sorted(set(pairs) & set(self._inner.instruments()))
        self.stream.want(wanted)
        now_ms, seen = self._inner.now_ms(), self.stream.quotes()
        found = {
            pair: seen[pair] for pair in wanted if pair in seen and now_ms - seen[pair].at_ms <= FRESH_MS
        }
        rest = [pair for pair in wanted if pair not in found]
        if rest:
            found |= self._inner.quotes(rest)
        return found

    def close(self) -> None:
        self.stream.close()
