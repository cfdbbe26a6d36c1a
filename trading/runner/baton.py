"""One turn of a process computes at a time; while it waits for the outside, the others go on.

Python runs one thread at a time anyway, and SQLite lets one write at a time and makes the others sleep.
Taking turns in order of asking keeps both from costing anything, and what sessions share needs no locks.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Baton:
    """A fair lock: `with baton:` computes, `with baton.passed_on():` waits for something outside.

    :param on_pass: told whenever somebody begins to wait for the outside: there is room for others
    """

    def __init__(self, on_pass: Callable[[], None] = lambda: None) -> None:
        self._on_pass = on_pass
        self._mutex = threading.Lock()
        self._line: deque[threading.Lock] = deque()
        self._is_held = False
        self.outside = 0  # turns that wait for the outside; changed by the holder only
        self._heralds = 0  # of them, those that are back with what others wait for

    def __enter__(self) -> None:
        with self._mutex:
            if not self._is_held:
                self._is_held = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._line.append(mine)
        mine.acquire()  # released by whoever hands the baton to us

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            if self._line:
                self._line.popleft().release()
            else:
                self._is_held = False

    @property
    def is_awaited(self) -> bool:
        """Say whether somebody is back from the outside with what others wait for."""
        return self._heralds > 0

    @contextmanager
    def passed_on(self, *, for_others: bool = False) -> Iterator[None]:
        """Let the others compute during a block that only waits. Not inside a database transaction.

        :param for_others: what is heard there is waited for by others, too
        """
        self.outside += 1
        self.__exit__()
        try:
            self._on_pass()
            yield
        finally:
            self._come_back(for_others)
            self.outside -= 1

    def _come_back(self, for_others: bool) -> None:
        with self._mutex:
            self._heralds += for_others
        self.__enter__()
        with self._mutex:
            self._heralds -= for_others


class Outside:
    """An object whose methods wait for the outside: each runs with the baton passed on.

    :param before: called first, while the baton is still held
    :param for_others: see `Baton.passed_on`
    """

    def __init__(
        self,
        inner: Any,
        baton: Baton,
        before: Callable[[], None] = lambda: None,
        *,
        for_others: bool = False,
    ) -> None:
        self._inner, self._baton, self._before, self._for_others = inner, baton, before, for_others
        self._is_timed = False

    def now_ms(self) -> int:
        """Estimate the venue's time: only the first time something outside may be asked for it."""
        if not self._is_timed:
            self._before()
            with self._baton.passed_on():
                self._inner.now_ms()
            self._is_timed = True
        return int(self._inner.now_ms())

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return value

        def call(*args: Any, **given: Any) -> Any:
            self._before()
            with self._baton.passed_on(for_others=self._for_others):
                return value(*args, **given)

        return call
