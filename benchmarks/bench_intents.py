"""From the tick that closes a bar to the committed intents on it: real runner, threads, database and sandbox.

Sessions share one 64x64 model, three to an account, and draw a trade at about `trades` of their decisions. A
bar closes every `bar_s` seconds of real time. An intent counts from the moment the prices that close its bar
have come until its transaction is committed; the bars themselves are asked for over HTTP in between.

`intent_ms_*` is of every intent, `last_ms_*` of the last one of each close, `decided_ms_*` until all sessions
have decided on a close. `gc_ms_max` is the longest pause of the garbage collector behind the start.
"""

import gc
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil

from benchmarks.bench_decide import scratch_database
from benchmarks.bench_soak import DAY, HOUR, make_sessions, sandbox, var_dir

START_CLOSES = 3  # left out: seats are taken and features warmed up in them


def run(sessions: int = 200, closes: int = 40, trades: float = 0.02, bar_s: float = 5.0) -> dict[str, Any]:
    """Return the figures of so many closes.

    :param trades: about the share of decisions that want another position
    :param bar_s: real seconds between two closes
    """
    count, closes, speed = int(sessions), int(closes), HOUR / 1000 / float(bar_s)
    with scratch_database(), tempfile.TemporaryDirectory() as folder, var_dir(folder):
        days = (closes + 30) * HOUR / DAY
        with sandbox(folder, -(-count // 3), days, speed) as url:
            make_sessions(count, url, float(trades))
            return {"sessions": count, **driven(count, closes)}


class Watch:
    """What the runner was seen to do, each with the monotonic second."""

    def __init__(self) -> None:
        self.ticks: list[tuple[int, float]] = []  # venue ms of the prices, when they came
        self.intents: list[tuple[int, float]] = []  # start of the decided bar, when its intent was committed
        self.decided: dict[int, list[float]] = defaultdict(list)  # the same of every decision
        self.pauses: list[float] = []  # seconds of the garbage collector

    def closed_s(self, bar_ms: int) -> float:
        """Return when the first prices behind a bar's close came."""
        return next(at_s for at_ms, at_s in self.ticks if at_ms >= bar_ms + HOUR)


@contextmanager
def watched() -> Iterator[Watch]:
    """Note what happens in the runner of this process."""
    from trading import acting, deciding, orders
    from trading.runner.desk import Desk

    seen, began_s = Watch(), time.monotonic()
    take, send, decide = Desk._take, orders.send, deciding.decide

    def taking(desk: Desk, quotes: Any, at_ms: int) -> None:
        seen.ticks.append((at_ms, time.monotonic()))
        take(desk, quotes, at_ms)

    def sending(order: Any, **given: Any) -> Any:
        if order.decision is not None:
            seen.intents.append((order.decision.bar_ms, time.monotonic()))
        return send(order, **given)

    def deciding_on(seat: Any, quote: Any, bar_ms: int, *rest: Any) -> None:
        decide(seat, quote, bar_ms, *rest)
        seen.decided[bar_ms].append(time.monotonic())

    def pausing(phase: str, _info: Any) -> None:
        nonlocal began_s
        if phase == "stop":
            seen.pauses.append(time.monotonic() - began_s)
        began_s = time.monotonic()

    Desk._take, acting.orders.send, deciding.decide = taking, sending, deciding_on  # type: ignore[method-assign,assignment]
    gc.callbacks.append(pausing)
    try:
        yield seen
    finally:
        gc.callbacks.remove(pausing)
        Desk._take, acting.orders.send, deciding.decide = take, send, decide  # type: ignore[method-assign]


def driven(count: int, closes: int) -> dict[str, Any]:
    """Let a runner drive everything there is until all have decided on so many bars."""
    from trading.runner.loop import Runner, settle_memory

    settle_memory()
    end, process = threading.Event(), psutil.Process()
    with watched() as seen:
        runner = Runner(must_end=end.is_set)
        thread = threading.Thread(target=runner.run, args=(36_000.0,))
        thread.start()
        try:
            _until(lambda: _whole(seen, count) >= START_CLOSES, thread)
            begun, seen.pauses = set(seen.decided), []
            cpu_s, began_s = _cpu_s(process), time.monotonic()
            _until(lambda: _whole(seen, count) >= START_CLOSES + closes, thread)
            cpu_s, past_s = _cpu_s(process) - cpu_s, time.monotonic() - began_s
        finally:
            end.set()
            thread.join()
    return figures(seen, begun, count) | {"cpu_share": cpu_s / past_s}


def figures(seen: Watch, begun: set[int], count: int) -> dict[str, Any]:
    """Return the figures of the closes on which all decided.

    :param begun: bars to leave out
    """
    whole = [bar for bar, at in seen.decided.items() if bar not in begun and len(at) == count]
    intents = defaultdict(list)
    for bar, at_s in seen.intents:
        if bar in whole:
            intents[bar].append(1000 * (at_s - seen.closed_s(bar)))
    ms = [value for values in intents.values() for value in values]
    decided = [1000 * (max(seen.decided[bar]) - seen.closed_s(bar)) for bar in whole]
    return {
        "closes": len(whole),
        "intents": len(ms),
        "intents_per_close": len(ms) / max(len(whole), 1),
        **_spread("intent_ms", ms),
        **_spread("first_ms", [min(values) for values in intents.values()]),
        **_spread("last_ms", [max(values) for values in intents.values()]),
        **_spread("decided_ms", decided),
        "gc_ms_max": 1000 * max(seen.pauses, default=0.0),
        "gc_ms": 1000 * sum(seen.pauses),
    }


def _spread(name: str, values: list[float]) -> dict[str, float]:
    """Return median, p99 and the largest of some figures; none of them where there are none."""
    if not values:
        return {}
    p50, p99 = np.percentile(values, (50, 99))
    return {f"{name}_p50": float(p50), f"{name}_p99": float(p99), f"{name}_max": max(values)}


def _whole(seen: Watch, count: int) -> int:
    """Return on how many bars every session has decided."""
    return sum(len(at) == count for at in list(seen.decided.values()))


def _until(is_so: Callable[[], bool], thread: threading.Thread) -> None:
    while not is_so():
        if not thread.is_alive():
            raise RuntimeError("the runner has ended by itself")
        time.sleep(0.5)


def _cpu_s(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])
