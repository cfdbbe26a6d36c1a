"""Shorts with real worker processes: killed at a labelled point after the send, settled by the next one."""

from decimal import Decimal

import pytest

from tests.chaos.inject import chaos_points
from tests.sandbox_server import start_sandbox
from tests.trading.cluster.conftest import ROOT, wait_until, wide
from trading import services
from trading.models import LiveSession, OrderStatus, SessionStatus

pytestmark = pytest.mark.cluster
INJECT = ROOT / "tests" / "chaos" / "inject"


@pytest.fixture
def points(shared_database, tmp_path):
    """A folder in which a point of the worker processes is armed; put on the path before they start."""
    folder = tmp_path / "points"
    folder.mkdir()
    shared_database |= {"CHAOS_POINTS": str(folder), "PYTHONPATH": str(INJECT)}
    return folder


@pytest.fixture
def venue(tmp_path):
    """A slower market: turning takes two looks before a second bar has closed."""
    with start_sandbox(state_dir=tmp_path / "sandbox", clock="real", speed=40.0) as running:
        yield running


@pytest.fixture
def session(account):
    risk = wide(
        account, weekly_loss=0.0, entry_stale_s=600.0
    )  # a busy machine must not make an entry too late
    return services.start_session(
        account=account, pair="BTC/USD", interval="1m", risk=risk,
        baseline="random_long_short",
        settings={"turnover": 1.0, "share": 0.8, "seed": 1},
    )  # fmt: skip


def filled(session, side):
    return session.orders.filter(status=OrderStatus.FILLED, side=side).count()


def check_books(session, venue):
    """Lost = doubled = invented = 0, and coins, dollars and shorts are the venue's to the last digit."""
    theirs = venue.account()
    amounts = {coin: sum(map(Decimal, purse.values())) for coin, purse in theirs["purses"].items()}
    amounts |= {f"{one['pair']} short": Decimal(one["quantity"]) for one in theirs["shorts"]}
    ours = {row.coin: row.quantity for row in session.account.holdings.all()}
    assert {c: q for c, q in ours.items() if q} == {c: q for c, q in amounts.items() if q}
    known = session.orders.filter(status=OrderStatus.FILLED).values_list("venue_order_id", flat=True)
    assert sorted(str(order["order_id"]) for order in theirs["orders"]) == sorted(known)
    assert not session.account.ledger.filter(kind="adjustment").exists()


@pytest.mark.parametrize(("point", "passage"), [("answered", 3), ("settling", 1)])
def test_a_worker_killed_after_it_sent_a_short_leaves_one_that_the_next_settles(
    session, venue, start_workers, points, point, passage
):
    """The third order sent is the short; the first that must be looked up is the short as well."""
    (points / f"{point}.{passage}").write_text(chaos_points.KILL)
    workers = start_workers()
    wait_until(lambda: (points / f"{point}.struck").exists(), 60, workers)
    sides = [one["side"] for one in venue.account()["orders"]]  # newest first
    assert sides[-3:] == ["SHORT_OPEN", "SELL", "BUY"]
    wait_until(lambda: filled(session, "SHORT_CLOSE") >= 1 and filled(session, "BUY") >= 2, 60, workers)
    services.flatten_session(session=session)
    wait_until(lambda: LiveSession.objects.get(pk=session.pk).status == SessionStatus.STOPPED, 60, workers)
    assert workers.stop()[0] == 0
    session.refresh_from_db()
    assert session.shorted == 0
    check_books(session, venue)
