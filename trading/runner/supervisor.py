"""Has a driver sent for every session that is wanted and that nobody drives.

Messages may be lost, late or doubled: a driver takes only sessions whose lease is free, so an extra message
costs nothing and a lost one is sent again.
"""

import logging
from collections.abc import Callable

from django.conf import settings
from django_q.brokers import get_broker
from django_q.tasks import async_task

from market import leases
from market.models import Lease
from trading.models import LiveSession

logger = logging.getLogger(__name__)

AGAIN_MS = 3_000  # before another driver is sent for
MOST_WAITING = 3  # drivers already sent for and not yet begun
STALL_S = 30.0
LONGEST_STALL_S = 600.0


def lost_sessions() -> list[str]:
    """Return the lease names of driven sessions that nobody drives."""
    wanted = [f"session:{pk}" for pk in LiveSession.objects.driven().values_list("pk", flat=True)]
    held = Lease.objects.filter(name__startswith="session:", until_ms__gte=leases.now_ms())
    free = set(wanted) - set(held.values_list("name", flat=True))
    return sorted(free)


def enqueue_lost_sessions() -> int:
    """Send for one driver if any session lacks one; return how many sessions lack one."""
    lost = lost_sessions()
    if not lost:
        return 0
    now = leases.now_ms()
    Lease.objects.bulk_create([Lease(name=name) for name in lost], ignore_conflicts=True)
    due = Lease.objects.filter(name__in=lost, until_ms__lt=now, enqueued_ms__lt=now - AGAIN_MS)
    if due.update(enqueued_ms=now) and get_broker("live").queue_size() < MOST_WAITING:
        async_task("trading.tasks.drive", cluster="live", timeout=int(settings.SLICE_S) + 300)
        logger.info("a driver was sent for: %s", ", ".join(lost[:10]))
    return len(lost)


class Stall:
    """Notices when work has waited so long that the queue's workers must be dead or stuck.

    Each time it is twice as patient, until the work is taken: on a machine so busy that a cluster needs
    longer to start than we wait, it would otherwise be ended before it has begun, for ever.
    """

    def __init__(self, monotonic_s: Callable[[], float], after_s: float = STALL_S) -> None:
        self._monotonic_s, self._after_s = monotonic_s, after_s
        self._since_s: float | None = None
        self._patience_s = after_s

    def see(self, is_waiting: bool) -> bool:
        """Take one look; True once work has been waiting without a break for too long, then start anew."""
        now_s = self._monotonic_s()
        if not is_waiting:
            self._since_s, self._patience_s = None, self._after_s
        elif self._since_s is None:
            self._since_s = now_s
        elif now_s - self._since_s > self._patience_s:
            self._since_s, self._patience_s = None, min(2 * self._patience_s, LONGEST_STALL_S)
            return True
        return False
