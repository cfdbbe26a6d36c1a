"""Install the pinned requirements a few at a time and say how far it is; run by the Python of `.venv`.

Standard library only: nothing is installed yet. Every step is bound by all the pins (a constraint file), and
the last step resolves everything at once, so the result is what one `pip install -r` of all files gives.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

FIRST = "torch"  # its wheel decides what others need, and it alone may come from TORCH_INDEX_URL
# Seconds a package took on two cores and a fast line; what is not named takes about one. Once something has
# been installed only ratios matter, and the seconds of an earlier run replace these.
TYPICAL_S = {
    "torch": 75.0, "ccxt": 8.0, "numba": 8.0, "pandas": 8.0, "pyarrow": 8.0, "scipy": 8.0, "playwright": 8.0,
    "mypy": 5.0, "tensorboard": 5.0, "django": 4.0, "stable-baselines3": 4.0, "numpy": 4.0,
    "django-unfold": 3.0, "drf-spectacular-sidecar": 3.0, "schemathesis": 3.0, "hypothesis": 2.0, "ruff": 2.0,
}  # fmt: skip
STEP_S = 4.0  # small packages go together up to so many expected seconds: each pip costs time itself
LAST_S = 5.0
DOUBT_S = 20.0  # so much must have been seen before the pace seen counts as much as the expected one
MOST_S = 20.0  # one download, like torch's, says little about the others


def pins(files: list[Path]) -> list[str]:
    """Return the pinned requirements of the files in order, torch first."""
    lines = [line.partition("#")[0].strip() for file in files for line in file.read_text().splitlines()]
    found = [line for line in lines if "==" in line]
    return sorted(found, key=lambda pin: name_of(pin) != FIRST)


def name_of(pin: str) -> str:
    """Return the package's name without extras and version, in lower case."""
    return re.split(r"[\[=]", pin)[0].strip().lower()


def steps(found: list[str], expected: Callable[[str], float]) -> Iterator[list[str]]:
    """Group pins, in order, into steps of about STEP_S; torch and other large ones stand alone."""
    step: list[str] = []
    for pin in found:
        alone = name_of(pin) == FIRST or expected(pin) >= STEP_S
        if step and (alone or sum(map(expected, step)) + expected(pin) > STEP_S):
            yield step
            step = []
        step.append(pin)
        if alone:
            yield step
            step = []
    if step:
        yield step


def left_s(spent_s: float, done: float, left: float, step_s: float, step: float) -> float:
    """Return how long the rest takes: as expected at first, more and more at the pace seen.

    :param spent_s, done: seconds that finished steps took, and their expected ones.
    :param left: expected seconds of what is not done, the step at work included.
    :param step_s, step: seconds the step at work has taken, and its expected ones.
    """
    pace = max((spent_s + DOUBT_S) / (done + DOUBT_S), step_s / step)
    return max(0.0, pace * left - min(step_s, pace * step))


class Setup:
    """Runs the steps and prints one line for each, kept up to date on a terminal."""

    def __init__(self, found: list[str], memory: Path, pip: list[str], *, is_live: bool) -> None:
        self.found, self.memory, self.pip, self.is_live = found, memory, pip, is_live
        self.measured = json.loads(memory.read_text()) if memory.exists() else {}
        self.began, self.count, self.done, self.spent = time.monotonic(), 0, 0.0, 0.0
        self.seconds: dict[str, float] = {}

    def expected(self, pin: str) -> float:
        name = name_of(pin)
        return max(0.1, self.measured.get(name, TYPICAL_S.get(name, 1.0)))

    def run(self, files: list[Path], index: str) -> int:
        """Return pip's exit status, 0 when everything is installed and fits together."""
        with tempfile.TemporaryDirectory() as folder:
            bounds = Path(folder) / "constraints.txt"
            bounds.write_text("".join(re.sub(r"\[.*?\]", "", pin) + "\n" for pin in self.found))
            for step in steps(self.found, self.expected):
                is_elsewhere = index and name_of(step[0]) == FIRST
                source = ["--index-url", index] if is_elsewhere else ["-c", str(bounds)]
                status = self._step(step, ["install", "-q", *source, *step])
                if status:
                    return status
        wanted = [part for file in files for part in ("-r", str(file))]
        status = self._step([], ["install", "-q", *wanted]) or self._pip(["check"], lambda: None)
        if not status:
            self.memory.write_text(json.dumps(self.seconds))
            self._line(
                f"[setup] {len(self.found)} packages in {time.monotonic() - self.began:.0f} s", last=True
            )
        return status

    def _step(self, step: list[str], arguments: list[str]) -> int:
        began = time.monotonic()
        cost = sum(map(self.expected, step)) or LAST_S
        left = sum(map(self.expected, self.found[self.count :])) + LAST_S
        words = ", ".join(map(name_of, step)) or "checking that all fit together"
        at = f"{self.count + len(step)}/{len(self.found)}"

        def show(last: bool = False) -> None:
            now = time.monotonic()
            rest = left_s(self.spent, self.done, left, now - began, cost)
            ahead = f"about {rest:.0f} s left" if rest >= 1 else "nearly done"
            self._line(f"[setup] {at} {words} … elapsed {now - self.began:.0f} s, {ahead}", last=last)

        show()
        status = self._pip(arguments, show)
        took = time.monotonic() - began
        self.seconds |= {name_of(pin): took * self.expected(pin) / cost for pin in step}
        told = min(1.0, MOST_S / cost)
        self.count, self.done, self.spent = (
            self.count + len(step), self.done + cost * told, self.spent + took * told,
        )  # fmt: skip
        return status

    def _pip(self, arguments: list[str], tick: Callable[[], None]) -> int:
        """Run pip quietly; what it says is shown only when it fails."""
        with tempfile.TemporaryFile() as said:
            command = [*self.pip, *arguments]
            with subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as process:  # noqa: S603  pip
                shown = time.monotonic()
                while process.poll() is None:
                    time.sleep(0.1)
                    if time.monotonic() - shown >= (1.0 if self.is_live else 15.0):
                        shown = time.monotonic()
                        tick()
            if process.returncode:
                said.seek(0)
                words = said.read().decode(errors="replace").strip()
                sys.stdout.write(f"\n{words}\n[setup] failed: pip {arguments[0]} ended with an error\n")
        return process.returncode

    def _line(self, text: str, *, last: bool) -> None:
        if self.is_live:
            sys.stdout.write(f"\r\x1b[K{text[:160]}" + ("\n" if last else ""))
        else:
            sys.stdout.write(text + "\n")
        sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="requirement files with pins")
    files = parser.parse_args(arguments).files
    memory = Path(sys.prefix) / "setup-seconds.json"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    setup = Setup(pins(files), memory, pip, is_live=sys.stdout.isatty())
    try:
        return setup.run(files, os.environ.get("TORCH_INDEX_URL", ""))
    except KeyboardInterrupt:
        sys.stdout.write("\n[setup] interrupted; the next `make setup` goes on\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
