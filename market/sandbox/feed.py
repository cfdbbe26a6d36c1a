"""Where the sandbox's prices come from: candles walked through second by second, or a script of quotes.

Prices are whole ticks of the pair, times epoch milliseconds. A quote stands until the next step.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from market.candles import Candles
from market.sandbox.instruments import Pair
from market.sandbox.path import knots, steps_in, weights

DAY_MS = 86_400_000
ASK_AT_MOST, BID_AT_LEAST, BID_AT_MOST = "ask<=", "bid>=", "bid<="  # what a resting order waits for
CHUNK = 4096  # bars searched at once


@dataclass(frozen=True, slots=True)
class Quote:
    """Top of the book in ticks."""

    bid: int
    ask: int
    last: int


class Feed(Protocol):
    """Prices of one pair over time."""

    pair: Pair
    interval_ms: int  # of its candles
    first_ms: int
    last_ms: int  # the last price step; afterwards the book stands still

    def quote(self, at_ms: int) -> Quote | None:
        """Return the quote at a time; None before the first."""

    def next_step_ms(self, after_ms: int) -> int:
        """Return a time not later than the next price step after `after_ms`."""

    def first_touch(self, kind: str, price: int, after_ms: int, until_ms: int) -> int | None:
        """Return the first price step in (after, until] at which a resting order's condition holds."""

    def candles(self, now_ms: int, from_ms: int | None = None, to_ms: int | None = None) -> Candles:
        """Return the bars started in [from, to], none after now, the one under way as far as it has come."""


def touches(kind: str, price: int, bid: np.ndarray, ask: np.ndarray) -> np.ndarray:
    """Tell for each step whether the condition holds."""
    if kind == ASK_AT_MOST:
        return ask <= price
    return bid >= price if kind == BID_AT_LEAST else bid <= price


