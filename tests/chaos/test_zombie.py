"""A driver that is suspended until another has taken over sends nothing when it wakes."""

import os
import signal
from pathlib import Path

import pytest

from tests.chaos.inject.chaos_points import SUSPEND
from tests.trading.cluster.conftest import (
    TTL_S,
    account,
    shared_database,
    start_workers,
    venue,
    wait_until,
)
from tests.trading.cluster.test_workers import check_books, driver_of, filled, session
from trading.models import Order, OrderStatus

__all__ = ["account", "session", "shared_database", "start_workers", "venue"]
INJECT = Path(__file__).parent / "inject"
pytestmark = pytest.mark.cluster


@pytest.fixture
def points(shared_database, tmp_path):
    """Put the labelled points into the worker processes; returns the folder in which they are armed."""
    folder = tmp_path / "points"
    folder.mkdir()
    shared_database |= {"CHAOS_POINTS": str(folder), "PYTHONPATH": str(INJECT)}
    return folder


def test_a_suspended_driver_sends_nothing_when_it_wakes_after_the_take_over(
    points, session, venue, start_workers
):
    workers = start_workers()
    wait_until(lambda: filled(session) >= 1, 60, workers)
    part = points / "part"
    part.write_text(SUSPEND)
    part.rename(points / "about-to-send.1")  # the intent is committed as sending; the request is not out
    struck = points / "about-to-send.pid"
    wait_until(lambda: struck.exists() and struck.read_text(), 60, workers)
    zombie = int(struck.read_text())
    doubtful = Order.objects.get(session=session, status__in=[OrderStatus.SENDING, OrderStatus.UNCERTAIN])
    wait_until(lambda: driver_of(session) != zombie, TTL_S + 60, workers)  # somebody else has taken over
    wait_until(lambda: Order.objects.get(pk=doubtful.pk).status == OrderStatus.ABSENT, 60, workers)
    os.kill(zombie, signal.SIGCONT)
    count = filled(session)
    wait_until(lambda: filled(session) >= count + 2, 60, workers)
    assert Order.objects.get(pk=doubtful.pk).status == OrderStatus.ABSENT
    sent = {(order["side"], order["quantity"]) for order in venue.account()["orders"]}
    assert (doubtful.side, float(doubtful.quantity)) not in {(s, float(q)) for s, q in sent}
    workers.stop()
    check_books(session, venue)
