"""One more bar in plain Python, through talib's own handles: what a compiled player is held against."""

import math
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from market.candles import Candles
from market.features import series
from market.features.series import DERIVED, SCALARS, Bar
from market.features.specs import FeatureSet

Update = tuple[
    Callable[..., Any], Callable[[Bar], Any], bool
]  # handle, its inputs, whether there is just one


class Plain:
    """The features of a growing series of bars; TA-Lib's handles stand at the last one."""

    def __init__(self, feature_set: FeatureSet, candles: Candles) -> None:
        """Open a handle per call on a history, and remember its last bar."""
        calls = list(dict.fromkeys(call for spec in feature_set.specs for call in spec.plan.calls))
        names = {name for spec in feature_set.specs for name in spec.plan.inputs}
        self._derived = [(name, DERIVED[name].formula) for name in series.with_parts(names)]
        self._columns = [
            (spec.plan.finish, tuple(calls.index(call) for call in spec.plan.calls))
            for spec in feature_set.specs
        ]
        self._scale = series.price_scale(float(candles.close[0]))
        arrays = series.of_candles(candles, names, self._scale)
        self._read = sorted({name for call in calls for name in call.inputs})
        self._updates: list[Update] = []
        for call in calls:
            handle = call.opened([getattr(arrays, name) for name in call.inputs])
            self._updates.append((handle.update, attrgetter(*call.inputs), len(call.inputs) == 1))
        self._before = Bar()
        self._before.close = float(arrays.close[-1])
        self._needs_volume = feature_set.needs_volume

    def push(
        self,
        close_ms: float,
        open: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        out: np.ndarray | None = None,
    ) -> np.ndarray | None:
        """Return the next bar's row, float64 (F,); None, and nothing has changed, where it cannot be used.

        :param out: left alone: here a row is always a new array
        """
        if series.fault(open, high, low, close, volume, self._needs_volume):
            return None
        bar = self._bar(close_ms, open, high, low, close, volume)
        if not all(math.isfinite(getattr(bar, name)) for name in self._read):
            return None
        outputs = [
            update(inputs(bar)) if one else update(*inputs(bar)) for update, inputs, one in self._updates
        ]
        self._before = bar
        return self._row(bar, outputs)

    def _bar(self, close_ms: float, open: float, high: float, low: float, close: float, volume: float) -> Bar:
        bar = Bar()
        scale = self._scale
        bar.close_ms = close_ms
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
