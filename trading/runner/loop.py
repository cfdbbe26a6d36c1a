"""The loop that drives many sessions in one process: the only place with a real clock and a sleep.

How turns share the process: docs/decisions/004-runner-at-scale.md.
"""

import gc
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import DatabaseError
from django.db.models import QuerySet

from market import connections, draining, leases
from market.errors import BadInput
from market.models import Lease
from trading import states
from trading.exchanges.clock import VenueClock
from trading.exchanges.port import Exchange
from trading.exchanges.registry import close, connect
from trading.models import Account, LiveSession
from trading.runner.baton import Baton
from trading.runner.crew import Crew, Hands, Work
from trading.runner.desk import Desk
from trading.runner.driven import Driven
from trading.runner.shared import Minds

logger = logging.getLogger(__name__)

SCAN_S = 0.5
LONGEST_NAP_S = 0.25  # how late a stop request may be noticed
RECONCILE_S = 60.0
GOLDEN = 0.618034  # multiples of it lie evenly between whole numbers, however many there are
AT_ONCE = 3  # turns that may want to compute; the more, the longer one waits for the baton
OF_ACCOUNT = (
    8  # turns of one account under way: it can wait in vain for its venue without taking all the rest
)
STRETCH_S = 0.05  # for which a thread goes on with the next turns
MOST = 128  # turns under way, those that wait for a venue included


