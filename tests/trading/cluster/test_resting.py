"""Kill -9 of the driver while limit orders rest, with cancels that go astray, on the real sandbox."""

import os
import signal
import time
from decimal import Decimal

import pytest

from market import leases
from market.models import Lease
from tests.trading.cluster.conftest import wait_until, wide
from trading import services
from trading.models import LiveSession, Order, SessionStatus

pytestmark = pytest.mark.cluster
CANCELS = {"value": True, "paths": ["cancel_order"], "probability": 0.5}


@pytest.fixture
def session(account):
    risk = wide(account, weekly_loss=0.0, max_error_share=0.0)
    return services.start_session(
        account=account, pair="BTC/USD", interval="1m", baseline="random", risk=risk,
        settings={"turnover": 0.8, "seed": 1, "style": "limit", "deadline_s": 300, "requote_s": 60},
    )  # fmt: skip


def driver_of(session):
    lease = Lease.objects.get(name=session.lease_name, until_ms__gte=leases.now_ms())
    return int(lease.owner.split(":")[-2])


def test_a_death_while_an_order_rests_loses_doubles_and_invents_nothing(session, venue, start_workers):
    workers = start_workers()
    for fault in ("drop_after", "drop_before"):
        wait_until(lambda: Order.objects.resting().exists(), 90, workers)
        venue.faults(**{fault: CANCELS})
        before = Lease.objects.get(name=session.lease_name).fence
        os.kill(driver_of(session), signal.SIGKILL)
        wait_until(lambda at=before: Lease.objects.get(name=session.lease_name).fence > at, 90, workers)
        time.sleep(1.0)  # four minutes of the market under faults
        venue.faults(clear=True)
    count = session.fills.count()
    wait_until(lambda: session.fills.count() > count, 90, workers)
    services.stop_session(session=session)
    wait_until(lambda: LiveSession.objects.get(pk=session.pk).status == SessionStatus.STOPPED, 90, workers)
    check(session, venue)


def check(session, venue):
    theirs = venue.account()
    assert not [order for order in theirs["orders"] if order["status"] == "PENDING"]
    placed = sorted(str(order["order_id"]) for order in theirs["orders"])
    assert placed == sorted(
        session.orders.exclude(venue_order_id="").values_list("venue_order_id", flat=True)
    )
    amounts = {coin: sum(map(Decimal, purse.values())) for coin, purse in theirs["purses"].items()}
    ours = {row.coin: row.quantity for row in session.account.holdings.all()}
    assert {c: q for c, q in ours.items() if q} == {c: q for c, q in amounts.items() if q}
    assert not session.account.ledger.filter(kind="adjustment").exists()
    assert session.orders.filter(type="LIMIT").exists()
