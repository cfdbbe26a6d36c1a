"""The loop that drives many sessions in one process: the only place with a real clock and a sleep."""

import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError

from market import connections, draining, leases
from market.errors import BadInput
from market.models import Lease
from trading import states
from trading.exchanges.port import Exchange
from trading.exchanges.registry import connect
from trading.models import LiveSession
from trading.runner.desk import Desk
from trading.runner.driven import Driven

logger = logging.getLogger(__name__)

SCAN_S = 0.5
LONGEST_NAP_S = 0.25  # how late a stop request may be noticed
RECONCILE_S = 60.0


class Runner:
    """Takes up every session nobody drives and gives each its turns."""

    def __init__(
        self,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        must_end: Callable[[], bool] = draining.is_on,
    ) -> None:
        self._monotonic_s, self._sleep, self._must_end = monotonic_s, sleep, must_end
        self._desks: dict[str, Desk] = {}
        self._exchanges: dict[int, Exchange] = {}
        self._next_scan_s = 0.0
        self._next_check_s: dict[int, float] = {}
        self.turns = 0

    @property
    def driven(self) -> list[Driven]:
        return [one for desk in self._desks.values() for one in desk.driven]

    def run(self, slice_s: float) -> int:
        """Drive until the slice is over, the host is draining or nothing is left; return the turns taken."""
        until_s = self._monotonic_s() + slice_s
        try:
            while self._monotonic_s() < until_s and not self._must_end():
                if not self.round():
                    break
                self._sleep(self._nap_s())
        finally:
            for one in self.driven:
                one.release()
            self._desks.clear()
        return self.turns

    def round(self) -> bool:
        """Look for sessions, then serve the desks that are due; False when there is nothing to drive."""
        now_s = self._monotonic_s()
        if now_s >= self._next_scan_s:
            self._next_scan_s = now_s + SCAN_S
            self._scan()
        for desk in list(self._desks.values()):
            if desk.next_s <= now_s and not self._must_end():
                self.turns += desk.turn(now_s, self._monotonic_s)
            self._plan_checks(desk, now_s)
        self._drop_finished()
        return bool(self._desks)

    def _scan(self) -> None:
        """Take up driven sessions whose lease is free, and keep the leases of those we wait with."""
        for one in self.driven:
            one.keep()
        try:
            mine = [one.session.pk for one in self.driven]
            wanted = states.WITH_RELATED.filter(status__in=states.DRIVEN).exclude(pk__in=mine).order_by("pk")
            held = set(Lease.objects.filter(until_ms__gte=leases.now_ms()).values_list("name", flat=True))
            for session in wanted:
                if session.lease_name not in held:
                    self._take_up(session)
        except DatabaseError as error:
            connections.refresh()
            logger.warning("no look for sessions: %s", error)

    def _take_up(self, session: LiveSession) -> None:
        lease = leases.acquire(session.lease_name)
        if lease is None:
            return
        try:
            exchange = self._exchanges.get(session.account_id) or connect(session.account)
        except BadInput as error:
            states.fail(session, error.message, 0)
            lease.release()
            return
        self._exchanges[session.account_id] = exchange
        market = session.account.market
        desk = self._desks.setdefault(market, Desk(market))
        desk.driven.append(Driven(session, exchange, lease))
        desk.next_s = 0.0
        logger.info("session %s taken up with fence %s", session.pk, lease.fence)

    def _plan_checks(self, desk: Desk, now_s: float) -> None:
        """Have the books of every account compared once a minute."""
        for one in desk.driven:
            account = one.session.account_id
            if one.seat is not None and now_s >= self._next_check_s.setdefault(account, now_s + RECONCILE_S):
                self._next_check_s[account] = now_s + RECONCILE_S
                one.seat.is_checked = False

    def _drop_finished(self) -> None:
        for market, desk in list(self._desks.items()):
            for one in [one for one in desk.driven if one.is_over]:
                desk.driven.remove(one)
                one.release()
            if not desk.driven:
                del self._desks[market]

    def _nap_s(self) -> float:
        now_s = self._monotonic_s()
        due_s = min([desk.next_s for desk in self._desks.values()], default=now_s)
        return min(LONGEST_NAP_S, max(due_s - now_s, 0.005))


def drive(slice_s: float | None = None) -> int:
    """Drive every session nobody drives for one slice; return the turns taken."""
    return Runner().run(settings.SLICE_S if slice_s is None else slice_s)
