"""Seconds for a feature matrix of half a million bars, and microseconds for one more live bar."""

import statistics
import time
from typing import Any

import numpy as np

from market.candles import Candles
from market.features import PRESETS, FeatureSet, Stream, compute

MINUTE = 60_000
STREAMED = 3_000


def run(bars: int = 500_000, repeats: int = 3, seed: int = 7, **options: Any) -> dict[str, Any]:
    """Return columns of the full set and its median seconds, scaled to 500,000 bars; the same for core.

    The first pass is left out: it pays for fresh memory pages, which later passes reuse.
    """
    candles = _walk(bars, seed)
    full, core = PRESETS["full"], PRESETS["core"]
    full_s, core_s = _seconds(candles, full, repeats), _seconds(candles, core, repeats)
    indicators = {call.function for spec in full.specs for call in spec.plan.calls}
    return {
        "columns": len(full),
        "indicators": len(indicators),
        "bars": bars,
        "seconds_500k": round(full_s * 500_000 / bars, 4),
        "ms_per_column": round(full_s * 500_000 / bars / len(full) * 1000, 3),
        "core_columns": len(core),
        "core_seconds_500k": round(core_s * 500_000 / bars, 4),
        "stream_us_per_bar": _stream_us(candles, core),
        "stream_us_per_bar_full": _stream_us(candles, full),
    }


def _walk(bars: int, seed: int) -> Candles:
    rng = np.random.default_rng(seed)
    close = 60_000 * np.exp(np.cumsum(rng.normal(0, 5e-4, bars)))
    opens = np.concatenate((close[:1], close[:-1]))
    high = np.maximum(opens, close) * (1 + rng.exponential(2e-4, bars))
    low = np.minimum(opens, close) / (1 + rng.exponential(2e-4, bars))
    times = 1_700_000_040_000 + MINUTE * np.arange(bars, dtype=np.int64)
    return Candles(MINUTE, times, opens, high, low, close, rng.exponential(10, bars))


def _seconds(candles: Candles, feature_set: FeatureSet, repeats: int) -> float:
    compute(candles, feature_set)
    return statistics.median(_timed(candles, feature_set) for _ in range(repeats))


def _timed(candles: Candles, feature_set: FeatureSet) -> float:
    start = time.perf_counter()
    compute(candles, feature_set)
    return time.perf_counter() - start


def _stream_us(candles: Candles, feature_set: FeatureSet) -> float:
    """Return the median over single bars, warm-up left out."""
    history = min(feature_set.memory, len(candles) // 2)
    stream = Stream(feature_set, MINUTE)
    stream.start(candles[:history])
    later = candles[history : history + STREAMED]
    names = ("open_ms", "open", "high", "low", "close", "volume")
    spent = []
    for row in zip(*(getattr(later, name).tolist() for name in names), strict=True):
        start = time.perf_counter()
        stream.push(*row)
        spent.append(time.perf_counter() - start)
    return round(statistics.median(spent) * 1e6, 2)
