"""One venue's prices for all the sessions of this process: one call serves them all."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from django.db import DatabaseError

from market import connections
from trading.exchanges.errors import ClockSkew, ExchangeError, Throttled
from trading.runner.driven import Driven
from trading.ticks import record_ticks

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 30.0


class Desk:
    """The driven sessions of one market, and when its prices are read next."""

    def __init__(self, market: str) -> None:
        self.market = market
        self.driven: list[Driven] = []
        self.next_s = 0.0
        self.failures = 0

    @property
    def poll_s(self) -> float:
        return min(one.session.account.poll_s for one in self.driven)

    def turn(self, now_s: float, monotonic_s: Callable[[], float]) -> int:
        """Read the prices once and give every session that is due its turn; return how many had one."""
        exchange = self.driven[0].exchange
        due = [one for one in self.driven if one.next_s <= now_s]
        try:
            quotes = exchange.quotes({one.session.pair for one in self.driven})
            at_ms = exchange.now_ms()
        except ExchangeError as error:
            self._failed(error, due, now_s)
            return 0
        self.failures = 0
        self.next_s = now_s + self.poll_s
        self._record(quotes.values())
        for one in due:
            if one.keep():
                one.turn(quotes.get(one.session.pair), at_ms, monotonic_s())
                self._keep_others(one)
        return len(due)

    def _keep_others(self, busy: Driven) -> None:
        """A slow session must not cost the others their leases."""
        for other in self.driven:
            if other is not busy and not other.is_over:
                other.keep()

    def _record(self, quotes: Iterable) -> None:
        try:
            record_ticks(self.market, quotes)
        except DatabaseError as error:
            connections.refresh()
            logger.warning("ticks of %s were not stored: %s", self.market, error)

    def _failed(self, error: ExchangeError, due: list[Driven], now_s: float) -> None:
        self.failures += 1
        wait_s = min(LONGEST_WAIT_S, self.poll_s * 2 ** min(self.failures - 1, 10))
        if isinstance(error, Throttled):
            wait_s = max(wait_s, error.wait_s)
        if isinstance(error, ClockSkew):
            with suppress(ExchangeError):
                self.driven[0].exchange.server_ms()  # the clocks are compared afresh
        self.next_s = now_s + wait_s
        logger.warning("%s: %s; next try in %.1f s", self.market, error, wait_s)
        for one in due:
            one.unknown(str(error))
