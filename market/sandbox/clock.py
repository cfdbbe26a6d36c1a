"""The sandbox's clock: real time, faster real time, or moved by hand. Epoch milliseconds UTC."""

from collections.abc import Callable


class RunningClock:
    """Runs `speed` times as fast as `monotonic_s` from `start_ms` on."""

    is_manual = False

    def __init__(self, start_ms: int, speed: float, monotonic_s: Callable[[], float]) -> None:
        self.speed = speed
        self._start_ms = start_ms
        self._monotonic_s = monotonic_s
        self._began_s = monotonic_s()

    def now_ms(self) -> int:
        return self._start_ms + int((self._monotonic_s() - self._began_s) * 1000 * self.speed)


class ManualClock:
    """Stands still until `advance`."""

    is_manual = True
    speed = 1.0

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, ms: int) -> int:
        """Move on by `ms` (never back) and return the new time."""
        self._now_ms += ms
        return self._now_ms


Clock = RunningClock | ManualClock
