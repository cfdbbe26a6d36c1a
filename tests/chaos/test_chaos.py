"""Two sessions on one account while processes die, stand still and answers go astray. Seeded."""

import time
from collections import Counter
from decimal import Decimal
from random import Random

import psutil
import pytest
from django.contrib.auth import get_user_model

from market import leases
from market.models import Lease
from tests.sandbox_server import start_sandbox
from tests.trading.cluster.conftest import TTL_S, wait_until
from trading import accounts, services
from trading.models import LiveSession, Order, RiskProfile, SessionStatus

pytestmark = pytest.mark.cluster

ORDERS = ["place_order"]
FAULTS = {
    "drop_before": {"value": True, "paths": ORDERS},
    "drop_after": {"value": True, "paths": ["place_order", "query_order"], "probability": 0.5},
    "http_5xx_after": {"value": 502, "paths": ORDERS},
    "truncated_json": {"value": True, "probability": 0.5},
    "429": {"value": True, "probability": 0.5},
    "empty_wallet": True,
    "missing_pair": "BTC/USD",
    "clock_skew_ms": 90_000,
}
PAIRS = ["BTC/USD", "ETH/USD"]


@pytest.fixture
def venue(tmp_path):
    with start_sandbox(state_dir=tmp_path / "sandbox", clock="real", speed=240.0, process=True) as running:
        yield running


@pytest.fixture
def account(shared_database, venue):
    user = get_user_model().objects.create_user("ada", password="correct horse battery")
    return accounts.create_account(
        owner=user, name="sandbox", venue="roostoo", base_url=venue.url, candles_url=venue.url, key=venue.key,
        secret=venue.secret, calls_per_minute=100_000, poll_s=0.1,
    )  # fmt: skip


@pytest.fixture
def sessions(account):
    limits = {"daily_loss": 0.0, "max_drawdown": 0.0, "max_stale_s": 600.0}
    risk = RiskProfile.objects.create(owner=account.owner, name="wide", **limits)
    return [
        services.start_session(
            owner=account.owner, account=account, pair=pair, interval="1m", baseline="random", risk=risk,
            capital=Decimal(20_000), settings={"turnover": 0.8, "seed": seed},
        )
        for seed, pair in enumerate(PAIRS)
    ]  # fmt: skip


def drivers():
    """Return the living processes that hold a session; a dead one's lease lasts until it runs out."""
    held = Lease.objects.filter(name__startswith="session:", until_ms__gte=leases.now_ms())
    pids = {int(lease.owner.split(":")[-2]) for lease in held}
    return [process for process in psutil.process_iter() if process.pid in pids and is_alive(process)]


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_the_driver(venue, process, random):
    process.kill()


def kill_its_sentinel(venue, process, random):
    process.parent().kill()


def suspend_the_driver_beyond_its_lease(venue, process, random):
    process.suspend()
    time.sleep(TTL_S + random.uniform(0.2, 0.8))
    process.resume()


def kill_the_venue(venue, process, random):
    venue.kill()
    venue.restart()


ACTS = [kill_the_driver, kill_its_sentinel, suspend_the_driver_beyond_its_lease, kill_the_venue]


def test_no_order_is_lost_doubled_or_invented_whatever_dies(account, sessions, venue, start_workers):
    random, workers = Random(11), start_workers()
    wait_until(lambda: Order.objects.filter(status="filled").count() >= 2, 30, workers)
    for act in random.sample(ACTS, len(ACTS)):
        chosen = random.sample(sorted(FAULTS), 2)
        venue.faults(clear=True, **{name: FAULTS[name] for name in chosen})
        time.sleep(random.uniform(0.3, 1.2))
        wait_until(drivers, 20, workers)
        living = drivers()
        if living:  # else the driver has just died by itself, which is chaos enough
            act(venue, random.choice(living), random)
        time.sleep(random.uniform(0.3, 1.2))
    venue.faults(clear=True)
    count = Order.objects.filter(status="filled").count()
    wait_until(lambda: Order.objects.filter(status="filled").count() > count, 30, workers)
    for session in sessions:
        services.stop_session(session=session)
    stopped = LiveSession.objects.filter(status=SessionStatus.STOPPED)
    wait_until(lambda: stopped.count() == len(sessions), 30, workers)
    check_books(account, venue)


def check_books(account, venue):
    """Every order of the venue is one of ours, and every coin is equal to the last digit."""
    theirs = venue.account()
    placed = Counter(str(order["order_id"]) for order in theirs["orders"])
    known = account.orders.exclude(venue_order_id="").values_list("venue_order_id", flat=True)
    assert placed == Counter(known)
    amounts = {coin: sum(map(Decimal, purse.values())) for coin, purse in theirs["purses"].items()}
    ours = {row.coin: row.quantity for row in account.holdings.all()}
    assert {c: q for c, q in ours.items() if q} == {c: q for c, q in amounts.items() if q}
    assert not account.ledger.filter(kind="adjustment").exists()
    for session in LiveSession.objects.all():
        fences = session.orders.exclude(venue_order_id="").order_by("venue_order_id")
        assert sorted(o.fence for o in fences) == [o.fence for o in fences]  # a stale driver sent nothing
