"""What is silent, seen from outside: sessions nobody drives, prices that stand still, jobs nobody takes.

Durations are measured on the watchdog's own monotonic clock, so that no two clocks are compared.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.conf import settings
from django.utils import timezone

from agents.models import Backtest, TrainingRun
from market import leases
from market.models import Lease
from trading.models import Alert, LiveSession, SessionStatus
from trading.states import DARK, dark_key

STALE_S = 30.0
HUNG_S = 60.0  # longer than a driver's own waits between tries


@dataclass(slots=True)
class Since:
    """Since when each of several things has looked the way it looks now."""

    monotonic_s: Callable[[], float]
    seen: dict[int, tuple[object, float]] = field(default_factory=dict)

    def lasting(self, now: Iterable[tuple[int, object]]) -> dict[int, float]:
        """Take in what is to be seen now; return how many seconds each thing has looked like that."""
        at_s = self.monotonic_s()
        before = self.seen
        self.seen = {}
        for pk, looks in now:
            old = before.get(pk)
            self.seen[pk] = old if old is not None and old[0] == looks else (looks, at_s)
        return {pk: at_s - since for pk, (_, since) in self.seen.items()}


class Silence:
    """Remembers between looks; a watchdog that starts anew begins counting anew."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._free, self._prices, self._jobs = Since(monotonic_s), Since(monotonic_s), Since(monotonic_s)

    def undriven(self) -> dict[LiveSession, float]:
        """Return the wanted sessions that nobody drives, with the seconds for which that has been seen."""
        held = Lease.objects.filter(name__startswith="session:", until_ms__gte=leases.now_ms())
        names = set(held.values_list("name", flat=True))
        wanted = LiveSession.objects.driven().select_related("owner", "account").order_by("pk")
        free = {one.pk: one for one in wanted if one.lease_name not in names or is_hung(one)}
        lasting = self._free.lasting((pk, None) for pk in free)
        return {free[pk]: seconds for pk, seconds in lasting.items()}

    def stale(self, undriven: Iterable[LiveSession]) -> list[LiveSession]:
        """Return the driven sessions whose price has stood still although their driver does not say so."""
        rows = LiveSession.objects.filter(
            status__in=[SessionStatus.RUNNING, SessionStatus.PAUSED], started_ms__gt=0
        )
        told = Alert.objects.filter(closed_at=None)
        alone = told.filter(key__startswith="unknown:").values_list("session", flat=True)
        dark = set(told.filter(key__startswith=DARK).values_list("owner", "key"))
        rows = rows.exclude(pk__in=[one.pk for one in undriven]).exclude(pk__in=list(alone))
        found = {
            one.pk: one
            for one in rows.select_related("owner", "account")
            if (one.owner_id, dark_key(one.account_id)) not in dark
        }
        lasting = self._prices.lasting((pk, one.price_ms) for pk, one in found.items())
        return [found[pk] for pk, s in lasting.items() if s > max(STALE_S, 4 * found[pk].account.poll_s)]

    def jobless(self) -> set[int]:
        """Return the owners of jobs that wait although no supervisor runs."""
        owners: set[int] = set()
        if not leases.is_held("supervisor"):
            for model in (TrainingRun, Backtest):
                owners |= set(model.objects.unfinished().values_list("owner", flat=True))
        lasting = self._jobs.lasting((owner, None) for owner in owners)
        return {owner for owner, seconds in lasting.items() if seconds > settings.WATCHDOG_AFTER_S}


def is_hung(session: LiveSession) -> bool:
    """Say whether a session's driver holds its lease without ever ending a turn."""
    if session.turn_at is None:
        return False
    silent_s = (timezone.now() - session.turn_at).total_seconds()
    return silent_s > settings.LEASE_TTL_S + max(HUNG_S, 4 * session.account.poll_s)
