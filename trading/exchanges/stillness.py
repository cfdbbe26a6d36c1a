"""Whether everything a venue shows has stopped moving. One quiet pair says nothing; ten at once do, in time.

A ticker answered promptly from a book that nobody feeds looks fresh: its time is that of the answer.
"""

import threading
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

from trading.exchanges.port import Quote

LEAST_PAIRS = 10  # of fewer, an honest market may well stand still together
LEAST_READS = 10  # looks in a row: a slow poll is no evidence
BOUND_MS = 60_000  # of real time


class Stillness:
    """Remembers the last ticker that differed from the one before it."""

    def __init__(self) -> None:
        self._shown: Hashable = None
        self._since_ms = 0
        self._reads = 0
        self._reading = threading.Lock()  # several sessions of an account may read at once

    def since(self, shown: frozenset[Hashable], at_ms: int, rate: float) -> int | None:
        """Take in a ticker; return since when nothing has moved if that is too long, else None.

        :param shown: per pair what must move in a living market
        :param at_ms: venue clock
        :param rate: venue seconds per real second: a fast replay stands still for long on that clock
        """
        with self._reading:
            if shown != self._shown or at_ms < self._since_ms:
                self._shown, self._since_ms, self._reads = shown, at_ms, 0
            self._reads += 1
            is_long = at_ms - self._since_ms > BOUND_MS * max(1.0, rate)
            is_still = is_long and self._reads > LEAST_READS and len(shown) >= LEAST_PAIRS
            return self._since_ms if is_still else None


def shown(rows: Mapping[str, Any], names: tuple[str, ...]) -> frozenset[Hashable]:
    """Return what a ticker shows of every pair under `names`, usable or not."""
    values = {pair: row if isinstance(row, dict) else {} for pair, row in rows.items()}
    return frozenset((pair, *(str(row.get(name)) for name in names)) for pair, row in values.items())


def as_of(quotes: dict[str, Quote], since_ms: int) -> dict[str, Quote]:
    """Return quotes as old as the venue's last movement."""
    return {pair: replace(quote, at_ms=since_ms, is_still=True) for pair, quote in quotes.items()}
