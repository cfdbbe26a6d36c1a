"""The stretch of candles that a backtest runs over, and how it would run."""

from dataclasses import dataclass

import numpy as np

from agents.backtest import BacktestSettings
from agents.policies import Policy
from agents.policies.weights import NetworkWeights
from market import archive
from market.candles import Candles
from market.errors import BadInput
from market.models import Series


@dataclass(frozen=True, slots=True)
class Plan:
    """A backtest ready to run."""

    policy: Policy | NetworkWeights
    settings: BacktestSettings
    candles: Candles  # warm-up included; of a portfolio the first pair's, at the times that all pairs have
    first: int  # row of the first decision
    own: tuple[tuple[Series, Candles], ...] = ()  # of a portfolio: every pair's own candles


def stretch(series: Series, from_ms: int | None, to_ms: int | None) -> tuple[int, int]:
    """Return the stretch of a series that is meant, epoch ms, its end excluded.

    :raises BadInput: when the series is empty or the stretch ends before it starts
    """
    if series.first_ms is None or series.last_ms is None:
        raise BadInput(f"series {series.pk} holds no candles yet: import some first", "series")
    start = series.first_ms if from_ms is None else from_ms
    end = series.last_ms + series.interval_ms if to_ms is None else to_ms
    if start >= end:
        raise BadInput("from must be earlier than to", "from_ms")
    return start, end


def with_warmup(series: Series, from_ms: int, to_ms: int, history: int) -> Candles:
    """Return the candles of [from_ms, to_ms) and, where there are any, enough earlier ones to warm up on."""
    reach = from_ms - 2 * history * series.interval_ms
    candles = archive.load(series, reach, to_ms)
    before = int(np.searchsorted(candles.open_ms, from_ms))
    if before < history and series.first_ms is not None and series.first_ms < reach:
        return archive.load(series, None, to_ms)  # gaps ate the warm-up
    return candles
