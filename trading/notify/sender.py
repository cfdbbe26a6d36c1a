"""Sends what is due from a process that has other things to do: a channel that hangs delays only itself."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import DatabaseError, connection
from django.utils import timezone

from market import connections
from trading.notify import outbox

logger = logging.getLogger(__name__)

THREADS = 8
LOOK_S = 1.0
AT_ONCE = 20  # of one channel before others get its thread


class Sender:
    """One lane per channel, in threads. Any number of processes may have a sender: deliveries are claimed."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="alerts")
        self._busy: set[int] = set()
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> "Sender":
        self._thread.start()
        return self

    def stop(self) -> None:
        """Begin nothing more; what is being sent may end, or is sent again by whoever comes next."""
        self._ends.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while not self._ends.wait(LOOK_S):
            try:
                self.look()
            except DatabaseError as error:
                logger.warning("the outbox cannot be read: %s", error)
                connections.refresh()
            except Exception:
                if not self._ends.is_set():  # else: the pool has been shut down under us
                    logger.exception("a look into the outbox failed")
        connection.close()

    def look(self) -> int:
        """Give every channel with something due a thread; return how many got one."""
        waiting = set(
            outbox.due(timezone.now()).values_list("channel_id", flat=True).distinct()[: 4 * THREADS]
        )
        with self._lock:
            free = waiting - self._busy
            self._busy |= free
        for channel_id in free:
            self._pool.submit(self._lane, channel_id)
        connections.refresh()
        return len(free)

    def _lane(self, channel_id: int) -> None:
        try:
            for _ in range(AT_ONCE):
                delivery = (
                    None if self._ends.is_set() else outbox.claim(timezone.now(), channel_id=channel_id)
                )
                if delivery is None or not outbox.deliver(delivery):
                    break
        except Exception:
            logger.exception("channel %s: a delivery could not be sent or marked", channel_id)
        finally:
            connection.close()
            with self._lock:
                self._busy.discard(channel_id)
