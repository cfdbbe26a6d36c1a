"""The same features one bar at a time, for live trading: equal bits, a few microseconds per bar."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from market.candles import Candles
from market.errors import BadInput
from market.features import series
from market.features.batch import compute
from market.features.indicators import Call
from market.features.series import DERIVED, SCALARS, Bar
from market.features.specs import FeatureSet

INF = float("inf")
Update = tuple[
    Callable[..., Any], Callable[[Bar], Any], bool
]  # handle, its inputs, whether there is just one


class Stream:
    """Features of a growing series of bars.

    Row for row equal to `compute` over all bars pushed so far. The first `warmup` bars are kept; the next one
    opens the TA-Lib handles on them, and from then on a bar costs the same however many came before.
    """

    def __init__(self, feature_set: FeatureSet, interval_ms: int) -> None:
        self.feature_set = feature_set
        self.interval_ms = interval_ms
        self.bars = 0
        self.last_open_ms: int | None = None
        calls = list(dict.fromkeys(call for spec in feature_set.specs for call in spec.plan.calls))
        names = {name for spec in feature_set.specs for name in spec.plan.inputs}
        self._calls: list[Call] = calls
        self._derived = [(name, DERIVED[name].formula) for name in series.with_parts(names)]
        self._columns = [
            (spec.plan.finish, tuple(calls.index(call) for call in spec.plan.calls))
            for spec in feature_set.specs
        ]
        self._needs_volume = feature_set.needs_volume
        self._waiting: list[tuple[float, ...]] = []
        self._updates: list[Update] = []
        self._before: Bar | None = None
        self._scale = 1.0

    @property
    def is_ready(self) -> bool:
        """Whether the warm-up is over, so that rows are valid."""
        return self.bars > self.feature_set.warmup

    def push(
        self, open_ms: int, open: float, high: float, low: float, close: float, volume: float
    ) -> np.ndarray:
        """Take the next closed bar and return its row: float64, shape (F,), all NaN during the warm-up.

        :raises BadInput: when the bar is not later than the last or misses a number; nothing changes then.
        """
        self._check(open_ms, open, high, low, close, volume)
        if self._before is None:
            return self._wait((open_ms, open, high, low, close, volume))
        bar = self._bar(open_ms, open, high, low, close, volume)
        outputs = [
            update(inputs(bar)) if one else update(*inputs(bar)) for update, inputs, one in self._updates
        ]
        self.bars, self.last_open_ms, self._before = self.bars + 1, open_ms, bar
        return self._row(bar, outputs)

    def start(self, candles: Candles) -> np.ndarray:
        """Take a whole history at once, as if each bar had been pushed, and return its rows, shape (n, F).

        :raises BadInput: when the stream already holds bars, or a candle is unusable.
        """
        if self.bars:
            raise BadInput("A stream takes a history only before its first bar.", "candles")
        if candles.interval_ms != self.interval_ms:
            raise BadInput("The history's interval differs from the stream's.", "candles")
        if not len(candles):
            return compute(candles, self.feature_set)
        rows = compute(candles, self.feature_set)
        self.bars, self.last_open_ms = len(candles), int(candles.open_ms[-1])
        if self.is_ready:
            self._open(candles)
        else:
            self._waiting = [tuple(row) for row in zip(*_columns(candles), strict=True)]
        return rows

    def _wait(self, bar: tuple[float, ...]) -> np.ndarray:
        self._waiting.append(bar)
        self.bars, self.last_open_ms = self.bars + 1, int(bar[0])
        if not self.is_ready:
            return np.full(len(self.feature_set), np.nan)
        arrays = [np.array(column, dtype=np.float64) for column in zip(*self._waiting, strict=True)]
        candles = Candles(self.interval_ms, arrays[0].astype(np.int64), *arrays[1:])
        self._waiting = []
        self._open(candles)
        return compute(candles, self.feature_set)[-1].copy()

    def _open(self, candles: Candles) -> None:
        """Open a handle per call on the history, and remember its last bar."""
        self._scale = series.price_scale(float(candles.close[0]))
        arrays = series.of_candles(candles, [name for name, _ in self._derived], self._scale)
        for call in self._calls:
            handle = call.opened([getattr(arrays, name) for name in call.inputs])
            self._updates.append((handle.update, attrgetter(*call.inputs), len(call.inputs) == 1))
        self._before = Bar()
        for name in (*series.BASE, *(name for name, _ in self._derived)):
            setattr(self._before, name, float(getattr(arrays, name)[-1]))

    def _bar(self, open_ms: int, open: float, high: float, low: float, close: float, volume: float) -> Bar:
        bar = Bar()
        scale = self._scale
        bar.close_ms = float(open_ms + self.interval_ms)
        bar.open, bar.high, bar.low, bar.close = open * scale, high * scale, low * scale, close * scale
        bar.volume = float(volume)
        for name, formula in self._derived:
            setattr(bar, name, formula(bar, self._before, SCALARS))
        return bar

    def _row(self, bar: Bar, outputs: list[Any]) -> np.ndarray:
        values = [
            finish(bar, SCALARS, outputs[places[0]])
            if len(places) == 1
            else finish(bar, SCALARS, *[outputs[at] for at in places])
            for finish, places in self._columns
        ]
        return np.array(values, dtype=np.float64)

    def _check(self, open_ms: int, open: float, high: float, low: float, close: float, volume: float) -> None:
        if self.last_open_ms is not None and open_ms <= self.last_open_ms:
            raise BadInput(f"Bar {open_ms} is not later than the last one, {self.last_open_ms}.", "candles")
        if not (0 < open < INF and 0 < high < INF and 0 < low < INF and 0 < close < INF):
            raise BadInput(f"Bar {open_ms} has a price that is missing or not positive.", "candles")
        if self._needs_volume and not 0 <= volume < INF:
            raise BadInput(f"Bar {open_ms} has a volume that is missing or negative.", "candles")


def _columns(candles: Candles) -> tuple[list[float], ...]:
    names = ("open_ms", "open", "high", "low", "close", "volume")
    return tuple(getattr(candles, name).tolist() for name in names)
