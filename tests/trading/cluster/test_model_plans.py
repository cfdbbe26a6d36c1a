"""Kill -9 of the driver while a model's plan rebalances, with answers that go astray, on the real sandbox."""

import os
import signal
import time
from decimal import Decimal

import pytest

from market import leases
from market.models import Lease
from tests.sandbox_server import start_sandbox
from tests.trading.cluster.conftest import wait_until, wide
from tests.trading.live.weights import portfolio_model
from trading import services
from trading.models import LiveSession, SessionStatus
from trading.parity import verify

pytestmark = pytest.mark.cluster
ANSWERS = {"value": True, "paths": ["place_order"], "probability": 0.3, "seed": 5}


@pytest.fixture
def venue(tmp_path):
    """A minute passes in a second: a bar is decided on within a few polls, on a slow machine, too."""
    with start_sandbox(state_dir=tmp_path / "sandbox", clock="real", speed=60.0) as running:
        yield running


@pytest.fixture
def plan(account):
    risk = wide(account, weekly_loss=0.0, max_error_share=0.0, price_collar=0.0)
    model = portfolio_model(account.owner, every=2)
    return services.start_plan(
        name="learned", account=account, model=model, capital=Decimal(20000), risk=risk
    )


def drivers_of(plan):
    names = [f"session:{pk}" for pk in plan.sessions.values_list("pk", flat=True)]
    rows = Lease.objects.filter(name__in=names, until_ms__gte=leases.now_ms())
    return {int(lease.owner.split(":")[-2]) for lease in rows}


def test_deaths_in_the_middle_of_rebalances_lose_double_and_invent_nothing(plan, venue, start_workers):
    workers = start_workers()
    made = plan.decisions.filter(is_made=True)
    for fault in ("drop_after", "http_5xx_after"):
        venue.faults(**{fault: ANSWERS})
        count = made.count()
        wait_until(lambda at=count: made.count() > at, 120, workers)
        for pid in drivers_of(plan):
            os.kill(pid, signal.SIGKILL)
        time.sleep(1.0)  # a minute of the market under faults
        venue.faults(clear=True)
        wait_until(lambda at=count: made.count() > at + 2, 120, workers)
    services.stop_plan(plan=plan)
    ended = LiveSession.objects.filter(plan=plan, status=SessionStatus.STOPPED)
    wait_until(lambda: ended.count() == 2, 120, workers)
    check(plan, venue)


def check(plan, venue):
    theirs, account = venue.account(), plan.account
    assert not [order for order in theirs["orders"] if order["status"] == "PENDING"]
    placed = sorted(str(order["order_id"]) for order in theirs["orders"])
    assert placed == sorted(
        account.orders.exclude(venue_order_id="").values_list("venue_order_id", flat=True)
    )
    amounts = {coin: sum(map(Decimal, purse.values())) for coin, purse in theirs["purses"].items()}
    ours = {row.coin: row.quantity for row in account.holdings.all()}
    assert {c: q for c, q in ours.items() if q} == {c: q for c, q in amounts.items() if q}
    assert not account.ledger.filter(kind="adjustment").exists()
    rows = list(plan.sessions.order_by("pk"))
    fills = [fill for row in rows for fill in row.fills.all()]
    assert len(fills) >= 2
    spent = sum(fill.quantity * fill.price + fill.fee for fill in fills)
    assert sum(row.cash for row in rows) == sum(row.capital for row in rows) - spent
    for row in rows:
        bars = [order.decision.bar_ms for order in row.orders.select_related("decision")]
        assert len(bars) == len(set(bars)), "one order a pair and decision"
    assert verify(rows[0]).is_equal
