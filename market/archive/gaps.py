"""Absent bars: found, counted, never filled in."""

import numpy as np


def gaps(open_ms: np.ndarray, interval_ms: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (from_ms, to_ms, missing) of every hole: first absent bar, next present bar, bars absent."""
    steps = np.diff(open_ms)
    before = np.flatnonzero(steps > interval_ms)
    missing = steps[before] // interval_ms - 1
    return open_ms[before] + interval_ms, open_ms[before + 1], missing
