"""A venue's public price stream in a thread of its own: it connects, listens, and connects again.

What comes is kept in memory only. Whoever reads looks at the time of a quote: a silent stream makes it old,
and old is unknown. A dropped connection, a stall or nonsense ends in a new connection after 1, 2, 4 … 60 s.
"""

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from trading.exchanges.port import Quote
from trading.exchanges.stream_book import StreamBook
from trading.exchanges.stream_dialects import Dialect

logger = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
STALL_S = 10.0  # without a usable frame
HEARTBEAT_S = 20.0
LOOK_S = 0.25  # how late a change of what is wanted may be noticed
MOST_NONSENSE = 5  # frames in a row
LOCAL = ("127.0.0.1", "localhost", "::1")


class Broken(Exception):
    """The connection is of no use any more; the text says why."""


class PriceStream:
    """Quotes of the pairs that are wanted. Starts at the first wish; `close` ends its thread.

    :param base_url: ws:// or wss://, scheme and host.
    :param jitter: returns 0..1; spreads out the tries of many clients.
    """

    def __init__(
        self,
        dialect: Dialect,
        base_url: str,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        first_wait_s: float = FIRST_WAIT_S,
        stall_s: float = STALL_S,
    ) -> None:
        self.url = base_url.rstrip("/") + dialect.path
        self.is_live = False  # connected, and something usable came
        self.connections = self.failures = self.nonsense = 0
        self.last_error = ""
        self._dialect, self._monotonic_s, self._jitter = dialect, monotonic_s, jitter
        self._first_wait_s, self._stall_s = first_wait_s, stall_s
        self._book, self._lock = StreamBook(), threading.Lock()
        self._wanted: dict[str, str] = {}  # pair by symbol
        self._changed, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def gaps(self) -> int:
        return self._book.gaps

    @property
    def state(self) -> dict[str, Any]:
        """Return how the stream goes, as JSON values: is it live, and what has happened to it."""
        return {
            "is_live": self.is_live,
            "connections": self.connections,
            "failures": self.failures,
            "gaps": self._book.gaps,
            "late": self._book.late,
            "nonsense": self.nonsense,
            "last_error": self.last_error,
        }

    def want(self, pairs: Iterable[str]) -> None:
        """Ask for pairs beside those asked for before."""
        new = {self._dialect.symbol(pair): pair for pair in pairs} | self._wanted
        if new == self._wanted or self._closed.is_set():
            return
        self._wanted = new
        self._changed.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="prices", daemon=True)
            self._thread.start()

    def quotes(self) -> dict[str, Quote]:
        """Return the newest quote of every wanted pair that has one; look at its time."""
        with self._lock:
            found = [self._book.quote(symbol, pair) for symbol, pair in self._wanted.items()]
        return {quote.pair: quote for quote in found if quote is not None}

    def close(self) -> None:
        """End the thread and its connection."""
        self._closed.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(10)

    def _run(self) -> None:
        wait_s = self._first_wait_s
        while not self._closed.is_set():
            self._changed.clear()
            frames = self._book.frames
            try:
                self._listen()
                continue  # something else is wanted now
            except (OSError, WebSocketException, Broken) as error:
                self.failures += 1
                self.last_error = str(error)[:200] or type(error).__name__
            finally:
                self.is_live = False
                with self._lock:
                    self._book.forget()
            if self._book.frames > frames:
                wait_s = self._first_wait_s
            pause_s = wait_s * (0.5 + self._jitter())
            logger.warning("%s: %s; next try in %.1f s", self.url, self.last_error, pause_s)
            self._closed.wait(min(pause_s, LONGEST_WAIT_S))
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)

    def _listen(self) -> None:
        """Take frames in until something else is wanted. :raises Broken: also when nothing usable comes."""
        proxy: Literal[True] | None = None if urlsplit(self.url).hostname in LOCAL else True
        with connect(self.url, open_timeout=10, close_timeout=1, proxy=proxy) as socket:
            self.connections += 1
            for message in self._dialect.subscriptions(self._wanted):
                socket.send(json.dumps(message))
            usable_s = beat_s = self._monotonic_s()
            nonsense = 0
            while not self._changed.is_set():
                now_s = self._monotonic_s()
                if now_s - usable_s > self._stall_s:
                    raise Broken(f"nothing usable came for {self._stall_s:g} s")
                if self._dialect.heartbeat is not None and now_s - beat_s > HEARTBEAT_S:
                    socket.send(json.dumps(self._dialect.heartbeat))
                    beat_s = now_s
                taken = self._take_one(socket)
                if taken is True:
                    usable_s, nonsense, self.is_live = self._monotonic_s(), 0, True
                elif taken is False:
                    nonsense += 1
                    self.nonsense += 1
                    if nonsense >= MOST_NONSENSE:
                        raise Broken("what comes cannot be understood")

    def _take_one(self, socket: ClientConnection) -> bool | None:
        """Return whether a frame was usable; None when none came, or one that is no price."""
        try:
            text = socket.recv(timeout=LOOK_S)
        except TimeoutError:
            return None
        try:
            part = self._dialect.part(json.loads(text))
        except (ValueError, LookupError, TypeError) as error:
            logger.info("%s: a frame cannot be understood: %s", self.url, str(error)[:120])
            return False
        if part is None or part.symbol not in self._wanted:
            return None
        with self._lock:
            return self._book.take(part) or None
