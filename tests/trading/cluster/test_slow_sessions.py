"""A real runner with its threads on real sandboxes: what hangs or fails stays with its own session."""

import threading
from contextlib import contextmanager
from itertools import pairwise

import pytest
from django.contrib.auth import get_user_model
from django.db import connections

from market.models import Lease
from tests.sandbox_server import start_sandbox
from tests.trading.cluster.conftest import wait_until
from trading import accounts, services
from trading.models import Decision, LiveSession, Order, OrderStatus, RiskProfile
from trading.runner.loop import Runner

pytestmark = pytest.mark.cluster

OTHER_KEY, OTHER_SECRET = "L" * 64, "M" * 64
PRIVATE = ["place_order", "query_order", "balance"]
HANG_MS = 600_000
BARS = 4


@pytest.fixture
def venue(shared_database):
    """Two accounts; a minute passes in two seconds."""
    with start_sandbox(clock="real", speed=30.0, accounts=[f"{OTHER_KEY}:{OTHER_SECRET}:50000"]) as running:
        yield running


@pytest.fixture
def elsewhere(shared_database):
    with start_sandbox(clock="real", speed=30.0) as running:
        yield running


@pytest.fixture
def owner(shared_database):
    return get_user_model().objects.create_user("ada", password="correct horse battery")


def account_at(owner, venue, key=None, secret=None):
    return accounts.create_account(
        owner=owner, name=f"{venue.port} {key or ''}"[:20], venue="roostoo", base_url=venue.url,
        candles_url=venue.url, key=key or venue.key, secret=secret or venue.secret, calls_per_minute=100_000,
        poll_s=0.1,
    )  # fmt: skip


def start(owner, account, baseline, pair="BTC/USD", **settings):
    limits = {"stop_loss": 0.0, "daily_loss": 0.0, "max_drawdown": 0.0, "max_stale_s": 600.0}
    risk, _ = RiskProfile.objects.get_or_create(owner=owner, name="wide", defaults=limits)
    return services.start_session(
        account=account, pair=pair, interval="1m", baseline=baseline, risk=risk,
        settings=settings, capital=10_000,
    )  # fmt: skip


@contextmanager
def running_runner():
    """A runner with threads of its own; it has given everything back when the block is left."""
    end = threading.Event()
    runner = Runner(must_end=end.is_set)

    def drive():
        try:
            runner.run(600)
        finally:
            connections.close_all()

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        yield runner
    finally:
        end.set()
        thread.join(60)
    assert not thread.is_alive()


def decided(session):
    return list(session.decisions.order_by("bar_ms").values_list("bar_ms", flat=True))


def test_an_account_whose_venue_hangs_delays_no_other_session(owner, venue):
    mine, other = account_at(owner, venue), account_at(owner, venue, OTHER_KEY, OTHER_SECRET)
    slow = start(owner, mine, "random", turnover=1.0, seed=1)
    beside = start(owner, mine, "cash", pair="ETH/USD")  # on the very account that hangs
    free = start(owner, other, "cash")
    with running_runner():
        wait_until(lambda: slow.fills.count() and decided(beside) and decided(free), 60)
        venue.faults(latency_ms={"value": HANG_MS, "paths": PRIVATE})
        wait_until(lambda: slow.orders.filter(status=OrderStatus.UNCERTAIN).exists(), 60)
        fences = {lease.name: lease.fence for lease in Lease.objects.filter(name__startswith="session:")}
        from_ms = decided(free)[-1]
        wait_until(lambda: decided(free)[-1] >= from_ms + BARS * 60_000, 60)
        assert slow.orders.unsettled().exists(), "it did not hang long enough"
        venue.faults(clear=True)
        wait_until(lambda: not slow.orders.unsettled().exists(), 60)
        assert {x.name: x.fence for x in Lease.objects.filter(name__in=fences)} == fences  # nobody lost it
    for session in (beside, free):
        bars = [bar_ms for bar_ms in decided(session) if from_ms <= bar_ms <= from_ms + BARS * 60_000]
        assert {b - a for a, b in pairwise(bars)} == {60_000}, "a bar was missed"
    assert not Order.objects.unsettled().exists()


def test_a_venue_that_shows_no_prices_delays_no_other_venue(owner, venue, elsewhere):
    dark = start(owner, account_at(owner, elsewhere), "cash")
    free = start(owner, account_at(owner, venue), "cash")
    with running_runner():
        wait_until(lambda: decided(dark) and decided(free), 60)
        elsewhere.faults(latency_ms=HANG_MS)
        from_ms = decided(free)[-1]
        wait_until(lambda: decided(free)[-1] >= from_ms + BARS * 60_000, 60)
        elsewhere.faults(clear=True)
        count = len(decided(dark))
        wait_until(lambda: len(decided(dark)) > count, 60)
    bars = [bar_ms for bar_ms in decided(free) if bar_ms >= from_ms]
    assert {b - a for a, b in pairwise(bars)} == {60_000}


def test_the_end_waits_for_the_turn_under_way_and_gives_back_the_rest_at_once(owner, venue):
    mine = account_at(owner, venue)
    slow = start(owner, mine, "random", turnover=1.0, seed=1)
    free = start(owner, mine, "cash", pair="ETH/USD")
    with running_runner():
        wait_until(lambda: slow.fills.count() and decided(free), 60)
        venue.faults(latency_ms={"value": 300, "paths": ["place_order"]})
        wait_until(lambda: slow.orders.filter(status=OrderStatus.SENDING).exists(), 60)
    held = Lease.objects.filter(name__startswith="session:", until_ms__gt=0)
    assert not held.exists()
    assert not Order.objects.unsettled().exists()
    assert LiveSession.objects.driven().count() == 2
    assert Decision.objects.filter(session=free).exists()
