"""The process that watches the others and tells people itself when they are dead (`manage.py watchdog`)."""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.utils import timezone

from market import connections, leases
from market.leases import Held
from trading.alerts import close_alert, raise_alert
from trading.models import Alert, AlertKind, Delivery, DeliveryStatus, LiveSession
from trading.notify import outbox
from trading.notify.sender import Sender
from trading.watch.jobs import tell_failed_jobs
from trading.watch.rescue import Rescue
from trading.watch.silence import Silence

logger = logging.getLogger(__name__)

LEASE = "watchdog"
LOOK_S = 2.0
NAP_S = 0.25
REMIND_S = 60.0  # how often a lasting alarm is counted up; rules say how often it is told
LATE_S = 30.0  # after which an undelivered alert is told elsewhere
PING_S = 60.0
OWN = ("trader", "workers", "silent:", "stale:", "rescue:")  # keys of alerts that are ours to close


class Watchdog:
    """Looks, tells, sends. Works only under its lease; a second one stands by."""

    def __init__(
        self,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        must_end: Callable[[], bool] = lambda: False,
    ) -> None:
        self._monotonic_s, self._must_end = monotonic_s, must_end
        self.silence, self.rescue = Silence(monotonic_s), Rescue(must_end)
        self._told: dict[tuple[int, str], float] = {}
        self._lease: Held | None = None
        self._sender: Sender | None = None
        self._pings = ThreadPoolExecutor(1, thread_name_prefix="ping")
        self._next_look_s = self._next_ping_s = 0.0

    def run(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Watch until `must_end`."""
        try:
            while not self._must_end():
                self.round()
                sleep(NAP_S)
        finally:
            self._stand_down()
            self._pings.shutdown(wait=False, cancel_futures=True)

    def round(self) -> None:
        """Keep the lease, look when it is time, drive what is being flattened; wait for a lost database."""
        try:
            if not self._holds_lease():
                return
            now_s = self._monotonic_s()
            if now_s >= self._next_look_s:
                self._next_look_s = now_s + LOOK_S
                self.look()
                self._ping(now_s)
            self.rescue.turn()
        except DatabaseError as error:
            logger.error("the watchdog cannot read the database: %s", error)
            connections.refresh()
        except Exception:
            logger.exception("a look failed; the next one follows")
            connections.refresh()

    def _holds_lease(self) -> bool:
        if self._lease is not None and self._lease.remaining_s() < settings.LEASE_TTL_S / 2:
            self._lease = self._lease if self._lease.renew() else None
        if self._lease is None:
            self._stop_sender()
            self._lease = leases.acquire(LEASE)
            if self._lease is not None:
                self.silence = Silence(self._monotonic_s)
                self._sender = Sender().start()
                logger.info("watching with fence %s", self._lease.fence)
        return self._lease is not None

    def look(self) -> None:
        """Compare what is with what should be; raise and close our alerts accordingly."""
        undriven = self.silence.undriven()
        alone = {one: s for one, s in undriven.items() if s >= settings.WATCHDOG_AFTER_S}
        now: dict[tuple[int, str], tuple[str, LiveSession | None, AlertKind]] = {}
        now |= _stale(self.silence.stale(undriven))
        now |= _silent(alone)
        for owner in self.silence.jobless():
            now[owner, "workers"] = (NO_WORKERS, None, AlertKind.TRADER_SILENT)
        self._tell(now)
        self._take_back(now)
        self.rescue.consider(undriven)
        tell_late_deliveries()
        tell_failed_jobs()

    def _tell(self, now: dict[tuple[int, str], tuple[str, LiveSession | None, AlertKind]]) -> None:
        at_s = self._monotonic_s()
        self._told = {key: told_s for key, told_s in self._told.items() if key in now}
        for (owner, key), (text, session, kind) in now.items():
            if at_s < self._told.get((owner, key), -REMIND_S) + REMIND_S:
                continue
            person = get_user_model().objects.get(pk=owner)
            logger.error("%s (owner %s)", text, owner)
            raise_alert(person, kind.level, key, text, session, kind=kind)
            self._told[owner, key] = at_s

    def _take_back(self, now: Iterable[tuple[int, str]]) -> None:
        """Close our alerts whose reason is over, those of a watchdog before us included."""
        keep = set(now)
        for alert in Alert.objects.filter(closed_at=None, kind__in=OWN_KINDS).select_related(
            "owner", "session"
        ):
            is_rescue = alert.key.startswith("rescue:")
            is_ours = alert.key.startswith(OWN) and (alert.owner_id, alert.key) not in keep
            if is_ours and not (is_rescue and alert.session_id in self.rescue.wanted):
                close_alert(alert.owner, alert.key)

    def _ping(self, now_s: float) -> None:
        """Tell a dead man's switch that this look went well."""
        if settings.WATCHDOG_PING_URL and now_s >= self._next_ping_s:
            self._next_ping_s = now_s + PING_S
            self._pings.submit(ping, settings.WATCHDOG_PING_URL)

    def _stop_sender(self) -> None:
        if self._sender is not None:
            self._sender.stop()
            self._sender = None

    def _stand_down(self) -> None:
        self._stop_sender()
        try:
            self.rescue.release()
            if self._lease is not None:
                self._lease.release()
        except DatabaseError as error:
            logger.warning("the watchdog's lease could not be released, it runs out: %s", error)


OWN_KINDS = (AlertKind.TRADER_SILENT, AlertKind.DATA_STALE)
NO_WORKERS = "Your jobs wait: no workers are running. Start them with `manage.py workers`."


def _silent(
    alone: dict[LiveSession, float],
) -> dict[tuple[int, str], tuple[str, LiveSession | None, AlertKind]]:
    """Return one alarm per owner whose sessions are all alone, one per session where only some are.

    The one alarm lasts until all are driven: workers that come back take them over one after the other.
    """
    found: dict[tuple[int, str], tuple[str, LiveSession | None, AlertKind]] = {}
    told = set(Alert.objects.filter(closed_at=None, key="trader").values_list("owner", flat=True))
    for owner in {one.owner_id for one in alone}:
        mine = [one for one in alone if one.owner_id == owner]
        count = LiveSession.objects.driven().filter(owner=owner).count()
        seconds = max(alone[one] for one in mine)
        if len(mine) >= count or owner in told:
            text = f"Nobody drives your sessions ({_named(mine)}) since at least {seconds:.0f} s. {ADVICE}"
            found[owner, "trader"] = (text, mine[0] if len(mine) == 1 else None, AlertKind.TRADER_SILENT)
            continue
        for one in mine:
            text = f"Nobody drives {one} since at least {alone[one]:.0f} s. {ADVICE}"
            found[owner, f"silent:{one.pk}"] = (text, one, AlertKind.TRADER_SILENT)
    return found


def _stale(
    found: list[LiveSession],
) -> dict[tuple[int, str], tuple[str, LiveSession | None, AlertKind]]:
    """Return one alarm per account some of whose prices stand still."""
    by_account: dict[tuple[int, str], list[LiveSession]] = {}
    for one in sorted(found, key=lambda session: session.pk):
        by_account.setdefault((one.owner_id, f"stale:{one.account_id}"), []).append(one)
    return {
        key: (
            f"{_named(mine)}: no new price for a while although a driver reads it. Is the source stuck?",
            mine[0] if len(mine) == 1 else None,
            AlertKind.DATA_STALE,
        )
        for key, mine in by_account.items()
    }


def _named(sessions: list[LiveSession]) -> str:
    more = len(sessions) - 5
    return ", ".join(map(str, sessions[:5])) + (f" and {more} more" if more > 0 else "")


ADVICE = "Nothing is decided and no stop is guarded. Are the workers running? `manage.py workers`"


def tell_late_deliveries() -> None:
    """Tell people through their other channels about one that does not deliver."""
    since = timezone.now() - timedelta(seconds=LATE_S)
    late = Delivery.objects.filter(status=DeliveryStatus.WAITING, attempts__gt=0, due_at__lt=since)
    told = set(Alert.objects.filter(kind=AlertKind.UNDELIVERED, closed_at=None).values_list("owner", "key"))
    for delivery in late.select_related("alert", "channel", "owner").order_by("id")[:100]:
        if (delivery.owner_id, outbox.undelivered_key(delivery.channel_id)) not in told:
            told.add((delivery.owner_id, outbox.undelivered_key(delivery.channel_id)))
            outbox.tell_undelivered(delivery, f"it is tried again and again: {delivery.answer}")


def ping(url: str) -> None:
    """Call the dead man's switch once; its address may hold a token, so no log line repeats it."""
    try:
        requests.get(url, timeout=(5, 10))
    except requests.RequestException as error:
        logger.warning("the dead man's switch cannot be reached (%s)", type(error).__name__)
