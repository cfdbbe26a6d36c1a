"""The way a price takes inside a bar: open, the two extremes, close, each standing for a twelfth of the bar.

Standing still a while lets a client that polls every five seconds see all four prices of a one-minute bar.
"""

import numpy as np

# Fractions of the bar and how far the price has come: 0 open, 1 first extreme, 2 second extreme, 3 close.
KNOTS = (0, 1 / 12, 3 / 12, 4 / 12, 7 / 12, 8 / 12, 11 / 12, 1)
LEVELS = (0, 0, 1, 1, 2, 2, 3, 3)


def steps_in(interval_ms: int) -> int:
    """Return how many price steps a bar has: one a second, at most 60."""
    return max(1, min(60, interval_ms // 1000))


def weights(steps: int) -> np.ndarray:
    """Return the share of (open, first, second, close) in the price at each step; shape (steps, 4)."""
    if steps < 12:
        return np.eye(4)[np.linspace(0, 3, steps).round().astype(int)] if steps > 1 else np.eye(4)[3:]
    level = np.interp((np.arange(steps) + 0.5) / steps, KNOTS, LEVELS)
    return np.maximum(0.0, 1.0 - np.abs(level[:, None] - np.arange(4)))  # linear between neighbours


def knots(open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    """Return (open, first extreme, second extreme, close) of bars, shape (n, 4): a rising bar falls first."""
    rises = close >= open_
    return np.stack([open_, np.where(rises, low, high), np.where(rises, high, low), close], axis=1)
