"""What makes two sets of candles the same: months, and hashes over them."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import pairwise

import numpy as np

from market.candles import COLUMNS, Candles


def months_of(candles: Candles) -> Iterator[tuple[date, Candles]]:
    """Yield (first day, bars) of every UTC calendar month that has bars."""
    if len(candles) == 0:
        return
    months = candles.open_ms.astype("M8[ms]").astype("M8[M]")
    edges = [0, *(np.flatnonzero(np.diff(months.astype(np.int64))) + 1).tolist(), len(candles)]
    for first, last in pairwise(edges):
        yield months[first].astype("M8[D]").item(), candles[first:last]


def month_fingerprint(candles: Candles) -> str:
    """Return the SHA-256 of one month's bars: interval, then each column as little-endian 8-byte numbers."""
    digest = hashlib.sha256(f"candles 1 {candles.interval_ms}\n".encode())
    for name in COLUMNS:
        kind = "<i8" if name == "open_ms" else "<f8"
        digest.update(np.ascontiguousarray(getattr(candles, name), dtype=kind).data)
    return digest.hexdigest()


def join(months: Iterable[str]) -> str:
    """Return the fingerprint of a series from those of its months, oldest first.

    A hash of hashes: adding a day to a series of years re-reads one month, not all of them.
    """
    return hashlib.sha256("\n".join(months).encode()).hexdigest()


def fingerprint(candles: Candles) -> str:
    """Return the SHA-256 that changes with any number in `candles`; equal to the series' when whole."""
    return join(month_fingerprint(bars) for _, bars in months_of(candles))
