"""One session in the hands of this process: its lease, its seat, its failures."""

import logging
from dataclasses import dataclass, field
from typing import cast

from django.conf import settings

from market import connections
from market.errors import BadInput
from market.leases import Held
from market.sources.port import DataSource
from trading import alerts, haste, sessions, states, working
from trading.agent import decider_of
from trading.bars import candle_source
from trading.exchanges.errors import BadCredentials, ExchangeError
from trading.exchanges.port import Exchange, Quote
from trading.guard import KeyReplaced, LeaseLost, require_key
from trading.models import AlertKind, AlertLevel, LiveSession
from trading.runner.baton import Baton, Outside
from trading.runner.glance import Glance, Sight
from trading.runner.shared import Minds
from trading.seat import Seat, take

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 30.0
EXPOSED_WAIT_S = 5.0  # the same where a position is held or to be left: nothing else guards it
TELL_AFTER = 3  # failures in a row
LET_ASK_S = 0.25  # for which a session lets another ask for the bar that both need


@dataclass(slots=True)
class Driven:
    """A session we hold the lease of. `seat` is made at the first turn, when the venue answers.

    Its turns run under the baton, which is passed on while the venue or the candle source is asked.
    """

    session: LiveSession
    exchange: Exchange
    lease: Held
    baton: Baton
    minds: Minds
    sight: Sight
    seat: Seat | None = None
    key_mark: str = field(init=False, repr=False)  # of the account as its venue was connected
    failures: int = 0
    next_s: float = 0.0  # monotonic: not before
    is_in_line: bool = False  # for a turn
    is_busy: bool = False  # a turn is under way: it keeps its own lease
    is_promised: bool = False  # and will ask for the bar that its feed lacks, if any
    is_over: bool = field(default=False)
    glance: Glance | None = None  # of the tick its turn is on
    round: int = 0  # of its desk, in which it has lined up for its turn
    let_ask_s: float | None = None  # monotonic: since when it lets another ask, see `may_begin`

    def __post_init__(self) -> None:
        self.key_mark = self.session.account.key_mark

    @property
    def must_renew(self) -> bool:
        """Say whether half of the lease is used up."""
        return self.lease.remaining_s() < settings.LEASE_TTL_S / 2

    def keep(self) -> bool:
        """Renew the lease when half of it is used up; False when it is lost. Between turns only."""
        if self.must_renew and not self.lease.renew():
            logger.warning("session %s: the lease is lost", self.session.pk)
            self.is_over = True
        return not self.is_over

    @property
    def longest_wait_s(self) -> float:
        """Return how long it may wait at most until what has failed is tried again."""
        is_exposed = self.session.held != 0 or self.session.flatten_wanted
        return EXPOSED_WAIT_S if is_exposed else LONGEST_WAIT_S

    def haste(self, quote: Quote | None) -> int:
        """Return how urgent its turn seems, see `trading.haste`."""
        if self.seat is None:
            return haste.UNKNOWN
        return haste.of_session(self.session, self.seat.foretold, self.seat.foreseen_ms, quote)

    def line_up(self, glance: Glance | None, number: int) -> None:
        """Wait for a turn from now on."""
        self.is_in_line, self.glance, self.round, self.let_ask_s = True, glance, number, None

    def may_begin(self, quote: Quote | None, at_ms: int, now_s: float) -> bool:
        """Say whether its turn may begin.

        While another session asks for the bar that both need, or is about to, it does not ask as well, unless
        it must leave its position or that takes long.

        :param at_ms: the venue's clock
        """
        if self.seat is None or not self.seat.feed.is_asked_for(at_ms):
            return True
        if self.let_ask_s is None:
            self.let_ask_s = now_s
        return now_s - self.let_ask_s >= LET_ASK_S or self.haste(quote) == haste.LEAVES_NOW

    def begin(self) -> None:
        """Have a turn from now on, out of the line; it may have to wait for the baton yet."""
        self.is_busy = True
        self._promise(True)

    def put_back(self) -> None:
        """Take back `begin`."""
        self.is_in_line, self.is_busy = True, False
        self._promise(False)

    def _promise(self, is_promised: bool) -> None:
        """Let those who need the same bars know whether this one is about to ask for what has closed."""
        if self.seat is not None and self.is_promised != is_promised:
            self.is_promised = is_promised
            self.seat.feed.feed.promised += 1 if is_promised else -1

    def turn(self, quote: Quote | None, at_ms: int, now_s: float) -> None:
        """Take one turn; whatever goes wrong stays with this session."""
        self._promise(False)
        try:
            if self.keep():
                self._turn(quote, at_ms)
            if self.failures >= TELL_AFTER:
                states.close_alerts(self.session, "turns")
            self.failures = 0
        except LeaseLost:
            logger.warning("session %s: the lease is lost", self.session.pk)
            self.is_over = True
        except KeyReplaced:
            self._go()
        except Exception as error:
            connections.refresh()
            self._failed(error, now_s)

    def _go(self) -> None:
        """Give the session back: it is taken up at once, with the key that is stored by now."""
        logger.info("session %s: its account has another key by now: it is connected anew", self.session.pk)
        self.is_over = True

    def _turn(self, quote: Quote | None, at_ms: int) -> None:
        if self.seat is None and not self._sit_down(at_ms):
            return
        assert self.seat is not None  # noqa: S101  for the type checker: `_sit_down` made it
        row = self.glance.row(self.session) if self.glance else None
        sessions.step(self.seat, quote=quote, now_ms=at_ms, row=row)
        self.is_over = self.session.status not in states.DRIVEN

    def _sit_down(self, at_ms: int) -> bool:
        """Load the model and the venue's rules; False when the session cannot be driven (yet)."""
        source = candle_source(self.session.account)
        exchange = cast(Exchange, Outside(self.exchange, self.baton, self._act))
        try:
            exchange.now_ms()  # if the venue must be asked for its time, then here: from now on nobody is
            decider = decider_of(self.session)
            decider.policy = self.minds.shared(decider.policy)
            self.seat = take(
                self.session,
                decider=decider,
                exchange=exchange,
                lease=self.lease,
                source=None
                if source is None
                else cast(DataSource, Outside(source, self.baton, for_others=True)),
                feeds=self.minds.feeds,
                key_mark=self.key_mark,
            )
            self.minds.expect(self.seat)
        except (BadInput, BadCredentials) as error:
            if isinstance(error, BadCredentials):
                require_key(self.session.account_id, self.key_mark)
            working.withdraw_left(self.session, self.exchange)
            states.fail(self.session, str(error), at_ms)
            self.is_over = True
        except ExchangeError:
            states.beat(self.session)  # we drive it: it is the venue that does not answer
            raise
        return self.seat is not None

    def _act(self) -> None:
        """Whatever is asked of the venue may change what the sessions of the account know."""
        self.sight.note_act(self.session.account_id)

    def unknown(self, why: str) -> None:
        """The venue shows no prices at all."""
        self.let_stop()
        try:
            if self.is_over:
                return
            if not self._can_look_after():
                self._wait(why)
                return
            assert self.seat is not None  # noqa: S101  for the type checker: it was just asked
            self.seat.failures.append(True)
            sessions.step_unseen(self.seat, why)
        except LeaseLost:
            self.is_over = True
        except KeyReplaced:
            self._go()
        except Exception as error:
            connections.refresh()
            self._failed(error, 0.0)

    def _wait(self, why: str) -> None:
        """Say that the session is driven, and what for it waits: without prices no seat is taken."""
        if self.is_over:
            return
        states.tell_dark(self.session, why)
        states.beat(self.session)

    def _can_look_after(self) -> bool:
        """Take the seat although no prices come, if the driver before has left something on the venue."""
        if self.seat is None and self.session.orders.unsettled().exists():
            return self._sit_down(self.session.price_ms)
        return self.seat is not None

    def let_stop(self) -> None:
        """Stop the session if a person wants that and nothing of it is left to do at the venue."""
        try:
            if not self.is_over and sessions.stop_unseen(self.session):
                self.is_over = True
        except Exception as error:
            connections.refresh()
            self._failed(error, 0.0)

    def _failed(self, error: Exception, now_s: float) -> None:
        self.session.stored_marks = None  # what was not stored is read anew
        self.failures += 1
        wait_s = min(self.longest_wait_s, 0.5 * 2**self.failures)
        self.next_s = now_s + wait_s
        if isinstance(error, ExchangeError):
            logger.warning("session %s: %s; next try in %.0f s", self.session.pk, error, wait_s)
        else:
            logger.error(
                "session %s: turn failed; next try in %.0f s", self.session.pk, wait_s, exc_info=error
            )
        if self.failures >= TELL_AFTER:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        text = f"{self.session}: {self.failures} turns in a row failed: {error}. It is tried again and again."
        try:
            alerts.raise_alert(
                self.session.owner,
                AlertLevel.CRITICAL,
                f"turns:{self.session.pk}",
                text,
                self.session,
                kind=AlertKind.TRADER_SILENT,
            )
        except Exception:
            logger.exception("session %s: the alert could not be written", self.session.pk)

    def release(self) -> None:
        """Give the session back: another process may take it at once."""
        if self.seat is not None:
            self.minds.forget(self.seat)
        try:
            self.lease.release()
        except Exception:
            connections.refresh()
            logger.exception("session %s: the lease could not be released; it runs out", self.session.pk)
