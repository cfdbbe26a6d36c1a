"""Stages with elapsed time and ETA, on a terminal and in a log."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXPECTED_S = {"database": 3, "candles": 4, "sandbox": 3, "workers": 4, "training": 35, "web": 4,
              "session": 10}  # fmt: skip


class Progress:
    """Prints `[3/7] training  12 s, ETA 20 s …`; remembers each stage's time for the next run's ETA."""

    def __init__(self, stages: list[str], memory: Path) -> None:
        self.stages, self.memory = stages, memory
        self.seconds: dict[str, float] = {}
        self.expected = {**EXPECTED_S, **(json.loads(memory.read_text()) if memory.exists() else {})}
        self.printed_at = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator["Progress"]:
        self.name, self.started = name, time.monotonic()
        self.detail, self.share, self.printed_at = "", 0.0, 0.0
        yield self
        self.seconds[name] = round(time.monotonic() - self.started, 2)
        self._write(f"{self.seconds[name]:.1f} s  {self.detail}", last=True)
        self.memory.parent.mkdir(parents=True, exist_ok=True)
        self.memory.write_text(json.dumps({**self.expected, **self.seconds}))

    def tick(self, detail: str = "", eta_s: float | None = None) -> None:
        """Show that the stage goes on; without an ETA of its own the last run's duration gives one."""
        self.detail = detail or self.detail
        now = time.monotonic()
        if now - self.printed_at < (0.5 if sys.stdout.isatty() else 5.0):
            return
        self.printed_at = now
        elapsed = now - self.started
        left = self.expected[self.name] - elapsed if eta_s is None else eta_s
        late = "longer than expected" if eta_s is None else "nearly done"  # then nobody knows how long
        eta = f"ETA {left:.0f} s" if left > 0 else late
        self._write(f"{elapsed:.0f} s, {eta}  {self.detail}", last=False)

    def _write(self, text: str, *, last: bool) -> None:
        line = f"[{self.stages.index(self.name) + 1}/{len(self.stages)}] {self.name:9} {text}"
        if sys.stdout.isatty():
            sys.stdout.write(f"\r\x1b[K{line}" + ("\n" if last else ""))
        else:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
