"""The demo's stages, in order; every one of them uses the same services as the pages do."""

import argparse
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command

from agents import services as learning
from agents.models import JobStatus, TrainedModel, TrainingRun
from agents.spec import PRESETS
from market import services as markets
from market.candles import interval_name
from market.errors import BadInput
from market.models import ImportStatus, Series
from tradebot.demo import checks
from tradebot.demo.processes import Child, DemoError, free_port, require_free_port
from tradebot.demo.progress import Progress
from trading import accounts
from trading import services as live
from trading.models import Account, LiveSession, SessionStatus

STAGES = ["database", "candles", "sandbox", "workers", "training", "web", "session"]
SYNTHETIC_BARS = 120_000
TRAIN_SHARE = 0.8
USER = "demo"
READY_S = 60.0
ACCOUNTS_VARIABLE = "SANDBOX_ACCOUNTS"


class Show:
    """Starts everything and keeps it running until Ctrl-C; with `--smoke` checks it once instead."""

    def __init__(self, options: argparse.Namespace, var: Path) -> None:
        self.options, self.var = options, var
        self.progress = Progress(STAGES, timings_file(var))
        self.children: list[Child] = []
        self.is_up = False
        self.password = ""
        self.user: User
        self.series: Series
        self.account: Account
        self.model: TrainedModel
        self.session: LiveSession
        speed = 240.0 if options.smoke else 60.0
        self.speed = options.speed or speed
        self.port = free_port() if options.smoke else options.port
        self.sandbox_port = free_port() if options.smoke else options.sandbox_port

    def run(self) -> int:
        started = time.monotonic()
        require_free_port(self.port, "the web pages")
        require_free_port(self.sandbox_port, "the sandbox exchange")
        for stage in STAGES:
            with self.progress.stage(stage):
                try:
                    getattr(self, f"_{stage}")()
                except BadInput as error:
                    raise DemoError(error.message) from error
        self.is_up = True
        if self.options.smoke:
            return checks.run(self, started)
        self._announce()
        self._watch()
        return 0

    def stop(self) -> None:
        for child in reversed(self.children):
            child.stop(timeout_s=25)
        self.children.clear()

    def _database(self) -> None:
        call_command("migrate", verbosity=0)
        user = User.objects.filter(username=USER).first()
        if user is None:
            self.password = secrets.token_urlsafe(12)
            user = User.objects.create_superuser(USER, password=self.password)
        self.user = user
        self.progress.detail = "migrated"

    def _candles(self) -> None:
        source = f"demo {self.options.data.name}" if self.options.data else "demo synthetic"
        series = Series.objects.filter(source=source, owner=self.user).exclude(rows=0).first()
        if series is None and self.options.data:
            report = markets.import_file(path=self.options.data, owner=self.user, source=source)
            if report.status != ImportStatus.DONE:
                raise DemoError(report.error)
            series = report.series
        elif series is None:
            series = markets.synthesize(
                name=source, bars=SYNTHETIC_BARS, seed=7, pair="SIM/USD", owner=self.user
            )
        if series is None or series.first_ms is None or series.last_ms is None:
            raise DemoError("the import brought no candles")
        self.series = series
        self.split_ms = int(series.first_ms + (series.last_ms - series.first_ms) * TRAIN_SHARE)
        self.split_ms -= self.split_ms % series.interval_ms
        self.progress.detail = f"{series.rows:,} candles of {series.pair}"

    def _sandbox(self) -> None:
        self.pair = venue_pair(self.series.pair)
        name = f"sandbox {self.series.pk}"
        url = f"http://127.0.0.1:{self.sandbox_port}"
        account = Account.objects.filter(owner=self.user, name=name).first()
        if account is None:
            account = accounts.create_account(
                owner=self.user,
                name=name,
                venue="roostoo",
                base_url=url,
                candles_url=url,
                key=secrets.token_hex(32),
                secret=secrets.token_hex(32),
                calls_per_minute=6000,
                poll_s=min(5.0, max(0.1, 15.0 / self.speed)),
            )
        credentials = f"{account.api_key}:{accounts.open_secret(account)}:50000"
        arguments = ["manage.py", "sandbox", "--port", str(self.sandbox_port), "--speed", str(self.speed)]
        arguments += ["--feed", f"series:{self.series.pk}", "--start", str(self.split_ms)]
        arguments += ["--state", str(self.var / "sandbox" / str(self.series.pk)), "--no-rate-limit"]
        arguments += ["--accounts-env", ACCOUNTS_VARIABLE]  # argv is for everybody on this machine to read
        self._start("sandbox", arguments, ready="sandbox ready", **{ACCOUNTS_VARIABLE: credentials})
        self.account = account
        self.progress.detail = f"Roostoo at {url}, {self.speed:g}x real time"

    def _workers(self) -> None:
        self._start("workers", ["manage.py", "workers"], ready="workers ready")
        self._start("watchdog", ["manage.py", "watchdog"], ready="watchdog ready")
        self.progress.detail = "clusters default, train, live; the watchdog"

    def _training(self) -> None:
        name = f"PPO on {self.series.pair} #{self.series.pk}"
        trained = TrainedModel.objects.filter(owner=self.user, name=name).first()
        if trained is not None:
            self.model = trained
            self.progress.detail = f"{name} is already trained"
            return
        run = TrainingRun.objects.filter(owner=self.user, name=name).unfinished().first()
        run = run or learning.start_training(owner=self.user, name=name, spec=self._spec(), by=self.user)
        while run.status in (JobStatus.QUEUED, JobStatus.RUNNING):
            rate = f", {run.fps:,.0f} steps/s" if run.fps else ""
            self.progress.tick(f"{run.steps_done:,} of {run.steps_total:,} steps{rate}", run.eta_s)
            self._require_children()
            time.sleep(0.25)
            run.refresh_from_db()
        if run.status != JobStatus.DONE:
            raise DemoError(
                f"training ended as {run.status}: {run.error.splitlines()[0] if run.error else ''}"
            )
        self.model = run.model
        self.progress.detail = f"{run.steps_done:,} steps, {run.fps or 0:,.0f} steps/s"

    def _spec(self) -> dict[str, Any]:
        return {
            **PRESETS["demo"],
            "series": self.series.pk,
            "pair": self.series.pair,
            "interval": interval_name(self.series.interval_ms),
            "to": self.split_ms,
            "steps": self.options.steps,
            "seed": 1,
        }

    def _web(self) -> None:
        arguments = ["-m", "uvicorn", "tradebot.asgi:application", "--host", "127.0.0.1"]
        arguments += ["--port", str(self.port), "--timeout-graceful-shutdown", "3"]
        self._start("web", arguments, ready="Uvicorn running")
        self.progress.detail = f"http://127.0.0.1:{self.port}"

    def _session(self) -> None:
        session = LiveSession.objects.filter(owner=self.user, account=self.account).driven().first()
        if session is None:
            session = live.start_session(
                name=f"{self.pair} live",
                model=self.model,
                account=self.account,
                pair=self.pair,
                interval=interval_name(self.series.interval_ms),
                settings={
                    "sample": True
                },  # as in training: the agent keeps exploring, so there is something to see
                by=self.user,
            )
        self.session = session
        decided = session.decisions.count()
        until = time.monotonic() + READY_S
        while session.decisions.count() == decided:
            self._require_children()
            session.refresh_from_db()
            if session.status in (SessionStatus.FAILED, SessionStatus.STOPPED):
                raise DemoError(f"the session is {session.status}: {session.note}")
            if time.monotonic() > until:
                raise DemoError(f"the session decided nothing within {READY_S:.0f} s: {session.note}")
            self.progress.tick("waiting for the first decision")
            time.sleep(0.1)
        self.progress.detail = f"session {session.pk} has decided"

    def _start(self, name: str, arguments: list[str], *, ready: str, **variables: str) -> None:
        environment = {**os.environ, **variables}
        child = Child(name, arguments, log_dir=self.var / "logs", ready=ready, environment=environment)
        self.children.append(child)
        child.wait_ready(READY_S, self.progress.tick)

    def _require_children(self) -> None:
        for child in self.children:
            if child.process.poll() is not None:
                raise DemoError(f"{child.name} has ended: {child.last_words()} (see {child.log})")

    def _announce(self) -> None:
        login = (
            f"user {USER}, password {self.password}" if self.password else f"user {USER}, password as before"
        )
        address = f"http://127.0.0.1:{self.port}"
        sys.stdout.write(
            f"\n  {address}/sessions/{self.session.pk}/   the agent at work\n"
            f"  {address}/   all pages   ({login})\n"
            f"  Forgotten it? .venv/bin/python manage.py changepassword {USER}\n"
            "  Ctrl-C stops everything; the next `make demo` continues from here.\n\n"
        )
        sys.stdout.flush()

    def _watch(self) -> None:
        while True:
            self._require_children()
            time.sleep(0.5)


def venue_pair(pair: str) -> str:
    """Return the name the venue uses: it quotes everything in USD and mirrors USDT prices."""
    return pair.split("/")[0] + "/USD"


def timings_file(var: Path) -> Path:
    return var.parent / "var" / "timings.json" if var.name != "smoke" else var.parent / "timings-smoke.json"
