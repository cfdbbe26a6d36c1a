"""Which bars of a market are calm, volatile or a crash, told by what was known at their close."""

import numpy as np
import talib

from market.errors import BadInput

STAGES = ("calm", "volatile", "crash")
CALM, VOLATILE, CRASH = range(len(STAGES))
UNKNOWN = -1  # before the first whole window
VOLATILE_ABOVE = 2 / 3  # quantile of the rolling volatility
CRASH_ABOVE = 0.9  # quantile of the fall from the rolling high


def measures(close: np.ndarray, bars: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the deviation of log returns, and the fall from the highest close, over the last `bars` bars.

    Both are float64 (n,); NaN before the first whole window. Row t depends on closes up to t alone.
    """
    returns = np.diff(np.log(close), prepend=np.log(close[0]))
    volatility = talib.STDDEV(returns, timeperiod=bars)
    fall = 1.0 - close / talib.MAX(close, timeperiod=bars)
    volatility[:bars] = fall[:bars] = np.nan  # the first return is none
    return volatility, fall


def classes(close: np.ndarray, bars: int) -> np.ndarray:
    """Return the stage each bar belongs to, int8 (n,): CALM, VOLATILE, CRASH or UNKNOWN.

    Where stages begin are quantiles over all bars given, so give the training part and nothing later.

    :raises BadInput: when there are too few bars, or a stage would have none
    """
    if len(close) < 10 * bars:
        raise BadInput(
            f"a curriculum that looks back {bars} bars needs {10 * bars} bars to learn from, and there are "
            f"{len(close)}: lower curriculum.look_back or take more candles",
            "curriculum.look_back",
        )
    volatility, fall = measures(close, bars)
    known = ~np.isnan(volatility)
    found = np.full(len(close), UNKNOWN, dtype=np.int8)
    found[known] = CALM
    found[known & (volatility > np.quantile(volatility[known], VOLATILE_ABOVE))] = VOLATILE
    found[known & (fall > np.quantile(fall[known], CRASH_ABOVE))] = CRASH
    for stage, name in enumerate(STAGES):
        if not (found == stage).any():
            raise BadInput(f"these candles have no {name} bars: train without a curriculum", "curriculum")
    return found


def starts_of(found: np.ndarray, stage: int, first: int, last: int) -> np.ndarray:
    """Return the rows in first..last that episodes of a stage start at, int32.

    Stages add up: what was learned in calm is not forgotten in a crash. Rarer bars are listed several times,
    so that every class is drawn about equally often.
    """
    rows = [np.flatnonzero(found[first : last + 1] == one) + first for one in range(stage + 1)]
    rows = [places for places in rows if len(places)]
    if not rows:
        raise BadInput(
            f"no episode could start in {STAGES[stage]} bars: take more candles, or shorter episodes",
            "curriculum",
        )
    most = max(len(places) for places in rows)
    repeated = [np.tile(places, max(1, round(most / len(places)))) for places in rows]
    return np.concatenate(repeated).astype(np.int32)
