"""Calls per minute and account, shared by every process: a sliding minute, counted in the database.

The venue counts calls in any 60 seconds. We count by whole seconds and keep each for 61, so that we are never
above its count. Reads leave a reserve that only orders, and the questions that settle them, may use.
"""

import logging

from django.db import DatabaseError

from market.leases import now_ms
from market.prepared import Update
from trading.exchanges.errors import Throttled, Unreachable
from trading.models import CallBudget

logger = logging.getLogger(__name__)

WINDOW_S = 61  # a call made late in a second still counts 60 s later
TRIES = 200  # lost races; each means that somebody else got through
Window = list[list[int]]
_change = Update(CallBudget, ["window", "version"], where=["account", "version"])


def reserve_of(limit: int) -> int:
    """Return how many calls of `limit` a minute are kept for orders."""
    return min(limit - 1, max(1, limit // 4))


def charged(window: Window, now_s: int, room: int) -> tuple[Window, int]:
    """Return (the window with one more call, 0), or (the window, seconds to wait) when `room` calls are used.

    :param window: [epoch second, calls] of the last minute, oldest first.
    """
    kept: dict[int, int] = {}
    for second, calls in window:
        second = min(second, now_s)  # a clock that was set back must not lock the account for hours
        if now_s - second < WINDOW_S:
            kept[second] = kept.get(second, 0) + calls
    used = sum(kept.values())
    if used >= room:
        return [list(item) for item in sorted(kept.items())], _wait_s(kept, now_s, used - room)
    kept[now_s] = kept.get(now_s, 0) + 1
    return [list(item) for item in sorted(kept.items())], 0


def _wait_s(kept: dict[int, int], now_s: int, too_many: int) -> int:
    """Return after how many seconds more than `too_many` calls have left the window."""
    for second in sorted(kept):
        too_many -= kept[second]
        if too_many < 0:
            return second + WINDOW_S - now_s
    return WINDOW_S


class Budget:
    """Callable that an adapter asks before every request: `budget("read")` or `budget("order")`."""

    def __init__(self, account_id: int, calls_per_minute: int) -> None:
        self._account_id = account_id
        self._last: tuple[Window, int] | None = None  # window and version as we left them
        self._rooms = {"order": calls_per_minute, "read": calls_per_minute - reserve_of(calls_per_minute)}

    def __call__(self, kind: str) -> None:
        """Count one call.

        :raises Throttled: when it has to wait. Nothing is counted then.
        :raises Unreachable: when the count cannot be read; the call must not be made then.
        """
        try:
            self._count(self._rooms[kind])
        except DatabaseError as error:
            logger.warning("call budget unreadable: %s", error)
            raise Unreachable("the call budget cannot be read from the database; nothing was sent") from error

    def _count(self, room: int) -> None:
        for _ in range(TRIES):
            before, version = self._last or self._read()
            window, wait_s = charged(before, now_ms() // 1000, room)
            if wait_s:  # others can only have used more of it
                raise Throttled(wait_s)
            changed = {"window": window, "version": version + 1}
            if _change(changed, account=self._account_id, version=version):
                self._last = window, version + 1
                return
            self._last = None  # somebody else has counted meanwhile
        raise Throttled(1.0)

    def _read(self) -> tuple[Window, int]:
        row, _created = CallBudget.objects.get_or_create(account_id=self._account_id)
        return row.window, row.version
