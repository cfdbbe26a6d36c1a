"""Feature matrices of whole series."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np

from market.candles import Candles
from market.errors import BadInput
from market.features import series
from market.features.indicators import Call
from market.features.specs import FeatureSet, FeatureSpec

ROWS_AT_ONCE = 8192


def compute(candles: Candles, feature_set: FeatureSet) -> np.ndarray:
    """Return the features of every bar: float64, shape (n, F), column-major, row t from bars up to t.

    The first `feature_set.warmup` rows are NaN in every column, all others are finite. Gaps are not filled:
    bars count as consecutive.

    :raises BadInput: when a price is missing or not positive, or a volume that is read missing or negative.
    """
    _check(candles, feature_set.needs_volume)
    columns = np.empty((len(feature_set), len(candles)))  # (F, n): each column is written in one stretch
    first = feature_set.warmup
    columns[:, :first] = np.nan
    if len(candles) > first:
        bars = _bars(candles, feature_set)
        blocks = _blocks(bars, first, len(candles))
        source = _Source(bars, feature_set.specs)
        for column, spec in zip(columns, feature_set.specs, strict=True):
            _fill(
                column[first:],
                spec,
                [_cut(output, slice(first, None)) for output in source.outputs_of(spec)],
                blocks,
            )
    return columns.T


def _fill(column: np.ndarray, spec: FeatureSpec, outputs: list[Any], blocks: list[Any]) -> None:
    """Run the column's formula block by block, so that its temporaries stay in cache."""
    for number, bars in enumerate(blocks):
        rows = slice(number * ROWS_AT_ONCE, (number + 1) * ROWS_AT_ONCE)
        column[rows] = spec.plan.finish(bars, series.ARRAYS, *[_cut(output, rows) for output in outputs])


def _cut(output: Any, rows: slice) -> Any:
    return tuple(array[rows] for array in output) if isinstance(output, tuple) else output[rows]


def _blocks(bars: Any, first: int, end: int) -> list[SimpleNamespace]:
    """Return views of the bars, `ROWS_AT_ONCE` at a time, without the warm-up."""
    starts = range(first, end, ROWS_AT_ONCE)
    return [
        SimpleNamespace(**{name: array[start : start + ROWS_AT_ONCE] for name, array in vars(bars).items()})
        for start in starts
    ]


class _Source:
    """Runs each distinct TA-Lib call once and drops its arrays after the last column that reads them."""

    def __init__(self, bars: Any, specs: tuple[FeatureSpec, ...]) -> None:
        self.bars = bars
        self.left = Counter(call for spec in specs for call in spec.plan.calls)
        self.outputs: dict[Call, Any] = {}

    def outputs_of(self, spec: FeatureSpec) -> list[Any]:
        return [self._output(call) for call in spec.plan.calls]

    def _output(self, call: Call) -> Any:
        if call not in self.outputs:
            self.outputs[call] = call.over([getattr(self.bars, name) for name in call.inputs])
        self.left[call] -= 1
        return self.outputs[call] if self.left[call] else self.outputs.pop(call)


def _bars(candles: Candles, feature_set: FeatureSet) -> Any:
    names = {name for spec in feature_set.specs for name in spec.plan.inputs}
    return series.of_candles(candles, names, series.price_scale(float(candles.close[0])))


def _check(candles: Candles, needs_volume: bool) -> None:
    for name in ("open", "high", "low", "close"):
        _require(
            candles, getattr(candles, name), np.greater, f"a {name} price that is missing or not positive"
        )
    if needs_volume:
        _require(candles, candles.volume, np.greater_equal, "a volume that is missing or negative")


def _require(candles: Candles, values: np.ndarray, over: np.ufunc, what: str) -> None:
    """Refuse candles where a value is not over 0 or not finite; a comparison with NaN is false."""
    fine = over(values, 0) & (values < np.inf)
    if not fine.all():
        at = np.datetime64(int(candles.open_ms[int(fine.argmin())]), "ms")
        raise BadInput(f"The candle of {at} UTC has {what}; repair or import it again.", "candles")
