"""Which bars may teach a forecast of which others: contiguous folds by time, purged at their edges."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from agents.spec import TrainingSpec
from market.errors import BadInput

LEAST_ROWS = 100  # to fit on


def require_folds(rows: int, spec: TrainingSpec) -> None:
    """:raises BadInput: when so many bars to learn from are too few for the folds of the spec's forecast"""
    if spec.forecast.kind != "none":
        for first, last in folds(rows, spec.forecast.folds):
            _require_rows(rows, first, last, spec)


def teaching(rows: int, spec: TrainingSpec) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (first, last excluded) of each fold with the rows that may teach its forecasts, int64 (m,).

    :param rows: how many bars there are to learn from
    :raises BadInput: when a fold would be taught by too few
    """
    horizon, gap = spec.forecast.horizon, _gap(spec)
    for first, last in folds(rows, spec.forecast.folds):
        _require_rows(rows, first, last, spec)
        yield first, last, outside(max(rows - horizon, 0), first, last, horizon, gap)


def _gap(spec: TrainingSpec) -> int:
    """Return how many bars behind a fold teach nothing of it."""
    return spec.forecast.horizon + spec.feature_set().warmup


def _require_rows(rows: int, first: int, last: int, spec: TrainingSpec) -> None:
    given, gap = spec.forecast, _gap(spec)
    before, behind = max(first - given.horizon, 0), max(rows - given.horizon - (last + gap), 0)
    if before + behind < LEAST_ROWS:
        raise BadInput(
            f"{rows} bars to learn from are too few for a forecast in {given.folds} folds with "
            f"gaps of {gap} bars: take fewer folds, a shorter horizon, or more candles",
            "forecast.folds",
        )


def folds(rows: int, count: int) -> list[tuple[int, int]]:
    """Return (first, last excluded) of contiguous folds, by time."""
    bounds = np.linspace(0, rows, count + 1).astype(int).tolist()
    return list(pairwise(bounds))


def outside(labels: int, first: int, last: int, horizon: int, gap: int) -> np.ndarray:
    """Return rows that may teach the forecasts of first..last.

    Purged: their own return ends before the fold begins, or they begin `gap` bars after it ends, when neither
    a return of the fold nor a feature that reaches back into it overlaps with them.

    :param labels: how many rows, the first ones, have a return to learn
    """
    return np.concatenate([np.arange(0, max(first - horizon, 0)), np.arange(min(last + gap, labels), labels)])
