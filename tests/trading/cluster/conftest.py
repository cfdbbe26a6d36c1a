"""Real worker processes on a database they share with the test."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections

from tests.sandbox_server import start_sandbox
from trading import accounts
from trading.models import RiskProfile

ROOT = Path(__file__).resolve().parents[3]
TTL_S = 3.0


@pytest.fixture
def shared_database(request, settings, private_var_dir):
    """Give the test a database that other processes can open; returns their environment."""
    settings.LEASE_TTL_S, settings.VENUE_TIMEOUT_S = TTL_S, TTL_S / 3
    environment = {**os.environ, "VAR_DIR": str(private_var_dir), "LEASE_TTL_S": str(TTL_S)}
    environment |= {"PYTHONUNBUFFERED": "1", "LOG_LEVEL": "INFO"}
    if connections["default"].vendor == "postgresql":
        # Asked for so late, the fixture alone would open a transaction that no other process sees into.
        request.node.add_marker(pytest.mark.django_db(transaction=True))
        request.getfixturevalue("transactional_db")
        yield environment | {"DATABASE_URL": url_of(connections["default"].settings_dict)}
        return
    environment.pop("DATABASE_URL", None)
    blocker = request.getfixturevalue("django_db_blocker")
    ordinary = connections["default"]
    file = connections.create_connection("default")
    file.settings_dict = {**file.settings_dict, "NAME": str(private_var_dir / "db.sqlite3")}
    connections["default"] = file
    of_threads, connections.settings["default"] = connections.settings["default"], file.settings_dict
    with blocker.unblock():
        call_command("migrate", verbosity=0)
        yield environment
        file.close()
    connections.settings["default"] = of_threads
    connections["default"] = ordinary


def url_of(database):
    host = f"{database['HOST'] or 'localhost'}:{database['PORT'] or 5432}"
    return f"postgresql://{database['USER']}:{database['PASSWORD']}@{host}/{database['NAME']}"


class Workers:
    """`manage.py workers` as a process of its own."""

    def __init__(self, environment, log, clusters):
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "workers", "--clusters", clusters],
                cwd=ROOT,
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: "workers ready" in log.read_text(), 40, self)

    def family(self):
        """Every process below the command."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number=signal.SIGTERM):
        """Return the exit status and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(30), time.monotonic() - began

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


def wait_until(holds, timeout_s, workers=None):
    until = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > until:
            raise AssertionError(
                f"not within {timeout_s} s\n{workers.log.read_text()[-6000:] if workers else ''}"
            )
        time.sleep(0.02)


@pytest.fixture
def start_workers(shared_database, tmp_path):
    started = []

    def start(clusters="live"):
        started.append(Workers(shared_database, tmp_path / f"workers-{len(started)}.log", clusters))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def venue(tmp_path):
    """A market that runs by itself: a minute passes in a quarter of a second."""
    with start_sandbox(state_dir=tmp_path / "sandbox", clock="real", speed=240.0) as running:
        yield running


@pytest.fixture
def account(shared_database, venue):
    """An account there, polled ten times a second."""
    user = get_user_model().objects.create_user("ada", password="correct horse battery")
    return accounts.create_account(
        owner=user, name="sandbox", venue="roostoo", base_url=venue.url, candles_url=venue.url, key=venue.key,
        secret=venue.secret, calls_per_minute=100_000, poll_s=0.1,
    )  # fmt: skip


def wide(account, **limits):
    """Return a risk profile that stops nothing by itself, but for what is given."""
    open_wide = {"stop_loss": 0.0, "daily_loss": 0.0, "max_drawdown": 0.0, "max_stale_s": 600.0}
    return RiskProfile.objects.create(owner=account.owner, name="wide", **open_wide | limits)
