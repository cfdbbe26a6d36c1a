"""Binance-compatible candles of the sandbox's own prices: `GET /api/v3/klines`."""

from collections.abc import Callable

import numpy as np

from market.candles import MS, Candles
from market.sandbox.feed import Feed

INTERVALS = {name: ms for name, ms in MS.items() if name != "5s"}  # what Binance knows of ours


class KlineError(Exception):
    """A Binance error answer: HTTP 400 with `code` and `msg`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def symbol_of(pair: str) -> str:
    """Return Binance's name of a pair: `BTC/USD` is `BTCUSDT` there."""
    return pair.replace("/USD", "USDT").replace("/", "")


def aggregated(bars: Candles, interval_ms: int) -> Candles:
    """Return `bars` in a longer interval, grouped at multiples of it; the last group may be incomplete."""
    if interval_ms == bars.interval_ms or len(bars) == 0:
        return bars
    group = bars.open_ms // interval_ms * interval_ms
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    ends = np.append(starts[1:], len(group)) - 1
    high, low = np.maximum.reduceat(bars.high, starts), np.minimum.reduceat(bars.low, starts)
    volume = np.add.reduceat(bars.volume, starts).round(8)
    return Candles(interval_ms, group[starts], bars.open[starts], high, low, bars.close[ends], volume)


def text(value: float) -> str:
    """Return a price with Binance's eight decimals, or in full where eight would lose something."""
    fixed = f"{value:.8f}"
    return fixed if float(fixed) == value else repr(float(value))


def klines(feeds: dict[str, Feed], parameters: dict[str, str], now_ms: int) -> list[list[int | str]]:
    """Answer `symbol`, `interval`, `startTime`, `endTime`, `limit` (500, at most 1000).

    Counts of trades and taker volumes, which no feed knows, are zero.

    :raises KlineError: as Binance words it.
    """
    for name in ("symbol", "interval"):
        if not parameters.get(name):
            raise KlineError(
                -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
            )
    feed = feeds.get(parameters["symbol"])
    if feed is None:
        raise KlineError(-1121, "Invalid symbol.")
    interval_ms = INTERVALS.get(parameters["interval"], 0)
    if interval_ms == 0 or interval_ms % feed.interval_ms:
        raise KlineError(-1120, "Invalid interval.")
    from_ms, to_ms = _whole(parameters, "startTime"), _whole(parameters, "endTime")
    limit = min(1000, _whole(parameters, "limit") or 500)
    bars = _window(feed, interval_ms, from_ms, to_ms, limit, now_ms)
    return [_row(bars, row) for row in range(len(bars))]


def _window(
    feed: Feed, interval_ms: int, from_ms: int | None, to_ms: int | None, limit: int, now_ms: int
) -> Candles:
    """Return at most `limit` bars: the first ones from `from_ms` on, or the last ones up to `to_ms`."""
    until_ms = now_ms if to_ms is None else min(now_ms, to_ms)
    if from_ms is None:
        end = min(until_ms, feed.last_ms) // interval_ms * interval_ms
        oldest = feed.first_ms // interval_ms * interval_ms
        bars = _enough(feed, interval_ms, limit, now_ms, lambda reach: (max(oldest, end - reach), until_ms))
        return bars[slice(max(0, len(bars) - limit), None)]
    first = -(-from_ms // interval_ms) * interval_ms
    bars = _enough(feed, interval_ms, limit, now_ms, lambda reach: (first, min(first + reach, until_ms)))
    return bars[slice(0, limit)]


def _enough(
    feed: Feed, interval_ms: int, limit: int, now_ms: int, span: Callable[[int], tuple[int, int]]
) -> Candles:
    """Return bars of the span that reaches just far enough to hold `limit`; gaps make it reach further."""
    reach = limit * interval_ms
    while True:
        first, last = span(reach)
        ends = last // interval_ms * interval_ms + interval_ms - 1  # the last bar, whole or as far as it is
        bars = aggregated(feed.candles(now_ms, first, ends), interval_ms)
        if len(bars) >= limit or span(2 * reach) == (first, last):
            return bars
        reach *= 2


def _whole(parameters: dict[str, str], name: str) -> int | None:
    value = parameters.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()):
        raise KlineError(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        )
    return min(int(value), 10**15)


def _row(bars: Candles, row: int) -> list[int | str]:
    open_ms, volume = int(bars.open_ms[row]), float(bars.volume[row])
    prices = [float(column[row]) for column in (bars.open, bars.high, bars.low, bars.close)]
    quote_volume = f"{volume * sum(prices) / 4:.8f}"
    return [open_ms, *map(text, prices), text(volume), open_ms + bars.interval_ms - 1, quote_volume, 0,
            "0.00000000", "0.00000000", "0"]  # fmt: skip
