"""Is a model still used within what it was trained and validated on? Measures over arrays, float only.

The training part's inputs are kept as quantile bins per feature; live inputs are compared with them by PSI
and by the Kolmogorov-Smirnov distance at the bins' edges.
"""

import math
from collections.abc import Sequence

import numpy as np

BINS = 10
LEAST_SHARE = 1e-4  # of a bin that saw nothing: a logarithm of 0 would say nothing


def quantile_bins(rows: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """Return (edges, shares) of training rows.

    :param rows: float64 (n, F), raw features of the training part only
    :return: inner edges float64 (bins - 1, F); share of the rows in each bin, float64 (bins, F)
    """
    edges = np.quantile(rows, np.arange(1, bins) / bins, axis=0)
    return edges, shares_of(rows, edges)


def shares_of(rows: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the share of rows (n, F) that falls into each bin of each feature: float64 (bins, F)."""
    bins, columns = len(edges) + 1, rows.shape[1]
    shares = np.empty((bins, columns))
    for column in range(columns):
        placed = np.searchsorted(edges[:, column], rows[:, column], side="right")
        shares[:, column] = np.bincount(placed, minlength=bins) / len(rows)
    return shares


def psi(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return each feature's population stability index: (bins, F) twice -> (F,); above 0.25 is a shift."""
    before, now = np.maximum(expected, LEAST_SHARE), np.maximum(found, LEAST_SHARE)
    return np.sum((now - before) * np.log(now / before), axis=0)


def ks(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return each feature's largest distance of the cumulated shares: (bins, F) twice -> (F,) in 0..1."""
    return np.max(np.abs(np.cumsum(found, axis=0) - np.cumsum(expected, axis=0)), axis=0)


def entropy_share(probabilities: Sequence[Sequence[float]]) -> float:
    """Return the mean entropy of action probabilities over its largest possible value: 0 decided, 1 uniform.

    :param probabilities: one distribution per decision; -1 when there is none
    """
    rows = [row for row in probabilities if len(row) > 1]
    if not rows:
        return -1.0
    parts = [-sum(p * math.log(p) for p in row if p > 0) / math.log(len(row)) for row in rows]
    return sum(parts) / len(parts)
