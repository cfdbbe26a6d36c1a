"""Checks of a training market, and where its episodes may start. Shared by both environments."""

from typing import Any

import numpy as np

from agents.envs.settings import EnvSettings
from market.candles import Candles
from market.errors import BadInput
from market.plans import average_true_range


def checked_features(candles: Candles, features: np.ndarray) -> np.ndarray:
    """Return features as float32 (n, F) once they fit the candles row by row.

    :raises BadInput: for shapes that differ, values that are not finite, prices that are not positive
    """
    features = np.asarray(features, dtype=np.float32)
    if features.ndim != 2 or len(features) != len(candles):
        raise BadInput(
            f"{len(candles)} candles need as many feature rows, not an array of {features.shape}", "features"
        )
    finite = np.isfinite(features)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise BadInput(
            f"feature row {row} column {column} is not finite; drop the warm-up rows first", "features"
        )
    for name in ("open", "high", "low", "close"):
        price = getattr(candles, name)
        if not (np.isfinite(price) & (price > 0)).all():
            raise BadInput(f"every {name} price must be finite and above 0", "candles")
    return features


def average_ranges(candles: Candles, settings: EnvSettings) -> np.ndarray:
    """Return the average true range at every close, float64 (n,); zeros where no rule reads it."""
    bars = atr_bars_of(settings)
    if not bars:
        return np.zeros(len(candles))
    return average_true_range(candles.high, candles.low, candles.close, bars)


def atr_bars_of(settings: EnvSettings) -> int:
    """Return how many closed bars the average true range looks back on; 0 where no rule reads it."""
    return int(settings.atr_bars) if settings.needs_atr else 0


def funding_rates(candles: Candles, settings: EnvSettings) -> np.ndarray:
    """Return the funding rate due at every close, float64 (n,): a share of the notional; zeros for spot.

    What falls due in missing bars is nobody's: charged at the close behind the gap it would be paid by
    whoever opens there, or to them.

    :raises BadInput: when bars are so long that one's payments exceed the maintenance margin
    """
    if not settings.is_futures:
        return np.zeros(len(candles))
    period = settings.funding_hours * 3_600_000
    closes = candles.open_ms + candles.interval_ms
    rates = settings.funding_rate * (closes // period - candles.open_ms // period)
    if np.abs(rates).max(initial=0.0) > settings.maintenance:
        raise BadInput(
            "the funding of one bar exceeds the maintenance margin: use shorter bars", "funding_hours"
        )
    return rates


def start_range(bars: int, settings: EnvSettings) -> tuple[int, int]:
    """Return the first and last row (inclusive) an episode may start at; the first observation ends at it.

    :raises BadInput: when the data is too short for a single episode
    """
    first = settings.window - 1
    last = bars - 1 - settings.episode_bars if settings.episode_bars else first
    if last < first or bars < first + 2:
        needed = max(settings.window + settings.episode_bars, settings.window + 1)
        raise BadInput(
            f"{bars} bars are too few: a window of {settings.window} and an episode of "
            f"{settings.episode_bars or 1} bars need at least {needed}",
            "episode_bars",
        )
    return first, last


def start_of(options: dict[str, Any] | None, first: int, last: int, random: np.random.Generator) -> int:
    """Return the row of a reset's option `start`, drawn from [first, last] where there is none.

    :raises ValueError: for a row in which no episode can start
    """
    start = (options or {}).get("start")
    if start is None:
        start = random.integers(first, last, endpoint=True)
    if not first <= start <= last:
        raise ValueError(f"an episode starts in rows {first}..{last}, not {start}")
    return int(start)
