"""A session on a real sandbox whose clock stands still until a test moves it."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from market import leases
from tests.sandbox_server import START_MS, start_sandbox
from trading import accounts, seat, services, sessions
from trading.exchanges.registry import connect
from trading.models import Order, RiskProfile
from trading.runner.loop import Runner

MINUTE = 60_000
LIMIT = {"style": "limit", "deadline_s": 50}


class Live:
    """One session, driven by hand: `turn()` is what the runner does, `bar()` lets a minute pass first."""

    def __init__(self, user, venue, account):
        self.user, self.venue, self.account = user, venue, account
        self.exchange = connect(account)
        self.session = self.seat = None

    def start(self, baseline="buy_and_hold", pair="BTC/USD", **options):
        profile = {
            "stop_loss": 0.0,
            "daily_loss": 0.0,
            "weekly_loss": 0.0,
            "max_drawdown": 0.0,
            "entry_stale_s": 600.0,  # of real time: a machine that is busy must not make an entry too late
            **options.pop("risk", {}),
        }
        risk = RiskProfile.objects.create(
            owner=self.user, name=f"test {RiskProfile.objects.count()}", **profile
        )
        self.session = services.start_session(
            account=self.account, pair=pair, interval="1m", baseline=baseline, risk=risk,
            by=self.user, **options,
        )  # fmt: skip
        return self.take()

    def take(self):
        """Become the session's driver, as a fresh process would."""
        lease = leases.acquire(self.session.lease_name)
        assert lease is not None, "somebody drives it already"
        self.session = type(self.session).objects.get(pk=self.session.pk)
        self.seat = seat.take(self.session, exchange=self.exchange, lease=lease)
        return self

    def die(self):
        """Be gone without a word; the lease runs out."""
        leases.Lease.objects.filter(name=self.session.lease_name).update(until_ms=0)
        self.seat = None

    def turn(self):
        quotes = self.exchange.quotes()
        sessions.step(self.seat, quote=quotes.get(self.session.pair), now_ms=self.exchange.now_ms())
        self.session.refresh_from_db()
        return self.session

    def bar(self, count=1):
        for _ in range(count):
            self.venue.advance(MINUTE)
            self.turn()
        return self.session

    def ledger(self):
        """What the venue really holds, to the last digit."""
        purses = self.venue.account()["purses"]
        amounts = {coin: sum(Decimal(part) for part in purse.values()) for coin, purse in purses.items()}
        return {coin: amount for coin, amount in amounts.items() if amount}

    def books(self):
        return {row.coin: row.quantity for row in self.account.holdings.all() if row.quantity}

    def venue_orders(self):
        return self.venue.account()["orders"]


@pytest.fixture
def patience():
    """Let the bound on our own clock pass: an uncertain order counts as old."""

    def pass_by():
        Order.objects.update(changed_at=timezone.now() - timedelta(seconds=30))

    return pass_by


@pytest.fixture
def venue(tmp_path):
    with start_sandbox(state_dir=tmp_path / "sandbox") as running:
        yield running


@pytest.fixture
def account(db, user, venue):
    return accounts.create_account(
        owner=user, name="sandbox", venue="roostoo", base_url=venue.url, candles_url=venue.url, key=venue.key,
        secret=venue.secret, calls_per_minute=100_000, poll_s=0.05,
    )  # fmt: skip


@pytest.fixture
def live(user, venue, account):
    return Live(user, venue, account)


class Inline:
    """Does the work at once: a test's transaction is seen by its own thread only."""

    def hand(self, work):
        work()

    def close(self):
        pass


class Hand:
    """A clock and a sleep that move the sandbox instead of waiting."""

    def __init__(self, venue, rounds):
        self.venue, self.left, self.now_s = venue, rounds, 0.0

    def monotonic_s(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += 30
        self.left -= 1
        self.venue.advance(30_000)

    def must_end(self):
        return self.left <= 0

    def drive(self):
        runner = Runner(
            monotonic_s=self.monotonic_s, sleep=self.sleep, must_end=self.must_end, hands=Inline()
        )
        runner.run(10**9)
        return runner


@pytest.fixture
def give_back(live):
    """Start a session and give its lease back, so that a runner takes it."""

    def start(*args, **options):
        live.start(*args, **options)
        live.seat.lease.release()
        return live.session

    return start


def script(*moves):
    """Half an hour at 50,000, then (second, bid) steps; a row every 10 s, the ask is always 10 above."""
    bids = {-1800: 50_000, **dict(moves)}
    seconds = sorted({*bids, *range(-1800, 900, 10)})
    known = [(second, bids[max(at for at in bids if at <= second)]) for second in seconds]
    return [(START_MS + second * 1000, "BTC/USD", bid, bid + 10, bid) for second, bid in known]


@pytest.fixture
def market(user, db, tmp_path):
    """Return a session's driver on a market that moves as told."""
    venues = []

    def open_market(*moves, start=True, settings=None, **options):
        venue = start_sandbox(feed=script(*moves), start_ms=START_MS, state_dir=tmp_path / f"v{len(venues)}")
        venues.append(venue)
        account = accounts.create_account(
            owner=user, name=f"sandbox {len(venues)}", venue="roostoo", base_url=venue.url,
            candles_url=venue.url, key=venue.key, secret=venue.secret, calls_per_minute=100_000, poll_s=0.05,
        )  # fmt: skip
        live = Live(user, venue, account)
        if start:
            live.start(options.pop("baseline", "buy_and_hold"), settings=settings or LIMIT, **options)
        return live

    yield open_market
    for venue in venues:
        venue.close()


def after(live, seconds, turns=1):
    live.venue.advance(seconds * 1000)
    for _ in range(turns):
        live.turn()
    return live.session


def states(live):
    return [(one.type, one.status) for one in live.session.orders.order_by("id")]


def check(live):
    """Lost = doubled = invented = 0, equal to the last digit, nothing adjusted."""
    assert live.books() == live.ledger()
    known = {one.venue_order_id for one in live.session.orders.exclude(venue_order_id="")}
    assert {str(one["order_id"]) for one in live.venue_orders()} == known
    assert not live.account.ledger.filter(kind="adjustment").exists()


@pytest.fixture
def profile(user):
    off = dict.fromkeys(("stop_loss", "daily_loss", "weekly_loss", "max_drawdown"), 0.0)
    return RiskProfile.objects.create(owner=user, name="plan", price_collar=0.0, **off)


@pytest.fixture
def core(user, account, profile, venue):
    """A plan of a model with random weights over BTC/USD and ETH/USD, driven by hand."""
    from tests.trading.live.weights import Driven, portfolio_model, start  # it needs this file

    return Driven(start(user, account, profile, portfolio_model(user)), user, venue, account)
