"""Runs of a benchmark in processes of their own: each has one thread, and Django of its own."""

import gc
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple


class Quiet:
    """Hears a training run and says nothing."""

    def progress(self, **figures: Any) -> None: ...
    def metric(self, step: int, values: dict[str, float]) -> None: ...
    def checkpointed(self, step: int) -> None: ...
    def validated(self, step: int, view: dict[str, Any]) -> None: ...
    def note(self, sentence: str) -> None: ...
    def is_stop_wanted(self) -> bool:
        return False


def each(function: Callable[[Any], Any], jobs: Iterable[Any], processes: int) -> Iterator[Any]:
    """Yield what a module's function makes of each job, in their order."""
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in the middle
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin) as pool:
        yield from pool.map(function, jobs)


def _begin() -> None:
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import django

    django.setup()


class Took(NamedTuple):
    seconds: float  # of the clock
    cpu_seconds: float  # of a processor: what a quiet machine would take with one thread


def trained(spec: Any, ready: Any, name: str = "") -> tuple[Any, Any, Took]:
    """Return the policy that a training run leaves, its outcome, and how long it took."""
    from agents.artefacts import policy_of
    from agents.rl.training import card_part, learn

    began, worked = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        outcome = learn(spec, ready, Path(folder), Quiet())
    took = Took(time.perf_counter() - began, time.process_time() - worked)
    policy = policy_of(card_part(spec, ready), outcome.network, name=name, policy_hash=outcome.network.hash)
    gc.collect()  # learners hold themselves in circles, and few large arrays never make Python look
    return policy, outcome, took
