"""All background work with one command: the clusters and the supervisor (`manage.py workers`).

Each cluster is a process in a group of its own: Ctrl-C reaches only this process, which stops them in order.
If this process is killed the kernel ends all of them.
"""

import argparse
import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradebot.settings")

from tradebot.cluster import GRACE_S, die_with_parent

CLUSTERS = ("default", "train", "live")
READY_S = 60.0
LOOK_S = 0.5
JOBS_S = 5.0
LONGEST_WAIT_S = 30.0
HEALTHY_S = 60.0
TIDY_S = 60.0
ROOT = Path(__file__).resolve().parents[1]

logger = logging.getLogger("tradebot.workers")


@dataclass(slots=True)
class Child:
    """One cluster process, started again when it dies."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    next_s: float = 0.0
    deaths: int = field(default=0)

    def start(self) -> int:
        """Start the process; return the pipe's end that it writes to once it works."""
        read, write = os.pipe()
        self._start(write)
        os.close(write)
        return read

    def _start(self, ready: int | None = None) -> None:
        """Start the process. Nobody waits for one without `ready`: a pipe nobody reads would end it."""
        pipes = [] if ready is None else [ready]
        self.process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "tradebot.cluster", self.name, *map(str, pipes)],
            cwd=ROOT,
            # One of a runner's threads computes at a time: more heaps than two only hold more memory.
            env={"MALLOC_ARENA_MAX": "2", **os.environ},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=pipes,
            preexec_fn=die_with_parent,
        )
        self.started_s = time.monotonic()

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, pipe: int) -> bool:
        """Wait until the cluster works; False when it ended or stays silent."""
        try:
            readable, _, _ = select.select([pipe], [], [], READY_S)
            return bool(readable) and os.read(pipe, 1) == b"1"
        finally:
            os.close(pipe)

    def keep_alive(self) -> None:
        """Start a dead cluster again, later and later while it keeps dying."""
        if self.is_alive or time.monotonic() < self.next_s:
            return
        self.end_group()
        now_s = time.monotonic()
        self.deaths = 0 if now_s - self.started_s > HEALTHY_S else self.deaths + 1
        self.next_s = now_s + min(LONGEST_WAIT_S, 2.0**self.deaths)
        status = self.process.returncode if self.process else None
        logger.error("cluster %s ended with status %s and is started again", self.name, status)
        self._start()

    def ask_to_stop(self) -> None:
        if self.is_alive and self.process is not None:
            self.process.terminate()

    def end_group(self) -> None:
        """Kill whatever is left of the cluster."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Supervisor:
    """Sends for drivers and trainers as long as its lease is ours; one works, however many hosts run."""

    def __init__(self) -> None:
        import django

        django.setup()
        from trading.notify.sender import Sender
        from trading.runner.supervisor import Stall

        self._lease: Any = None
        self._next_jobs_s = 0.0
        self._sender = Sender().start()  # with or without the lease: deliveries are claimed one by one
        self._tidy_s = 0.0
        self._stalls = {"live": Stall(time.monotonic), "train": Stall(time.monotonic)}

    def look(self) -> list[str]:
        """Take one look; return the names of clusters that take no work although there is some."""
        from django.db import DatabaseError, connection

        try:
            return self._look() if self._holds_lease() else []
        except DatabaseError as error:
            connection.close_if_unusable_or_obsolete()
            logger.warning("the supervisor cannot read the database: %s", error)
            return []

    def _holds_lease(self) -> bool:
        from django.conf import settings

        from market import leases

        if self._lease is not None and self._lease.remaining_s() < settings.LEASE_TTL_S / 2:
            self._lease = self._lease if self._lease.renew() else None
        self._lease = self._lease or leases.acquire("supervisor")
        return self._lease is not None

    def _look(self) -> list[str]:
        from agents.services import requeue_lost_runs
        from trading.runner.idle import enqueue_checks
        from trading.runner.supervisor import enqueue_lost_sessions
        from trading.watch.jobs import tell_failed_jobs

        waiting = {"live": enqueue_lost_sessions() > 0, "train": has_idle_trainer()}
        requeue_lost_runs()
        if time.monotonic() >= self._next_jobs_s:
            self._next_jobs_s = time.monotonic() + JOBS_S
            tell_failed_jobs()
            enqueue_checks()
        self._tidy()
        return [name for name, stall in self._stalls.items() if stall.see(waiting[name])]

    def _tidy(self) -> None:
        from market import housekeeping

        if time.monotonic() >= self._tidy_s:
            self._tidy_s = time.monotonic() + TIDY_S
            housekeeping.tidy()

    def release(self) -> None:
        from django.db import DatabaseError

        self._sender.stop()
        if self._lease is not None:
            with contextlib.suppress(DatabaseError):
                self._lease.release()


def has_idle_trainer() -> bool:
    """Say whether a training run waits although nobody trains anything."""
    from agents.models import TrainingRun
    from market import leases
    from market.models import Lease

    if not TrainingRun.objects.unfinished().filter(desired="run").exists():
        return False
    return not Lease.objects.filter(name__startswith="training:", until_ms__gte=leases.now_ms()).exists()


class Stop:
    """Set by SIGTERM and SIGINT."""

    is_wanted = False

    @classmethod
    def want(cls, *_: object) -> None:
        cls.is_wanted = True


def run(names: list[str]) -> int:
    """Run the clusters called `names` and the supervisor until a signal; return the exit status."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, Stop.want)
    children = [Child(name) for name in names]
    supervisor = None
    try:
        pipes = [child.start() for child in children]
        supervisor = Supervisor()  # imports the product while the clusters do
        for child, pipe in zip(children, pipes, strict=True):
            if not child.wait_ready(pipe) and not Stop.is_wanted:
                logger.error("cluster %s did not start", child.name)
                return 1
        sys.stdout.write("workers ready\n")
        sys.stdout.flush()
        while not Stop.is_wanted:
            look_after(children, supervisor.look())
            time.sleep(LOOK_S)
        return 0
    finally:
        stop(children)
        if supervisor is not None:
            supervisor.release()


def look_after(children: list[Child], stalled: list[str]) -> None:
    """Start dead clusters again, and end those that take no work so that they are."""
    for child in children:
        if child.name in stalled and child.is_alive:
            logger.error("cluster %s takes no work and is started again", child.name)
            child.end_group()
        child.keep_alive()


def stop(children: list[Child]) -> None:
    """Ask every cluster to stop, give them time together, then make them."""
    for child in children:
        child.ask_to_stop()
    until_s = time.monotonic() + GRACE_S + 2
    while any(child.is_alive for child in children) and time.monotonic() < until_s:
        time.sleep(0.05)
    for child in children:
        child.end_group()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="manage.py workers", description=__doc__)
    parser.add_argument("--clusters", default=",".join(CLUSTERS), help="which ones, comma separated")
    names = [name.strip() for name in parser.parse_args(arguments).clusters.split(",") if name.strip()]
    unknown = sorted(set(names) - set(CLUSTERS))
    if unknown or not names:
        parser.error(
            f"there is no cluster {', '.join(unknown) or '(none given)'}; choose from {', '.join(CLUSTERS)}"
        )
    return run(names)


if __name__ == "__main__":
    sys.exit(main())
