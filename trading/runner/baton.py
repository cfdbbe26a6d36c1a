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

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """Let the others compute during a block that only waits. Not inside a database transaction."""
        self.outside += 1
        self.__exit__()
        try:
            self._on_pass()
            yield
        finally:
            self.__enter__()
            self.outside -= 1


class Outside:
    """An object whose methods wait for the outside: each runs with the baton passed on.

    :param before: called first, while the baton is still held
    """

    def __init__(self, inner: Any, baton: Baton, before: Callable[[], None] = lambda: None) -> None:
        self._inner, self._baton, self._before = inner, baton, before
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
            with self._baton.passed_on():
                return value(*args, **given)

        return call
