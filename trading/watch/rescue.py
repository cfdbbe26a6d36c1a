"""Sells what sessions hold that nobody drives any more, if the operator has chosen so (WATCHDOG_FLATTEN_S).

There is no second way to sell: the session is asked to flatten, and a runner of our own drives it. It takes
the session's lease first, so a trader that wakes up later finds its fence stale and sends nothing.
"""

import logging
import threading
from collections.abc import Callable

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from market.errors import BadInput
from trading import services, states
from trading.alerts import raise_alert
from trading.models import AlertKind, LiveSession, SessionStatus
from trading.runner.loop import Runner

logger = logging.getLogger(__name__)

SLICE_S = 60.0


class Rescue:
    """The sessions the watchdog flattens, and the runner that does it."""

    def __init__(self, must_end: Callable[[], bool]) -> None:
        self.wanted: set[int] = set()
        self._must_end = must_end
        self._thread: threading.Thread | None = None

    def _rows(self) -> QuerySet[LiveSession]:
        return states.WITH_RELATED.filter(pk__in=self.wanted)

    def consider(self, undriven: dict[LiveSession, float]) -> None:
        """Begin to flatten the sessions that have been alone for too long."""
        after_s = settings.WATCHDOG_FLATTEN_S
        for session, seconds in undriven.items():
            if after_s > 0 and seconds >= after_s and session.pk not in self.wanted:
                self._consider(session, seconds)

    def _consider(self, session: LiveSession, seconds: float) -> None:
        with transaction.atomic():
            is_wanted = self._ask(session)
            if is_wanted:
                self._tell(session, seconds)
        if is_wanted:
            self.wanted.add(session.pk)

    def _ask(self, session: LiveSession) -> bool:
        """Ask for the sale, unless there is nothing to sell or a person wants something else."""
        if session.status == SessionStatus.STOPPING:
            return session.flatten_wanted
        if session.held == 0 and not session.orders.unsettled().exists():
            return False
        try:
            services.flatten_session(session=session)
        except BadInput as error:
            logger.warning("session %s is not flattened: %s", session.pk, error.message)
            return False
        return True

    def _tell(self, session: LiveSession, seconds: float) -> None:
        kind = AlertKind.TRADER_SILENT
        text = f"Nobody drove {session} for {seconds:.0f} s: the watchdog sells what it holds and stops it."
        logger.error("session %s: nobody drove it for %.0f s: it is flattened", session.pk, seconds)
        raise_alert(session.owner, kind.level, f"rescue:{session.pk}", text, session, kind=kind)

    def turn(self) -> None:
        """See that what is to be flattened is driven, beside the looks of the watchdog."""
        if not self.wanted or (self._thread is not None and self._thread.is_alive()):
            return
        open_still = LiveSession.objects.driven().filter(pk__in=self.wanted)
        self.wanted &= set(open_still.values_list("pk", flat=True))
        if self.wanted:
            self._thread = threading.Thread(target=self._drive, name="rescue", daemon=True)
            self._thread.start()

    def _drive(self) -> None:
        try:
            Runner(must_end=self._must_end, wanted=self._rows).run(SLICE_S)
        except Exception:
            logger.exception("flattening failed; it is tried again")
        finally:
            connection.close()

    def release(self, timeout_s: float = 10.0) -> None:
        """Wait until the sessions are given back; `must_end` says that they are to be."""
        if self._thread is not None:
            self._thread.join(timeout_s)