class Runner:
    """Takes up every session nobody drives and gives each its turns."""

    def __init__(
        self,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        must_end: Callable[[], bool] = draining.is_on,
        hands: Hands | None = None,
        wanted: Callable[[], QuerySet[LiveSession]] = states.WITH_RELATED.all,
    ) -> None:
        self._monotonic_s, self._sleep, self._must_end = monotonic_s, sleep, must_end
        self._wanted = wanted
        self._hands = hands or Crew()
        self._changed = threading.Event()  # something that was under way has ended, or waits for the outside
        self._baton = Baton(self._changed.set)
        self.minds = Minds()
        self._desks: dict[str, Desk] = {}  # by where their prices come from
        self._exchanges: dict[tuple[int, str], Exchange] = {}  # by account and its key's mark
        self._clocks: dict[str, VenueClock] = {}  # by market
        self._under_way: Counter[int] = Counter()  # turns by account
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
                self._rest()
        finally:
            self._give_back()
        return self.turns

    def round(self) -> bool:
        """Look for sessions, have prices read that are due, begin turns; False when nothing is driven."""
        now_s = self._monotonic_s()
        with self._baton:
            if now_s >= self._next_scan_s:
                self._next_scan_s = now_s + SCAN_S
                self._scan()
            reading = [desk for desk in self._desks.values() if self._is_due(desk, now_s)]
            for desk in reading:
                desk.is_reading, desk.next_s = True, now_s + desk.poll_s
                self._plan_checks(desk, now_s)
        self._hand_out([(partial(self._read, desk), partial(self._unread, desk)) for desk in reading])
        self._begin_turns()
        with self._baton:
            self._drop_finished()
        return bool(self._desks)

    def _hand_out(self, works: list[tuple[Work, Work]]) -> None:
        """Have work done that was prepared under the baton; what nobody takes is undone.

        :param works: (work, what undoes its preparation); else a session would be busy with no turn for ever
        """
        for place, (work, _) in enumerate(works):
            try:
                self._hands.hand(work)
            except BaseException:
                with self._baton:
                    for _, undo in reversed(works[place:]):
                        undo()
                raise

    def _unread(self, desk: Desk) -> None:
        desk.is_reading = False

    def _put_back(self, desk: Desk, one: Driven) -> None:
        """Give a turn back that nobody has taken; called under the baton."""
        if one.is_busy:
            one.put_back()
            self._under_way[one.session.account_id] -= 1
            desk.line.appendleft(one)

    def _is_due(self, desk: Desk, now_s: float) -> bool:
        return desk.next_s <= now_s and bool(desk.driven) and not (desk.is_reading or self._must_end())

    def _read(self, desk: Desk) -> None:
        try:
            desk.read()
            self._begin_turns()
        finally:
            self._changed.set()

    def _begin_turns(self) -> None:
        begun = self._next_turns()
        self._hand_out([(partial(self._turns, *one), partial(self._put_back, *one)) for one in begun])

    def _next_turns(self) -> list[tuple[Desk, Driven]]:
        """Take out of the lines what may begin now."""
        begun: list[tuple[Desk, Driven]] = []
        with self._baton:
            try:
                while (found := self._next_turn()) is not None:
                    begun.append(found)
            except BaseException:
                for desk, one in reversed(begun):
                    self._put_back(desk, one)
                raise
        return begun

    def _next_turn(self) -> tuple[Desk, Driven] | None:
        """Take out of the lines who may begin now; called under the baton."""
        for desk in self._desks.values():
            if self._must_end() or not self._has_room():
                return None
            desk.look_again()
            desk.put_in_order(self.minds.foretold)
            place = 0
            while place < len(desk.line):
                one = desk.line[place]
                if not one.is_over and not self._may_begin(desk, one):
                    place += 1
                    continue
                del desk.line[place]
                one.is_in_line = False
                if not one.is_over:
                    one.begin()
                    self._under_way[one.session.account_id] += 1
                    return desk, one
        return None

    def _may_begin(self, desk: Desk, one: Driven) -> bool:
        if self._under_way[one.session.account_id] >= OF_ACCOUNT:
            return False
        return one.may_begin(desk.quotes.get(one.session.pair), desk.at_ms, self._monotonic_s())

    def _has_room(self) -> bool:
        count = self._under_way.total()
        return count < MOST and count - self._baton.outside < AT_ONCE

    def _turns(self, desk: Desk, one: Driven) -> None:
        """Take a turn, and for a short while those that come next: handing the baton on costs more.

        Not while somebody is back with a bar: sessions wait for it, and none of them may have been in line.
        """
        until_s = self._monotonic_s() + STRETCH_S
        try:
            with self._baton:
                self._turn(desk, one)
                while not self._baton.is_awaited and self._monotonic_s() < until_s:
                    if (found := self._next_turn()) is None:
                        break
                    self._turn(*found)
        finally:
            self._changed.set()

    def _turn(self, desk: Desk, one: Driven) -> None:
        try:
            one.turn(desk.quotes.get(one.session.pair), desk.at_ms, self._monotonic_s())
        finally:
            one.is_busy = False
            self._under_way[one.session.account_id] -= 1
            self.turns += 1

    def _scan(self) -> None:
        """Take up driven sessions whose lease is free, and keep the leases of those between two turns."""
        try:
            waiting = [one for one in self.driven if not (one.is_busy or one.is_over)]
            leases.renew_all([one.lease for one in waiting if one.must_renew])
            for one in waiting:
                one.keep()
            for desk in self._desks.values():
                desk.let_stop()
            for session in self._free():
                self._take_up(session)
        except DatabaseError as error:
            connections.refresh()
            logger.warning("no look for sessions: %s", error)

    def _free(self) -> list[LiveSession]:
        """Return the sessions somebody must drive and nobody does; a quiet look reads their numbers only."""
        mine = {one.session.pk for one in self.driven}
        driven = self._wanted().filter(status__in=states.DRIVEN).order_by("pk")
        others = [pk for pk in driven.values_list("pk", flat=True) if pk not in mine]
        if not others:
            return []
        held = set(Lease.objects.filter(until_ms__gte=leases.now_ms()).values_list("name", flat=True))
        return [session for session in driven.filter(pk__in=others) if session.lease_name not in held]

    def _take_up(self, session: LiveSession) -> None:
        lease = leases.acquire(session.lease_name)
        if lease is None:
            return
        try:
            exchange = self._exchange_of(session.account)
        except BadInput as error:
            states.fail(session, error.message, 0)
            lease.release()
            return
        prices = session.account.prices
        desk = self._desks.setdefault(prices, Desk(prices, self._baton, self._monotonic_s))
        desk.driven.append(Driven(session, exchange, lease, self._baton, self.minds, desk.sight))
        desk.next_s = 0.0
        logger.info("session %s taken up with fence %s", session.pk, lease.fence)

    def _exchange_of(self, account: Account) -> Exchange:
        """Return the account's venue, connected with the key that is stored by now.

        Accounts at one address share its clock, whichever reads the prices.
        """
        found = account.pk, account.key_mark
        if found not in self._exchanges:
            clock = self._clocks.setdefault(account.market, VenueClock(self._monotonic_s))
            self._exchanges[found] = connect(account, with_stream=True, clock=clock)
        return self._exchanges[found]

    def _plan_checks(self, desk: Desk, now_s: float) -> None:
        """Have the books of every account compared once a minute, not all at once."""
        for one in desk.driven:
            account = one.session.account_id
            if one.seat is None or one.is_busy:
                continue
            if account not in self._next_check_s:
                share = (len(self._next_check_s) * GOLDEN) % 1.0
                self._next_check_s[account] = now_s + RECONCILE_S * (1.0 - share)
            elif now_s >= self._next_check_s[account]:
                self._next_check_s[account] = now_s + RECONCILE_S
                one.seat.wants_check = True

    def _drop_finished(self) -> None:
        for prices, desk in list(self._desks.items()):
            for one in [one for one in desk.driven if one.is_over and not one.is_busy]:
                desk.driven.remove(one)
                one.release()
            if not desk.driven and not desk.is_reading:
                del self._desks[prices]

    def _rest(self) -> None:
        """Wait for the next prices to be due, or until something under way has ended."""
        nap_s = self._nap_s()
        if self._under_way.total() or any(desk.is_reading for desk in self._desks.values()):
            self._changed.wait(nap_s)
            self._changed.clear()
        else:
            self._sleep(nap_s)

    def _nap_s(self) -> float:
        now_s = self._monotonic_s()
        due_s = [desk.next_s for desk in self._desks.values() if not desk.is_reading]
        return min(LONGEST_NAP_S, max(min(due_s, default=now_s + LONGEST_NAP_S) - now_s, 0.005))

    def _give_back(self) -> None:
        """Let others have what waits at once, and each session under way when its turn has ended."""
        while self._desks:
            with self._baton:
                for desk in self._desks.values():
                    desk.line.clear()
                    for one in desk.driven:
                        one.is_over = True
                self._drop_finished()
            if self._desks:
                self._changed.wait(LONGEST_NAP_S)
                self._changed.clear()
        self._hands.close()
        for exchange in self._exchanges.values():
            close(exchange)


def settle_memory() -> None:
    """Take what is loaded by now out of the garbage collector's sight.

    A full collection walks through every object of every library: an eighth of a second of processor time in
    which no tick is looked at. What the sessions make later is a small part of that.
    """
    gc.collect()
    gc.freeze()


def drive(slice_s: float | None = None) -> int:
    """Drive every session nobody drives for one slice; return the turns taken."""
    settle_memory()
    return Runner().run(settings.SLICE_S if slice_s is None else slice_s)
