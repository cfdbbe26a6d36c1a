"""Live quotes kept as rows, exactly as seen."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import DatabaseError

from market import connections
from market.models import Tick
from trading.exchanges.errors import ExchangeError, Throttled
from trading.exchanges.port import Exchange, Quote

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
MOST_WAITING = 100_000  # quotes kept while the database cannot be written


@dataclass(slots=True)
class Collected:
    """What a collection has done so far."""

    reads: int = 0
    ticks: int = 0
    errors: int = 0
    last_error: str = ""


def record_ticks(market: str, quotes: Iterable[Quote]) -> int:
    """Store quotes of `market` and return how many were new; stored ones stay as they are."""
    fresh = {(quote.pair, quote.at_ms): quote for quote in quotes}
    instants = {at_ms for _pair, at_ms in fresh}
    known = Tick.objects.filter(market=market, at_ms__in=instants).values_list("pair", "at_ms")
    for key in known:
        fresh.pop(key, None)
    rows = [
        Tick(market=market, pair=quote.pair, at_ms=quote.at_ms, bid=quote.bid, ask=quote.ask, last=quote.last)
        for quote in fresh.values()
    ]
    Tick.objects.bulk_create(rows, ignore_conflicts=True)  # another process may be collecting too
    return len(rows)


class Collector:
    """Keeps what was read until it is stored: in batches, and again after the database has failed."""

    def __init__(self, market: str, done: Collected, say: Callable[[str], None]) -> None:
        self._market, self._done, self._say = market, done, say
        self._waiting: list[Quote] = []

    def take(self, quotes: Iterable[Quote]) -> None:
        self._waiting = [*self._waiting, *quotes][-MOST_WAITING:]

    def store(self) -> None:
        try:
            self._done.ticks += record_ticks(self._market, self._waiting)
        except DatabaseError as error:
            connections.refresh()
            self._done.errors += 1
            self._done.last_error = "the database could not be written"
            self._say(f"{len(self._waiting)} quotes wait: the database could not be written ({error})")
        else:
            self._waiting = []


def collect(
    exchange: Exchange,
    market: str,
    pairs: list[str] | None,
    *,
    poll_s: float,
    seconds: float | None,
    monotonic_s: Callable[[], float],
    sleep: Callable[[float], None],
    say: Callable[[str], None],
    batch_s: float = 0.0,
) -> Collected:
    """Take quotes every `poll_s` for `seconds` (None: until interrupted); after failures wait 1, 2, 4 … 60 s.

    :param pairs: None collects every pair the venue quotes.
    :param batch_s: they are stored together so often; 0 stores each sample by itself.
    """
    done, wait_s = Collected(), FIRST_WAIT_S
    kept = Collector(market, done, say)
    began_s = stored_s = monotonic_s()
    try:
        while True:
            pause_s = poll_s
            try:
                kept.take(exchange.quotes(pairs).values())
                done.reads += 1
                wait_s = FIRST_WAIT_S
            except ExchangeError as error:
                pause_s = max(wait_s, error.wait_s if isinstance(error, Throttled) else 0.0)
                wait_s = min(LONGEST_WAIT_S, wait_s * 2)
                done.errors += 1
                done.last_error = str(error)
                say(f"no quotes: {error}; {error.next_move} (next try in {pause_s:.0f} s)")
            if monotonic_s() - stored_s + pause_s > batch_s:
                kept.store()
                stored_s = monotonic_s()
            if seconds is not None and monotonic_s() - began_s + pause_s > seconds:
                return done
            sleep(pause_s)
    finally:
        kept.store()
