"""kill -9 of every worker: the watchdog, a real process, tells a person by itself, and sells if asked to."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from django.contrib.auth import get_user_model

from market.leases import is_held
from tests.sandbox_server import start_sandbox
from tests.trading.cluster.conftest import ROOT, wait_until
from tests.trading.notify.listener import listening, mailing
from tradebot.demo.processes import free_port
from trading import accounts, services
from trading.models import LiveSession, RiskProfile, SessionStatus
from trading.services import channels

pytestmark = pytest.mark.cluster


class Watch:
    """`manage.py watchdog` as a process of its own."""

    def __init__(self, environment, log):
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "watchdog"],
                cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip
        wait_until(lambda: "watchdog ready" in log.read_text(), 60, self)

    def close(self):
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log.read_text()[-3000:]


@pytest.fixture
def person(settings, shared_database):
    """A user reached by mail and by webhook, and the environment in which processes find both."""
    settings.ALERTS_TO_PRIVATE = True
    port = free_port()
    user = get_user_model().objects.create_user("ada")
    with listening() as hook, mailing(port) as mailbox:
        channels.create_channel(owner=user, name="mail", kind="email", address="ada@example.com")
        channels.create_channel(
            owner=user, name="hook", kind="webhook", address=f"{hook.url}/x", secret="k" * 20
        )
        user.hook, user.mailbox = hook, mailbox
        user.environment = shared_database | {
            "ALERTS_TO_PRIVATE": "1", "EMAIL_URL": f"smtp://127.0.0.1:{port}", "WATCHDOG_AFTER_S": "3",
        }  # fmt: skip
        yield user


@pytest.fixture
def session(person, tmp_path):
    with start_sandbox(state_dir=tmp_path / "sandbox", clock="real", speed=240.0) as venue:
        account = accounts.create_account(
            owner=person, name="sandbox", venue="roostoo", base_url=venue.url, candles_url=venue.url,
            key=venue.key, secret=venue.secret, calls_per_minute=100_000, poll_s=0.1,
        )  # fmt: skip
        limits = {"stop_loss": 0.0, "daily_loss": 0.0, "max_drawdown": 0.0, "max_stale_s": 600.0}
        risk = RiskProfile.objects.create(owner=person, name="wide", **limits)
        session = services.start_session(
            account=account, pair="BTC/USD", interval="1m", baseline="buy_and_hold", risk=risk
        )
        session.venue = venue
        yield session


def holds(session):
    return LiveSession.objects.get(pk=session.pk).held > 0


def family(workers):
    return [workers.process.pid, *(one.pid for one in workers.family())]


def freeze(pids, file):
    """SIGSTOP them, but not while one holds SQLite's write lock: that would freeze everybody."""
    while True:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        if not file.exists() or can_write(file):
            return
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.1)


def can_write(file):
    with closing(sqlite3.connect(file, timeout=0.5, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        database.execute("ROLLBACK")
        return True


def told(person):
    return [body["text"] for body in person.hook.bodies if body["kind"] == "trader_silent"]


def test_a_person_hears_of_a_killed_trader_from_the_watchdog_alone(person, session, start_workers, tmp_path):
    workers = start_workers("live")
    wait_until(lambda: holds(session), 60, workers)
    watch = Watch(person.environment, tmp_path / "watchdog.log")
    for pid in family(workers):
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    wait_until(lambda: told(person) and any("Nobody drives" in m for m in person.mailbox.mails), 60, watch)
    print(f"told after {time.monotonic() - began:.1f} s")  # noqa: T201  the figure of docs/alerts.md
    assert "Nobody drives your sessions" in told(person)[0]
    assert holds(session)  # selling is off unless the operator wants it
    watch.close()
    assert not is_held("watchdog")
    assert len(told(person)) == 1


def test_a_dead_traders_position_is_sold_and_the_waking_zombie_sends_nothing(
    person, session, start_workers, tmp_path, private_var_dir
):
    workers = start_workers("live")
    wait_until(lambda: holds(session), 60, workers)
    frozen = family(workers)
    freeze(frozen, private_var_dir / "db.sqlite3")
    watch = Watch(person.environment | {"WATCHDOG_FLATTEN_S": "4"}, tmp_path / "watchdog.log")
    stopped = SessionStatus.STOPPED
    wait_until(lambda: LiveSession.objects.get(pk=session.pk).status == stopped, 90, watch)
    placed = len(session.venue.account()["orders"])
    assert not holds(session)
    for pid in reversed(frozen):
        os.kill(pid, signal.SIGCONT)
    time.sleep(3)
    assert len(session.venue.account()["orders"]) == placed
    assert session.orders.filter(status="filled").count() == placed
    assert not session.orders.unsettled().exists()
    wait_until(lambda: any("sells what it holds" in text for text in told(person)), 30, watch)
    watch.close()
