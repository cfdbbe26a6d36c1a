"""Bars to try features on: real, random, and of the sort that breaks formulas."""

import numpy as np
import pyarrow.parquet as pq

from market.candles import Candles
from market.features import CATALOGUE, FeatureSet, FeatureSpec

MINUTE = 60_000
START_MS = 1_700_000_040_000


def real(folder, name, first, rows):
    table = pq.read_table(folder / name).slice(first, rows)
    names = ("open_time", "open", "high", "low", "close", "volume")
    return Candles(MINUTE, *(np.ascontiguousarray(table[column].to_numpy()) for column in names))


def bars(closes, *, spread=0.0, volume=1.0, seed=0, times=None):
    """Bars around the given closes; `spread` is the mean length of shadows as a share of the price."""
    rng = np.random.default_rng(seed)
    close = np.asarray(closes, dtype=float)
    opens = np.concatenate((close[:1], close[:-1]))
    high = np.maximum(opens, close) * (1 + rng.exponential(1, len(close)) * spread)
    low = np.minimum(opens, close) / (1 + rng.exponential(1, len(close)) * spread)
    times = START_MS + MINUTE * np.arange(len(close)) if times is None else times
    volumes = np.broadcast_to(np.asarray(volume, dtype=float), close.shape).copy()
    return Candles(MINUTE, times.astype(np.int64), opens, high, low, close, volumes)


def random_walk(rows, seed, *, volatility=0.002, price=100.0):
    rng = np.random.default_rng(seed)
    closes = price * np.exp(np.cumsum(rng.normal(0, volatility, rows)))
    return bars(closes, spread=volatility / 2, volume=rng.exponential(10, rows), seed=seed)


def pathological():
    """Flat, a storm, flat again, a whisper, a crash to nothing, a jump to the sky; half of it untraded."""
    rng = np.random.default_rng(7)
    storm = 100 * np.exp(np.cumsum(rng.normal(0, 0.05, 300)))
    whisper = storm[-1] * np.exp(np.cumsum(rng.normal(0, 1e-7, 200)))
    closes = np.concatenate(
        (np.full(300, 100.0), storm, np.full(450, storm[-1]), whisper, np.full(60, 1e-6), np.full(60, 1e6))
    )
    volume = np.where(np.arange(len(closes)) % 200 < 100, 0.0, rng.exponential(1, len(closes)))
    return bars(closes, volume=volume)


def ticking(rows, seed):
    """Prices on a coarse grid, so that ties, flat bars and untraded bars are frequent, with gaps in time."""
    rng = np.random.default_rng(seed)
    steps = rng.choice((-1, 0, 0, 0, 1), rows)
    times = START_MS + MINUTE * np.cumsum(rng.choice((1, 1, 1, 30), rows))
    volume = rng.choice((0.0, 0.0, 1.0, 2.5), rows)
    return bars(20 + 0.01 * np.cumsum(steps), volume=volume, times=times)


def joined(first, second):
    """`first`, then the bars of `second` that come after it in time."""
    later = second[len(first) :]
    names = ("open_ms", "open", "high", "low", "close", "volume")
    return Candles(MINUTE, *(np.concatenate((getattr(first, name), getattr(later, name))) for name in names))


def rows_of(candles):
    names = ("open_ms", "open", "high", "low", "close", "volume")
    return zip(*(getattr(candles, name).tolist() for name in names), strict=True)


def everything():
    """Every kind of the catalogue with its defaults, and with a short and a long period where it has one."""
    specs = [FeatureSpec(name, name) for name in CATALOGUE]
    for name, kind in CATALOGUE.items():
        if "period" in kind.params:
            low = kind.params["period"].low
            specs += [FeatureSpec(f"{name}_{bars}", name, {"period": bars}) for bars in (max(5, low), 40)]
    return FeatureSet(tuple(specs))


ALL = everything()


def differing(feature_set, left, right):
    """Names of columns that are not bit for bit the same."""
    pairs = zip(feature_set.names, left.T, right.T, strict=True)
    return [name for name, one, other in pairs if not np.array_equal(one, other, equal_nan=True)]
