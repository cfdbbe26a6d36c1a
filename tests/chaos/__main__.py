"""`python -m tests.chaos --runs N --seed S`: chaos runs, several worlds at once, one JSON line per run.

Every run is a plan that follows from its seed. Exit status 1 when any promise was broken; the folder of the
world is kept then, and `--runs 1 --seed SEED` repeats the plan of the run that failed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradebot.settings")
ROOT = Path(__file__).resolve().parents[2]
RUNS_OF_A_WORLD = 25
KINDS = ("lost", "doubled", "invented")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next takes the next (1)")
    parser.add_argument("--worlds", type=int, default=1, help="how many sets of processes side by side (1)")
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "chaos", help="state of the worlds")
    parser.add_argument("--results", type=Path, help="file to append the JSON lines to, besides the output")
    parser.add_argument("--database", default="", help="postgresql://… of a server; empty means SQLite")
    parser.add_argument("--keep", action="store_true", help="keep the worlds' folders")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)  # a world's own process
    given = parser.parse_args()
    if given.inside:
        return inside(given)
    if given.runs < 1 or given.worlds < 1:
        parser.error("--runs and --worlds must be at least 1")
    return outside(given)


# --- one process per world: its environment is the world's


def inside(given: argparse.Namespace) -> int:
    """Carry out the runs of one world; a JSON line for each."""
    import django

    django.setup()
    from tests.chaos.plan import plan_of
    from tests.chaos.run import Run
    from tests.chaos.world import World, prepare, wait_until

    prepare(given.folder)
    with World(given.folder, given.runs) as world:
        if not wait_until(lambda: world.logged("workers ready"), 120):
            sys.stderr.write("the workers did not start\n")
            return 1
        for number in range(given.runs):
            outcome = Run(world, plan_of(given.seed + number), number).carry_out()
            sys.stdout.write(json.dumps(outcome.as_dict()) + "\n")
            sys.stdout.flush()
    return 0


# --- the command: shares the seeds out among worlds


class Summary:
    """The outcomes of all worlds so far."""

    def __init__(self, results: TextIO | None) -> None:
        self.outcomes: list[dict[str, Any]] = []
        self.failed_worlds: list[str] = []
        self._lock, self._results, self._began_s = threading.Lock(), results, time.monotonic()

    def take(self, line: str) -> None:
        with self._lock:
            outcome = json.loads(line)
            self.outcomes.append(outcome)
            sys.stdout.write(line)
            sys.stdout.flush()
            if self._results is not None:
                self._results.write(line)
                self._results.flush()

    def as_dict(self) -> dict[str, Any]:
        counts: Counter[str] = Counter()
        statuses: Counter[str] = Counter()
        for one in self.outcomes:
            counts.update(one["counts"])
            statuses.update(one["statuses"])
        struck = [pair for one in self.outcomes for pair in one["struck"]]
        met = [pair for pair in struck if not pair.endswith("(missed)")]
        return {
            "runs": len(self.outcomes),
            "violations": sum(len(one["violations"]) for one in self.outcomes),
            "failed_seeds": [one["seed"] for one in self.outcomes if one["violations"]],
            "failed_worlds": self.failed_worlds,
            **{kind: counts[kind] for kind in KINDS},
            "orders": counts["orders"],
            "by_hand": counts["by_hand"],
            "statuses": dict(statuses),
            "episodes": len(struck),
            "episodes_struck": len(met),
            "combinations": len(set(met)),
            "seconds": round(time.monotonic() - self._began_s, 1),
            "seconds_per_run": round(
                sum(one["seconds"] for one in self.outcomes) / max(1, len(self.outcomes)), 1
            ),
        }


def outside(given: argparse.Namespace) -> int:
    given.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        results = stack.enter_context(given.results.open("a")) if given.results else None
        summary = Summary(results)
        batches = list(range(given.seed, given.seed + given.runs, RUNS_OF_A_WORLD))
        last = given.seed + given.runs
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    if not batches:
                        return
                    first = batches.pop(0)
                live_through(given, first, min(RUNS_OF_A_WORLD, last - first), summary)

        workers = [threading.Thread(target=work) for _ in range(given.worlds)]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        told = summary.as_dict()
        sys.stdout.write(json.dumps(told) + "\n")
    return 0 if told["runs"] == given.runs and not told["violations"] and not told["failed_worlds"] else 1


def live_through(given: argparse.Namespace, seed: int, runs: int, summary: Summary) -> None:
    """Make a world, carry out its runs in a process of its own, forget it unless something was wrong."""
    import django

    django.setup()
    from tests.chaos import database
    from tests.chaos.world import environment

    folder = given.folder / f"world-{seed}-{os.getpid()}"
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        url = given.database
        if url:
            url = stack.enter_context(database.of_its_own(url, f"chaos_{seed}_{os.getpid()}"))
        command = [sys.executable, "-m", "tests.chaos", "--inside", "--runs", str(runs), "--seed", str(seed)]
        whole = environment(folder, url)
        log = stack.enter_context((folder / "world.log").open("ab"))
        process = stack.enter_context(subprocess.Popen(
            [*command, "--folder", str(folder)], cwd=ROOT, env=whole, stdout=subprocess.PIPE, stderr=log,
            text=True,
        ))  # fmt: skip
        wrong = 0
        for line in process.stdout or ():
            summary.take(line)
            wrong += bool(json.loads(line)["violations"])
        status = process.wait()
    if status:
        summary.failed_worlds.append(str(folder))
    if not (status or wrong or given.keep):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
