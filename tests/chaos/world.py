"""The processes of chaos runs: sandbox, workers and web, kept alive as a service manager would."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import psutil

from tests.chaos import database
from tests.sandbox_server import SECRET, START_MS, RunningSandbox
from tradebot.demo.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
TTL_S = 2.0
SPEED = 120.0  # of the venue's clock: a minute bar every half second
USD = "50000"
LOOK_S = 0.05


def key_of(number: int) -> str:
    """Return the API key of the world's account `number`."""
    return f"{number:04d}" * 16


def environment(folder: Path, database_url: str) -> dict[str, str]:
    """Return the environment of a world's processes: state of its own, a short lease, the labelled points."""
    left_out = {"DATABASE_URL", "REDIS_URL", "PRODUCTION", "SECRET_KEY", "PYTHONPATH", "Q_CLUSTER_NAME"}
    changed = {
        "VAR_DIR": str(folder / "var"),
        "LEASE_TTL_S": str(TTL_S),
        "LOG_LEVEL": "INFO",
        "SLICE_S": "30",
    }
    changed |= {"PYTHONUNBUFFERED": "1", "CHAOS_POINTS": str(folder / "points")}
    changed |= {"CHAOS_INJECT": str(ROOT / "tests" / "chaos" / "inject")}
    changed |= {"DATABASE_URL": database_url} if database_url else {}
    return {name: value for name, value in os.environ.items() if name not in left_out} | changed


class Service:
    """A process that is started again when it dies."""

    def __init__(self, name: str, command: list[str], folder: Path, given: dict[str, str]) -> None:
        self.name, self.command, self._environment = name, command, given
        self.log = folder / f"{name}.log"
        self.starts = 0
        self.process: subprocess.Popen[bytes] | None = None

    def keep(self) -> None:
        """Start it if it does not run."""
        if self.process is None or self.process.poll() is not None:
            self.starts += 1
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, *self.command], cwd=ROOT, env=self._environment, stdout=log,
                    stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                )  # fmt: skip

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(25)
            self.kill()

    def family(self) -> list[psutil.Process]:
        """Return every process below it, those alive."""
        if self.process is None or self.process.poll() is not None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []


class World:
    """One sandbox, one set of workers, one web server, one database; its runs have accounts of their own."""

    def __init__(self, folder: Path, accounts: int) -> None:
        self.folder, self.points = folder, folder / "points"
        self.points.mkdir(parents=True, exist_ok=True)
        os.environ["PYTHONPATH"] = os.environ["CHAOS_INJECT"]  # from here on for whatever this process starts
        given = dict(os.environ)
        self.port = free_port()
        serve = [
            "-m",
            "uvicorn",
            "tradebot.asgi:application",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        self.venue = Venue(folder, accounts)
        self.workers = Service("workers", ["manage.py", "workers", "--clusters", "live"], folder, given)
        self.web = Service("web", [*serve, "--log-level", "warning"], folder, given)
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self.suspended: set[int] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "World":
        self._keeper.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._keeper.join(60)
        self.wake_all()
        for service in (self.workers, self.web):
            service.stop()
        self.venue.close()

    def _keep(self) -> None:
        while not self._stop.wait(LOOK_S):
            for service in (self.venue, self.workers, self.web):
                try:
                    service.keep()
                except Exception as error:  # the next look tries again; the run's own waits are bounded
                    sys.stderr.write(f"keeper: {service.name}: {error}\n")

    def wake_all(self) -> None:
        """Let every suspended process go on."""
        for pid in list(self.suspended):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            self.suspended.discard(pid)

    def arm(self, label: str, passage: int, action: str) -> None:
        """Have the process that makes the Nth passage of a labelled point killed or suspended."""
        self.disarm()
        part = self.points / "part"
        part.write_text(action)
        part.rename(self.points / f"{label}.{passage}")

    def struck(self, label: str) -> int | None:
        """Return the process that an armed point has struck."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.points / f"{label}.pid").read_text())
        return None

    def disarm(self) -> None:
        for path in self.points.iterdir():
            path.unlink(missing_ok=True)

    def logged(self, words: str) -> int:
        """Return how often the workers have said something."""
        return self.workers.log.read_text(errors="replace").count(words) if self.workers.log.exists() else 0


class Venue(RunningSandbox):
    """The sandbox of a world, with an account for every run."""

    name = "venue"

    def __init__(self, folder: Path, accounts: int) -> None:
        from market.sandbox.options import Options

        options = Options(
            state=folder / "sandbox", feeds=["synthetic:7"], clock="real", speed=SPEED, start_ms=START_MS,
            accounts=[f"{key_of(number)}:{SECRET}:{USD}" for number in range(accounts)], per_minute=None,
        )  # fmt: skip
        self._lock = threading.RLock()
        super().__init__(options, process=True, port=0)

    def keep(self) -> None:
        """Start it again when it has died."""
        with self._lock:
            if self.process is None or self.process.poll() is not None:
                if self.process is not None:
                    self.kill()
                self.restart()

    def die(self, *, softly: bool) -> None:
        with self._lock:
            if self.process is not None:
                self.stop() if softly else self.kill()

    def books(self, key: str) -> dict:
        """Return one account's part of the state."""
        return self.state(since=10**9)["accounts"][key]

    def close(self) -> None:
        with self._lock:
            super().close()


def prepare(folder: Path) -> None:
    """Make the world's database. Call in a process that has the world's environment."""
    (folder / "var").mkdir(parents=True, exist_ok=True)
    database.migrate()


def wait_until(holds, timeout_s: float) -> bool:
    """Wait until something holds; False when it has not in time."""
    until_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > until_s:
            return False
        time.sleep(LOOK_S)
    return True
