"""The newest rows of a series that grows by one at every bar."""

from collections.abc import Sequence
from struct import Struct

import numpy as np

SPARE = 64  # rows of room beside those that are kept, so that few bars have the kept ones moved


class Trail:
    """The last `keep` rows, float64, oldest first.

    `rows`, (n, columns) or (n,) of single numbers, shows them without a copy. What it has shown is written no
    more: a row goes behind the others, and where there is no room left the kept ones move into a new array.
    """

    def __init__(self, keep: int, *columns: int) -> None:
        """:param columns: how many a row has; without it a row is one number"""
        self._keep, self._end = keep, 0
        self._room = np.empty((2 * keep + SPARE, *columns))
        self._line = Struct(f"{columns[0] if columns else 1}d")
        self._bytes = memoryview(self._room).cast("B")  # type: ignore[arg-type]  # it is a buffer
        self.rows = self._room[:0]

    def __len__(self) -> int:
        return min(self._end, self._keep)

    def append(self, row: Sequence[float] | np.ndarray | float) -> None:
        """Take one more row."""
        if self._end == len(self._room):
            self._move()
        self._room[self._end] = row
        self.take()

    def append_numbers(self, *numbers: float) -> None:
        """Take one more row of a few plain numbers: an array would be made of them first."""
        if self._end == len(self._room):
            self._move()
        self._line.pack_into(self._bytes, self._end * self._line.size, *numbers)
        self.take()

    def place(self) -> np.ndarray:
        """Return where the next row will lie, (columns,): written there and taken, it is not copied."""
        if self._end == len(self._room):
            self._move()
        return self._room[self._end]

    def take(self) -> None:
        """Take the row that has been written to its `place`."""
        end, keep = self._end + 1, self._keep
        self._end = end
        self.rows = self._room[end - keep if end > keep else 0 : end]

    def _move(self) -> None:
        kept, self._room = self.rows, np.empty_like(self._room)
        self._end = len(kept)
        self._room[: self._end] = kept
        self._bytes = memoryview(self._room).cast("B")  # type: ignore[arg-type]  # it is a buffer

    def extend(self, rows: np.ndarray) -> None:
        """Take many rows, (n, columns) or (n,); only the newest of them are kept."""
        for row in rows[-self._keep :]:
            self.append(row)
