"""The same features one bar at a time, for live trading: equal bits, a microsecond or two per bar."""

import numpy as np

from market.candles import Candles
from market.errors import BadInput
from market.features import player, series
from market.features.batch import compute
from market.features.plain import Plain
from market.features.player import Player
from market.features.specs import FeatureSet


class Stream:
    """Features of a growing series of bars.

    Row for row equal to `compute` over all bars pushed so far. The first `warmup` bars are kept; the next one
    opens TA-Lib on them, and from then on a bar costs the same however many came before: one compiled call,
    or where TA-Lib cannot be called so (`player.opened`), the same steps in Python.
    """

    def __init__(self, feature_set: FeatureSet, interval_ms: int) -> None:
        self.feature_set = feature_set
        self.interval_ms = interval_ms
        self.bars = 0
        self.last_open_ms: int | None = None
        self._needs_volume = feature_set.needs_volume
        self._waiting: list[tuple[float, ...]] = []
        self._engine: Player | Plain | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the warm-up is over, so that rows are valid."""
        return self.bars > self.feature_set.warmup

    def push(
        self,
        open_ms: int,
        open: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Take the next closed bar and return its row: float64, shape (F,), all NaN during the warm-up.

        :param out: where to write the row, float64 (F,); without it a new array
        :raises BadInput: when the bar is not later than the last or misses a number; nothing changes then.
        """
        if self.last_open_ms is not None and open_ms <= self.last_open_ms:
            raise BadInput(f"Bar {open_ms} is not later than the last one, {self.last_open_ms}.", "candles")
        if self._engine is None:
            row = self._wait(open_ms, open, high, low, close, volume)
        else:
            row = self._engine.push(float(open_ms + self.interval_ms), open, high, low, close, volume, out)
        if row is None:
            wrong = series.fault(open, high, low, close, volume, self._needs_volume)
            wrong = wrong or "numbers too large or too small to be told from nothing"
            raise BadInput(f"Bar {open_ms} has {wrong}.", "candles")
        self.bars, self.last_open_ms = self.bars + 1, open_ms
        if out is not None and row is not out:
            out[:] = row
        return row

    def start(self, candles: Candles) -> np.ndarray:
        """Take a whole history at once, as if each bar had been pushed, and return its rows, shape (n, F).

        :raises BadInput: when the stream already holds bars, or a candle is unusable.
        """
        if self.bars:
            raise BadInput("A stream takes a history only before its first bar.", "candles")
        if candles.interval_ms != self.interval_ms:
            raise BadInput("The history's interval differs from the stream's.", "candles")
        rows = compute(candles, self.feature_set)
        if not len(candles):
            return rows
        self.bars, self.last_open_ms = len(candles), int(candles.open_ms[-1])
        if self.is_ready:
            self._open(candles, rows[-1])
        else:
            self._waiting = [tuple(row) for row in zip(*_columns(candles), strict=True)]
        return rows

    def _wait(
        self, open_ms: int, open: float, high: float, low: float, close: float, volume: float
    ) -> np.ndarray | None:
        """Return the row of a bar of the warm-up; None for one that cannot be used."""
        if series.fault(open, high, low, close, volume, self._needs_volume):
            return None
        self._waiting.append((open_ms, open, high, low, close, volume))
        if len(self._waiting) <= self.feature_set.warmup:
            return np.full(len(self.feature_set), np.nan)
        arrays = [np.array(column, dtype=np.float64) for column in zip(*self._waiting, strict=True)]
        candles = Candles(self.interval_ms, arrays[0].astype(np.int64), *arrays[1:])
        row = compute(candles, self.feature_set)[-1].copy()
        self._open(candles, row)
        self._waiting = []
        return row

    def _open(self, candles: Candles, row: np.ndarray) -> None:
        self._engine = player.opened(self.feature_set, candles, row) or Plain(self.feature_set, candles)


def _columns(candles: Candles) -> tuple[list[float], ...]:
    names = ("open_ms", "open", "high", "low", "close", "volume")
    return tuple(getattr(candles, name).tolist() for name in names)
