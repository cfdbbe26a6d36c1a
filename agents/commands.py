"""What this app's commands have in common."""

import time
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandParser

from agents.models import Experiment, JobStatus, TrainingRun
from market import leases
from market.commands import ProductCommand, user_named
from market.errors import BadInput

NO_WORKER_S = 60.0  # workers that were just started import for a while on a busy machine
POLL_S = 0.25
SAY_S = 2.0


def add_series_arguments(parser: CommandParser) -> None:
    """Add the arguments that name candles and a user."""
    parser.add_argument("--series", type=int, help="id of a stored series, instead of pair and interval")
    parser.add_argument("--source", help="where the candles came from, when several series fit")
    parser.add_argument("--pair", help="BTC/USD")
    parser.add_argument("--interval", help="1m, 5m, 1h …")
    parser.add_argument("--from", help="ISO date or epoch ms, UTC; default: the first candle")
    parser.add_argument("--to", help="ISO date or epoch ms, UTC, excluded; default: after the last candle")
    parser.add_argument("--user", help="who owns the result; needed when there are several users")


def acting_user(name: str | None) -> Any:
    """Return the user a command acts for: the named one, or the only one.

    :raises BadInput: when nobody has that name, or none is given and there is not exactly one user
    """
    if name is not None:
        return user_named(name)
    users = list(get_user_model().objects.filter(is_active=True)[:2])
    if len(users) == 1:
        return users[0]
    if not users:
        raise BadInput("there is no user yet: make one with `manage.py createsuperuser`", "user")
    raise BadInput("there are several users: name one with --user", "user")


def follow(command: ProductCommand, run: TrainingRun) -> None:
    """Tell how a run goes until it is done. :raises BadInput: when it fails, or no worker is there"""
    began = shown = time.monotonic()
    while run.status in (JobStatus.QUEUED, JobStatus.RUNNING):
        time.sleep(POLL_S)
        run.refresh_from_db()
        if run.status == JobStatus.QUEUED:
            require_workers(began, f"run {run.pk} stays")
        if time.monotonic() - shown >= SAY_S:
            shown = time.monotonic()
            command.say(told(run))
    if run.status != JobStatus.DONE:
        reason = run.error.partition("\n")[0]
        raise BadInput(f"run {run.pk} is {run.status}" + (f": {reason}" if reason else ""))
    command.say(told(run))


def follow_all(command: ProductCommand, experiment: Experiment) -> None:
    """Tell how an experiment goes until every run has ended.

    :raises BadInput: when one has made no model, or no worker is there
    """
    began = shown = time.monotonic()
    rows = experiment.runs
    while unfinished := rows.unfinished().count():
        time.sleep(POLL_S)
        if not rows.exclude(status=JobStatus.QUEUED).exists():
            require_workers(began, f"experiment {experiment.pk} stays")
        if time.monotonic() - shown >= SAY_S:
            shown = time.monotonic()
            running = rows.filter(status=JobStatus.RUNNING).count()
            command.say(f"{unfinished} of {rows.count()} runs left, {running} at work")
    ended = rows.exclude(status=JobStatus.DONE).order_by("pk")
    if failed := [f"run {run.pk} is {run.status}: {run.error.partition(chr(10))[0]}" for run in ended]:
        raise BadInput(f"{len(failed)} of {rows.count()} runs made no model; {failed[0]}")


def require_workers(began: float, what: str) -> None:
    """:raises BadInput: when nobody works although there was time to start"""
    if time.monotonic() - began > NO_WORKER_S and not leases.is_held("supervisor"):
        raise BadInput(f"no worker is running: start `manage.py workers`; {what} queued until then")


def told(run: TrainingRun) -> str:
    """Return how far a run is, in one line."""
    rate = f"{run.fps:,.0f} steps/s" if run.fps else "starting"
    eta = f", ETA {run.eta_s:.0f} s" if run.eta_s else ""
    score = run.judged.get("score")
    judged = f", validation score {score:+.2f}" if score is not None else ""
    done = f"{run.steps_done:,}/{run.steps_total:,} ({run.share_done:.0%})"
    return f"{run.status} {done}, {rate}{eta}{judged}"


def run_row(run: TrainingRun) -> dict[str, Any]:
    """Return a run as the commands print it."""
    model = getattr(run, "model", None)
    return {"id": run.pk, "status": run.status, "name": run.name, "steps_done": run.steps_done,
            "model": model.pk if model else None}  # fmt: skip
