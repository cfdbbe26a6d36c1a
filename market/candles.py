"""Candles as arrays: the one shape in which prices travel through the whole program."""

from dataclasses import dataclass

import numpy as np

MS = {"1s": 1_000, "5s": 5_000, "1m": 60_000, "3m": 180_000, "5m": 300_000, "15m": 900_000, "30m": 1_800_000,
      "1h": 3_600_000, "2h": 7_200_000, "4h": 14_400_000, "6h": 21_600_000, "8h": 28_800_000,
      "12h": 43_200_000, "1d": 86_400_000}  # fmt: skip


def interval_ms(name: str) -> int:
    """Return the milliseconds of an interval name such as `1m`.

    :raises KeyError: when the name is not one of `MS`.
    """
    return MS[name]


def interval_name(milliseconds: int) -> str:
    """Return the name of an interval given in milliseconds, `1m` for 60000."""
    return next((name for name, ms in MS.items() if ms == milliseconds), f"{milliseconds}ms")


@dataclass(frozen=True, slots=True)
class Candles:
    """Bars of one pair, oldest first, strictly increasing in time; gaps are simply absent rows.

    Every array has shape (n,). `open_ms` is int64, epoch milliseconds UTC of the bar's start; prices are
    float64 in quote currency, `volume` float64 in base currency. A bar is closed at `open_ms + interval_ms`.
    """

    interval_ms: int
    open_ms: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray

    def __len__(self) -> int:
        return len(self.open_ms)

    def __getitem__(self, rows: slice) -> "Candles":
        return Candles(self.interval_ms, *(getattr(self, name)[rows] for name in COLUMNS))

    def between(self, from_ms: int | None, to_ms: int | None) -> "Candles":
        """Return the bars that start in [from_ms, to_ms)."""
        first = 0 if from_ms is None else int(np.searchsorted(self.open_ms, from_ms))
        last = len(self) if to_ms is None else int(np.searchsorted(self.open_ms, to_ms))
        return self[first:last]


COLUMNS = ("open_ms", "open", "high", "low", "close", "volume")
