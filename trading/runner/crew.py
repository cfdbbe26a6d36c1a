"""Threads that do one piece of work at a time, as many as there is work at once."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Protocol

from django.db import connections

logger = logging.getLogger(__name__)

Work = Callable[[], None]
IDLE_S = 30.0


class Hands(Protocol):
    """Whoever does the work."""

    def hand(self, work: Work) -> None:
        """Have a piece of work done; it must not raise."""

    def close(self) -> None:
        """Wait until all work is done."""


class Crew:
    """Starts a thread whenever all are busy; an idle one ends after a while and closes its connections.

    There is no bound here: whoever hands out the work knows how much of it may be under way.
    """

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()

    @property
    def size(self) -> int:
        return len(self._threads)

    def hand(self, work: Work) -> None:
        if not self._idle.acquire(blocking=False):
            thread = threading.Thread(target=self._serve, name="turns", daemon=True)
            with self._lock:
                thread.start()  # raises where there can be no more threads: then it is none of ours
                self._threads.add(thread)
        self._work.put(work)

    def close(self) -> None:
        with self._lock:
            threads = list(self._threads)
        for _ in threads:
            self._work.put(None)
        for thread in threads:
            thread.join()

    def _serve(self) -> None:
        try:
            while work := self._next():
                try:
                    work()
                except Exception:
                    logger.exception("a piece of work failed")
                self._idle.release()
        finally:
            connections.close_all()
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _next(self) -> Work | None:
        while True:
            try:
                return self._work.get(timeout=self._idle_s)
            except queue.Empty:
                if self._idle.acquire(blocking=False):  # else work was promised to us a moment ago
                    return None
