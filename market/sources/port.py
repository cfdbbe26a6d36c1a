"""What every provider of candles must do."""

from typing import Protocol

import numpy as np

from market.candles import COLUMNS, Candles


class SourceUnavailable(Exception):
    """The source did not answer usably: nothing is known, which is not the same as "no candles".

    `wait_s` is how long it asked us to stay away, when it said so.
    """

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.wait_s = wait_s


class DataSource(Protocol):
    """A provider of closed candles."""

    def candles(self, pair: str, interval_ms: int, from_ms: int, to_ms: int, *, now_ms: int) -> Candles:
        """Return the bars that start in [from_ms, to_ms) and are closed at `now_ms`, oldest first.

        :raises BadInput: when the source has no such pair or interval.
        :raises SourceUnavailable: when it cannot be reached, or its answer cannot be believed.
        """
        ...


def no_candles(interval_ms: int) -> Candles:
    """Return zero bars."""
    kinds = {"open_ms": np.int64}
    return Candles(interval_ms, *(np.empty(0, dtype=kinds.get(name, np.float64)) for name in COLUMNS))
