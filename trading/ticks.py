"""Live quotes kept as rows, exactly as seen."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from market.models import Tick
from trading.exchanges.errors import ExchangeError, Throttled
from trading.exchanges.port import Exchange, Quote

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0


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
) -> Collected:
    """Read quotes every `poll_s` for `seconds` (None: until interrupted); after failures wait 1, 2, 4 … 60 s.

    :param pairs: None collects every pair the venue quotes.
    """
    done, wait_s = Collected(), FIRST_WAIT_S
    began_s = monotonic_s()
    while True:
        pause_s = poll_s
        try:
            quotes = exchange.quotes(pairs)
            done.reads += 1
            done.ticks += record_ticks(market, quotes.values())
            wait_s = FIRST_WAIT_S
        except ExchangeError as error:
            pause_s = max(wait_s, error.wait_s if isinstance(error, Throttled) else 0.0)
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)
            done.errors += 1
            done.last_error = str(error)
            say(f"no quotes: {error}; {error.next_move} (next try in {pause_s:.0f} s)")
        if seconds is not None and monotonic_s() - began_s + pause_s > seconds:
            return done
        sleep(pause_s)