class CandleFeed:
    """Walks through candles; the spread is `spread_bps` of the price, at least one tick, around last."""

    def __init__(self, pair: Pair, candles: Candles, spread_bps: float = 0.0) -> None:
        self.pair, self.bars, self.spread_bps = pair, candles, spread_bps
        self.interval_ms = candles.interval_ms
        self._steps = steps_in(candles.interval_ms)
        self._step_ms = candles.interval_ms // self._steps
        self._weights = weights(self._steps)
        tick = 10.0**pair.price_precision
        prices = (
            np.maximum(1, np.rint(getattr(candles, name) * tick)) for name in ("open", "high", "low", "close")
        )
        self._knots = knots(*prices)
        self.first_ms = int(candles.open_ms[0])
        self.last_ms = int(candles.open_ms[-1]) + (self._steps - 1) * self._step_ms
        self._walked: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def _path(self, row: int) -> np.ndarray:
        """Return the last prices of a bar's steps."""
        if self._walked[0] != row:
            self._walked = row, np.rint(self._weights @ self._knots[row]).astype(np.int64)
        return self._walked[1]

    def _book(self, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (bid, ask) around last prices."""
        spread = np.maximum(1, np.rint(last * (self.spread_bps / 10_000))).astype(np.int64)
        bid = np.maximum(1, last - spread // 2).astype(np.int64)
        return bid, bid + spread

    def _row(self, at_ms: int) -> int:
        return int(np.searchsorted(self.bars.open_ms, at_ms, "right")) - 1

    def _step(self, row: int, at_ms: int) -> int:
        return min(self._steps - 1, (at_ms - int(self.bars.open_ms[row])) // self._step_ms)

    def quote(self, at_ms: int) -> Quote | None:
        row = self._row(at_ms)
        if row < 0:
            return None
        last = self._path(row)[self._step(row, at_ms)]
        bid, ask = self._book(last)
        return Quote(int(bid), int(ask), int(last))

    def next_step_ms(self, after_ms: int) -> int:
        return after_ms - (after_ms - self.first_ms) % self._step_ms + self._step_ms

    def first_touch(self, kind: str, price: int, after_ms: int, until_ms: int) -> int | None:
        first, stop = max(0, self._row(after_ms)), self._row(until_ms) + 1
        for start in range(first, stop, CHUNK):
            bars = self._knots[start : min(stop, start + CHUNK)]
            bid, ask = self._book(
                bars[:, 1:3].astype(np.int64)
            )  # only bars whose extremes reach it are walked
            for row in start + np.flatnonzero(touches(kind, price, bid, ask).any(axis=1)):
                found = self._touch_in(int(row), kind, price, after_ms, until_ms)
                if found is not None:
                    return found
        return None

    def _touch_in(self, row: int, kind: str, price: int, after_ms: int, until_ms: int) -> int | None:
        times = int(self.bars.open_ms[row]) + np.arange(self._steps) * self._step_ms
        hit = touches(kind, price, *self._book(self._path(row))) & (times > after_ms) & (times <= until_ms)
        return int(times[hit.argmax()]) if hit.any() else None

    def candles(self, now_ms: int, from_ms: int | None = None, to_ms: int | None = None) -> Candles:
        bars = self.bars.between(from_ms, until(now_ms, to_ms))
        if len(bars) == 0 or now_ms >= int(bars.open_ms[-1]) + bars.interval_ms:
            return bars
        row = self._row(now_ms)
        seen = self._step(row, now_ms) + 1
        if seen == self._steps:
            return bars
        path, open_ = self._path(row)[:seen] / 10.0**self.pair.price_precision, bars.open[-1]
        volume = round(float(bars.volume[-1]) * seen / self._steps, 8)
        return with_last(bars, open_, max(open_, path.max()), min(open_, path.min()), path[-1], volume)


def until(now_ms: int, to_ms: int | None) -> int:
    """Return the first instant not shown."""
    return (now_ms if to_ms is None else min(now_ms, to_ms)) + 1


def with_last(bars: Candles, *values: float) -> Candles:
    """Return `bars` with (open, high, low, close, volume) of the last one replaced."""
    columns = [getattr(bars, name) for name in ("open", "high", "low", "close", "volume")]
    replaced = [np.append(column[:-1], value) for column, value in zip(columns, values, strict=True)]
    return Candles(bars.interval_ms, bars.open_ms, *replaced)


class ScriptFeed:
    """Quotes written down beforehand; its candles are one-minute bars of the last prices, without volume."""

    interval_ms = 60_000

    def __init__(self, pair: Pair, t_ms: list[int], bid: list[int], ask: list[int], last: list[int]) -> None:
        self.pair = pair
        self._t, self._bid, self._ask, self._last = (
            np.array(each, np.int64) for each in (t_ms, bid, ask, last)
        )
        self.first_ms, self.last_ms = t_ms[0], t_ms[-1]

    def quote(self, at_ms: int) -> Quote | None:
        row = int(np.searchsorted(self._t, at_ms, "right")) - 1
        return None if row < 0 else Quote(int(self._bid[row]), int(self._ask[row]), int(self._last[row]))

    def next_step_ms(self, after_ms: int) -> int:
        row = int(np.searchsorted(self._t, after_ms, "right"))
        return int(self._t[row]) if row < len(self._t) else after_ms + DAY_MS

    def first_touch(self, kind: str, price: int, after_ms: int, until_ms: int) -> int | None:
        rows = slice(*np.searchsorted(self._t, [after_ms, until_ms], "right"))
        hit = touches(kind, price, self._bid[rows], self._ask[rows])
        return int(self._t[rows][hit.argmax()]) if hit.any() else None

    def candles(self, now_ms: int, from_ms: int | None = None, to_ms: int | None = None) -> Candles:
        first = self._t[0] if from_ms is None else from_ms
        rows = slice(*np.searchsorted(self._t, [first, until(now_ms, to_ms)]))
        minute = self._t[rows] // 60_000 * 60_000
        price = self._last[rows] / 10.0**self.pair.price_precision
        starts = np.flatnonzero(np.diff(minute, prepend=-1))
        if len(starts) == 0:
            return Candles(60_000, minute, price, price, price, price, price)
        ends = np.append(starts[1:], len(minute)) - 1
        high, low = np.maximum.reduceat(price, starts), np.minimum.reduceat(price, starts)
        return Candles(60_000, minute[starts], price[starts], high, low, price[ends], np.zeros(len(starts)))


def day_statistics(feed: Feed, now_ms: int) -> tuple[float, float, float]:
    """Return (change as a fraction, coin volume, USD volume) of the last 24 hours."""
    bars = feed.candles(now_ms, now_ms - DAY_MS)
    if len(bars) == 0:
        return 0.0, 0.0, 0.0
    return (
        round(float(bars.close[-1] / bars.open[0] - 1), 4),
        float(bars.volume.sum()),
        float((bars.volume * bars.close).sum()),
    )
