"""One source of prices for all the sessions of this process: one call serves them all.

`read` runs in a thread of its own and waits for the venue there; everything else is done under the baton.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from market import connections
from trading.exchanges.errors import ClockSkew, ExchangeError, Throttled
from trading.exchanges.port import Exchange, Quote
from trading.exchanges.registry import stream_state
from trading.models import Account
from trading.runner.baton import Baton
from trading.runner.driven import Driven
from trading.runner.glance import Glance, Sight
from trading.ticks import record_ticks

logger = logging.getLogger(__name__)

NOTE_S, NOTE_ANYWAY_S = 1.0, 30.0  # between two notes on a price stream: where it has changed, and else


class Desk:
    """The driven sessions of one source of prices, its newest prices, and who waits for a turn on them."""

    def __init__(self, market: str, baton: Baton, monotonic_s: Callable[[], float]) -> None:
        self.market = market
        self._baton, self._monotonic_s = baton, monotonic_s
        self.driven: list[Driven] = []
        self.line: deque[Driven] = deque()
        self.quotes: dict[str, Quote] = {}
        self.at_ms = 0
        self.next_s = 0.0
        self.failures = 0
        self.is_reading = False
        self.sight = Sight()
        self._ahead: Glance | None = None  # of those who were free when the prices were asked for
        self._round = 0
        self._sorted_by = -1  # what was foretold when the line was last sorted
        self._noted: dict[int, tuple[dict[str, Any], float]] = {}  # account: state of its stream, when

    @property
    def poll_s(self) -> float:
        return min(one.session.account.poll_s for one in self.driven)

    @property
    def readers(self) -> list[tuple[Exchange, float]]:
        """Return the venue as each of our accounts reaches it, and its own seconds between two reads.

        Any of them can read the prices. Who wants them most often comes first: nobody's calls are spent at
        another account's pace.
        """
        found = {one.session.account_id: (one.exchange, one.session.account.poll_s) for one in self.driven}
        return sorted(found.values(), key=lambda reader: reader[1])

    def read(self) -> None:
        """Read the prices once and let the sessions that are due line up for a turn on them."""
        with self._baton:
            try:
                pairs = {one.session.pair for one in self.driven}
                readers = self.readers
                # Now, while nobody waits: once the prices are there, orders do.
                free = [one for one in self.driven if not (one.is_busy or one.is_in_line or one.is_over)]
                self._ahead = self._glance(free) if readers else None
            except BaseException:
                self.is_reading = False  # or nobody would ever read here again
                raise
            if not readers:
                self.is_reading = False
                return
        reader, _ = readers[self.failures % len(readers)]  # one account out of calls must not blind the rest
        failure: Exception
        try:
            quotes = reader.quotes(pairs)
            at_ms = reader.now_ms()
        except ExchangeError as error:
            failure = error
            if isinstance(error, ClockSkew):
                with suppress(ExchangeError):
                    reader.server_ms()  # the clocks are compared afresh
        except Exception as error:
            failure = error
            connections.refresh()
            logger.exception("%s: the prices could not be read", self.market)
        else:
            self._end(lambda: self._take(quotes, at_ms))
            return
        self._end(lambda: self._failed(failure, [poll_s for _, poll_s in readers]))

    def _end(self, act: Callable[[], None]) -> None:
        with self._baton:
            try:
                act()
            finally:
                self.is_reading = False

    def _take(self, quotes: dict[str, Quote], at_ms: int) -> None:
        self.failures = 0
        self.quotes, self.at_ms = quotes, at_ms
        self._record(quotes.values())
        self._note_streams()
        due, ahead = self._due(), self._ahead
        if ahead is not None and ahead.is_good:
            late = [one for one in due if not ahead.covers(one.session)]  # busy when these were read
        else:
            late, ahead = due, None
        fresh = self._glance(late) if late else None
        self._round += 1
        for one in due:
            one.line_up(ahead if ahead and ahead.covers(one.session) else fresh, self._round)
            self.line.append(one)
        self._sorted_by = -1

    def put_in_order(self, foretold: int) -> None:
        """Let those in line go first who are about to trade, as far as that is known; see `trading.haste`.

        Nobody has a second turn before all who had lined up with him have had theirs.

        :param foretold: a number that has grown if more is known
        """
        if foretold != self._sorted_by:
            self._sorted_by = foretold
            quotes = self.quotes
            self.line = deque(
                sorted(self.line, key=lambda one: (one.round, one.haste(quotes.get(one.session.pair))))
            )

    def look_again(self) -> None:
        """Read the rows of all in line anew when the first of them would have to look for itself."""
        first = self.line[0].glance if self.line else None
        if first is not None and not first.is_good:
            glance = self._glance(self.line)
            for one in self.line:
                one.glance = glance

    def _glance(self, due: Iterable[Driven]) -> Glance | None:
        try:
            return Glance([one.session for one in due], self._monotonic_s, self.sight)
        except DatabaseError as error:
            connections.refresh()
            logger.warning("%s: each session looks for itself: %s", self.market, error)
        except Exception:  # it only spares them that
            connections.refresh()
            logger.exception("%s: each session looks for itself", self.market)
        return None

    def _due(self) -> list[Driven]:
        now_s = self._monotonic_s()
        return [
            one
            for one in self.driven
            if one.next_s <= now_s and not (one.is_busy or one.is_in_line or one.is_over)
        ]

    def let_stop(self) -> None:
        """While no prices come, end the sessions that need nothing more here."""
        if self.failures:
            for one in self.driven:
                if not one.is_busy:
                    one.let_stop()

    def _record(self, quotes: Iterable[Quote]) -> None:
        try:
            record_ticks(self.market, quotes)
        except DatabaseError as error:
            connections.refresh()
            logger.warning("ticks of %s were not stored: %s", self.market, error)

    def _note_streams(self) -> None:
        """Keep how the price streams go where people see it: at every change, and now and then."""
        now_s = self._monotonic_s()
        for one in {one.session.account_id: one for one in self.driven}.values():
            state, account_id = stream_state(one.exchange), one.session.account_id
            known, noted_s = self._noted.get(account_id, ({}, -NOTE_ANYWAY_S))
            pause_s = NOTE_ANYWAY_S if state == known else NOTE_S
            if not state or now_s - noted_s < pause_s:
                continue
            self._noted[account_id] = state, now_s
            try:
                Account.objects.filter(pk=account_id).update(stream_state=state, stream_at=timezone.now())
            except DatabaseError as error:
                connections.refresh()
                logger.warning("%s: how the price stream goes was not stored: %s", self.market, error)

    def _failed(self, error: Exception, polls_s: list[float]) -> None:
        if not self.driven:
            return  # the last session ended while its prices were asked for: nobody waits for them
        self.failures += 1
        self._note_streams()
        longest_s = max(self.poll_s, min(one.longest_wait_s for one in self.driven))
        wait_s = min(longest_s, self.poll_s * 2 ** min(self.failures - 1, 10))
        if self.failures < len(polls_s):
            wait_s = polls_s[self.failures]  # another account's calls may do, as often as it allows
        elif isinstance(error, Throttled):
            wait_s = max(wait_s, error.wait_s)
        self.next_s = self._monotonic_s() + wait_s
        logger.warning("%s: %s; next try in %.1f s", self.market, error, wait_s)
        for one in self._due():
            one.unknown(str(error))
