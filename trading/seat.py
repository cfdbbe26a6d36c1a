"""What a runner holds while it drives one session. Everything here can be made again from rows."""

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from agents.decide import Decider
from market.errors import BadInput
from market.kernel.instrument import Instrument
from market.leases import Held
from market.sources.port import DataSource
from trading import haste, positions
from trading.agent import decider_of
from trading.bars import BarFeed, candle_source
from trading.exchanges.port import Exchange
from trading.feeds import Feeds, Follower
from trading.guard import Leased
from trading.health import Health
from trading.models import LiveSession
from trading.weighing.mind import Mind

LOOKED_AT = 20  # turns that the rate of venue errors is taken over


@dataclass(slots=True)
class Seat:
    """One driven session: its row, its leased venue, its decider and its bars."""

    session: LiveSession
    exchange: Leased
    decider: Decider
    feed: Follower
    instrument: Instrument
    key_mark: str  # of the account as it was when its venue was connected
    is_checked: bool = False  # the books were compared since this seat was taken
    wants_check: bool = False  # the minute is over: they are to be compared again, behind a turn
    has_sent: bool = False  # this turn has sent an order: the wallet may not show yet what it did
    unknown: str | None = None  # why nothing can be decided at present; None before the first turn
    left_out: dict[str, str] | None = None  # members of its council that could not vote last time, and why
    refused_ms: int = 0  # when an order was last refused or uncertain, venue clock
    held_ms: int = 0  # when our own rules last held back a part of the order at work, venue clock
    clearing_ms: int = 0  # since when the venue does not let go of an order that is to be withdrawn; 0: none
    long_steps: int = 0  # quotes in a row that came further apart than a bar; see `trading.pace`
    is_slow: bool = False  # and a person was told so
    next_summary_ms: int = 0  # venue time from which another day may be over
    health: Health | None = None  # made at the first decision
    foreseen_ms: int = 0  # newest bar whose question was told to those who think with this session
    foretold: int = haste.UNKNOWN  # whether it is about to trade on that bar
    plan_equity: Decimal | None = None  # of the session's portfolio plan, at its last look
    mind: Mind | None = None  # of a model's plan, in the hands of the session that decides for it
    acted_ms: int = 0  # bar of the newest decision of a model's plan that it has taken its part in
    may_wait: bool = True  # orders that wait for a person may exist
    may_have_told: bool = True  # an alert about an order that failed may be open
    may_turn: bool = True  # a decision whose second order is still to come may exist
    failures: deque[bool] = field(default_factory=lambda: deque(maxlen=LOOKED_AT))  # of the latest turns

    @property
    def lease(self) -> Held:
        return self.exchange.lease

    @property
    def may_short(self) -> bool:
        """Say whether the session's policy may ask for less than nothing."""
        return self.decider.policy.action_spec.levels[0] < 0

    def by_now(self, now_ms: int) -> int:
        """Return the venue's clock by now, without a call to it: `now_ms` is when the turn began."""
        return max(now_ms, self.exchange.now_ms())

    @property
    def last_close(self) -> Decimal:
        """Return the newest bar's close; 0 before the first bar."""
        return Decimal(repr(float(self.feed.closes[-1]))) if self.feed.last_ms else Decimal(0)

    @property
    def clock_rate(self) -> float:
        """Return the venue seconds that pass in a real one: 1 but for an accelerated sandbox."""
        return getattr(self.exchange.exchange, "clock_rate", 1.0)

    @property
    def error_share(self) -> float:
        """Return the share of the latest turns in which the venue failed us; -1 before enough of them."""
        return sum(self.failures) / len(self.failures) if len(self.failures) >= LOOKED_AT // 2 else -1.0


def take(
    session: LiveSession,
    *,
    exchange: Exchange,
    lease: Held,
    decider: Decider | None = None,
    source: DataSource | None = None,
    feeds: Feeds | None = None,
    key_mark: str | None = None,
) -> Seat:
    """Make the seat of a session whose lease we hold.

    :param feeds: of the process, so that sessions share their bars
    :param key_mark: of the account as it was when `exchange` was connected; None: as it is in `session`
    :raises BadInput: when the session's model, account or pair cannot be used (any more).
    :raises ExchangeError: when the venue's rules cannot be read now.
    """
    decider = decider or decider_of(session)
    feeds = feeds or Feeds()
    feed = feeds.shared(feed_of(session, decider, source))
    instrument = instrument_of(exchange, session.pair)
    key_mark = session.account.key_mark if key_mark is None else key_mark
    return Seat(session, Leased(exchange, lease), decider, Follower(feed, feeds), instrument, key_mark)


def feed_of(session: LiveSession, decider: Decider, source: DataSource | None = None) -> BarFeed:
    """Return the bars a session, stored or only wanted, decides on."""
    account, features = session.account, decider.needs.feature_set
    return BarFeed(
        market=account.bars(with_volume=features.needs_volume),
        pair=session.pair,
        interval_ms=session.interval_ms,
        source=source or candle_source(account),
        feature_set=features,
        window=decider.needs.window,
        closes=max(decider.closes_needed, _range_bars(session)),
    )


def _range_bars(session: LiveSession) -> int:
    """Return how many closed bars the average true range takes, with the close before the first of them."""
    return session.risk.atr_bars + 1 if positions.needs_atr(session.risk) else 0


def instrument_of(exchange: Exchange, pair: str) -> Instrument:
    """Return the venue's rules of a pair.

    :raises BadInput: when the venue does not list it.
    """
    listed = exchange.instruments()
    if pair not in listed:
        raise BadInput(f"{exchange.name} has no pair {pair}; it lists {len(listed)} others", field="pair")
    return listed[pair].as_decimal()
