"""The venue's clock as seen from here: the last answer's time, carried on by our monotonic clock.

A sandbox may run many times faster than real time, or stand still, so the rate is measured too. Until two
measurements agree it counts as 1: a clock moved by hand would otherwise look like a very fast one.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

BASELINE_S = 1.0  # shorter stretches measure the network's jitter, not the venue's rate
AGREEMENT = 0.2  # two measured rates this close (relative) are believed
REAL_TIME = 0.25  # a rate this close to 1 is real time seen through jitter
DOUBT_MS = 2_000  # a ticker this far behind our estimate is checked against serverTime


@dataclass(frozen=True, slots=True)
class Mark:
    """The venue's clock read `venue_ms` when our monotonic clock read `local_s`."""

    venue_ms: int
    local_s: float


class VenueClock:
    """Estimate of a venue's time. Unsynchronised until the first answer that carries one."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._reading = threading.Lock()  # several sessions of an account read it at once
        self._last: Mark | None = None
        self._base: Mark | None = None  # where the present rate measurement began
        self._measured: float | None = None
        self.rate = 1.0  # venue seconds per local second

    @property
    def is_synchronised(self) -> bool:
        return self._last is not None

    def local_s(self) -> float:
        return self._monotonic_s()

    def now_ms(self) -> int:
        """Return the estimated venue time in epoch ms.

        :raises LookupError: before the first synchronisation.
        """
        last = self._last
        if last is None:
            raise LookupError("the venue's clock has not been read yet")
        return last.venue_ms + int((self._monotonic_s() - last.local_s) * 1000 * self.rate)

    def doubts(self, venue_ms: int) -> bool:
        """Say whether `venue_ms` is so far behind the estimate that the answer may be an old one."""
        return self._last is not None and self.now_ms() - venue_ms > DOUBT_MS * max(1.0, self.rate)

    def read(self, venue_ms: int, sent_s: float) -> None:
        """Take an answer's time; it was true about halfway between the sending (`sent_s`) and now."""
        with self._reading:
            self._read(Mark(venue_ms, (sent_s + self._monotonic_s()) / 2))

    def _read(self, mark: Mark) -> None:
        self._last = mark
        if self._base is None:
            self._base = mark
        elif mark.local_s - self._base.local_s >= BASELINE_S:
            measured = (mark.venue_ms - self._base.venue_ms) / 1000 / (mark.local_s - self._base.local_s)
            self.rate = believed(self._measured, measured)
            self._measured, self._base = measured, mark


def believed(before: float | None, measured: float) -> float:
    """Return the rate to use after a new measurement: 1 unless it agrees with the one before."""
    if (
        before is None
        or measured < 0
        or abs(measured - before) > AGREEMENT * max(before, measured, AGREEMENT)
    ):
        return 1.0
    return 1.0 if abs(measured - 1) <= REAL_TIME else (before + measured) / 2
