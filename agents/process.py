"""The training subprocess as its worker sees it: it cannot outlive us, and is stopped in two steps."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
STOP_S = 20.0  # from SIGTERM to SIGKILL
LAST_BYTES = 4_000  # of stderr, kept for the row
ROOT = Path(__file__).resolve().parent.parent


class Child:
    """A process in a session of its own that gets SIGTERM when its parent dies."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log, self.start = log, log.stat().st_size if log.exists() else 0
        with log.open("ab") as file:
            self.process = subprocess.Popen(  # noqa: S603 our own command line
                arguments,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=_dies_with(os.getpid()),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """Return the exit status once it has ended."""
        return self.process.poll()

    def stop(self) -> int:
        """Ask it to save and go; after `STOP_S` end it and everything it started. Return the exit status."""
        self._signal(signal.SIGTERM, self.process.send_signal)
        deadline = time.monotonic() + STOP_S
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.kill()

    def kill(self) -> int:
        """End its whole group now and return the exit status."""
        self._signal(signal.SIGKILL, lambda number: os.killpg(self.process.pid, number))
        return self.process.wait()

    def last_words(self) -> str:
        """Return the end of what it wrote, at most `LAST_BYTES`."""
        with self.log.open("rb") as file:
            file.seek(max(self.start, self.log.stat().st_size - LAST_BYTES))
            return file.read().decode(errors="replace").strip()

    def _signal(self, number: int, send: Callable[[int], None]) -> None:
        try:
            send(number)
        except ProcessLookupError:
            return


def training_command(run_id: int, fence: int) -> list[str]:
    """Return the command line of one training process."""
    return [sys.executable, str(ROOT / "manage.py"), "run_training", str(run_id), "--fence", str(fence)]


def _dies_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)  # loaded before the fork: little is safe after it

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent died before we asked to be told
            os._exit(70)

    return arrange
