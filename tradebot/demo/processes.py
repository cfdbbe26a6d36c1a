"""Child processes that end with us, whatever happens to us."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tradebot.env import BASE_DIR

PR_SET_PDEATHSIG = 1


class DemoError(Exception):
    """One clear sentence: what went wrong and where to look."""


def die_with_parent() -> None:
    """Ask the kernel to terminate this process when its parent dies (Linux; elsewhere a no-op)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One of our servers, in a group of its own: Ctrl-C reaches only us, and we stop it in order."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        *,
        log_dir: Path,
        ready: str,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.name, self.ready = name, ready
        self.log = log_dir / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.start_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(  # noqa: S603  our own interpreter and our own arguments
                [sys.executable, *arguments],
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,
                cwd=BASE_DIR,
                env={**environment, "PYTHONUNBUFFERED": "1"},
            )

    def output(self) -> str:
        with self.log.open("rb") as stream:
            stream.seek(self.start_at)
            return stream.read().decode(errors="replace")

    def wait_ready(self, timeout_s: float, tick: Callable[[], None]) -> None:
        """Wait until the child says it is ready.

        :raises DemoError: when it ends or stays silent.
        """
        until = time.monotonic() + timeout_s
        while self.ready not in self.output():
            if self.process.poll() is not None:
                raise DemoError(f"{self.name} ended at once: {self.last_words()} (see {self.log})")
            if time.monotonic() > until:
                raise DemoError(f"{self.name} was not ready within {timeout_s:.0f} s (see {self.log})")
            tick()
            time.sleep(0.1)

    def last_words(self) -> str:
        """Return the signal that ended the child, or else the last line it printed."""
        code = self.process.poll()
        if code is not None and code < 0:
            return f"{signal.Signals(-code).name} from outside"
        lines = [line.strip() for line in self.output().splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"

    def stop(self, timeout_s: float) -> None:
        """Ask the child to end, then make it."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # whatever it left behind
        self.process.wait(5)


def require_free_port(port: int, what: str) -> None:
    """:raises DemoError: when something already listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise DemoError(f"port {port} for {what} is taken: stop what uses it or choose another") from None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
