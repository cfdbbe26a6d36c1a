"""Hours of a whole live process in minutes: the real runner, its threads and database, the real sandbox.

The sandbox's clock runs `speed` times as fast, bars are an hour long: at 3600 every session decides once a
second, and 30 market days pass in twelve minutes. Sessions share one 64x64 model, three pairs to an account.
`manage.py workers` starts its processes with MALLOC_ARENA_MAX=2; so should who measures memory here.

`decisions_per_s` counts from the first moment on, `steady_*` from when every session has decided: bars on
which a session did not decide since, and processor time for each decision made. `rss_by_day_mb` is this
process's memory at the end of each market day. Growth is the slope of memory over the part of the run behind
`growth_from_day`, when what a session keeps of its latest decisions is full (see `trading.health`), or behind
the first third of a shorter run: per hour of real time, and per hour of the market's.
"""

import math
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings
from django.db import connections
from django.db.models import Count, Max, Min

from benchmarks.bench_decide import market, policy, scratch_database
from benchmarks.bench_sandbox import started
from market.synthetic import regime_market
from trading.health import LOOKED_AT

HOUR, DAY = 3_600_000, 86_400_000
PAIRS = ("BTC/USD", "ETH/USD", "SIM/USD")
POLL_S = 0.5  # two looks at every bar: exits act on ticks, decisions on bars
SECRET = "S" * 64
START_MS = 1_704_067_200_000
WARM = 2000  # bars of history before live time begins


def run(
    sessions: int = 500, days: float = 30.0, speed: float = 3600.0, trades: float = 0.02
) -> dict[str, Any]:
    """Return the figures of `days` market days of `sessions` sessions.

    :param trades: about the share of decisions that want another position; 0.33 is an untrained network's
    """
    with scratch_database(), tempfile.TemporaryDirectory() as folder, var_dir(folder):
        accounts = -(-int(sessions) // len(PAIRS))
        with sandbox(folder, accounts, float(days), float(speed)) as url:
            make_sessions(int(sessions), url, float(trades))
            return soaked(float(days) * DAY / 1000 / float(speed), int(sessions), float(speed))


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a run was when all its sessions had decided."""

    past_s: float
    cpu_s: float
    decisions: int
    bar_ms: int


def soaked(seconds: float, sessions: int, speed: float) -> dict[str, Any]:
    """Let a runner drive everything there is for so long and return what came of it."""
    from trading.models import Order
    from trading.runner.loop import Runner, settle_memory

    settle_memory()  # as `drive` does
    end, memory, mark = threading.Event(), [], None
    process = psutil.Process()
    runner = Runner(must_end=end.is_set)
    thread = threading.Thread(target=runner.run, args=(seconds + 3600,))
    thread.start()
    began_s, began_cpu_s = time.monotonic(), _cpu_s(process)
    while (past_s := time.monotonic() - began_s) < seconds and thread.is_alive():
        memory.append((past_s, process.memory_info().rss / 1e6))
        mark = mark or _mark(past_s, _cpu_s(process), sessions)
        time.sleep(min(1.0, seconds / 50))
    cpu_s, last = _cpu_s(process), _mark(past_s, _cpu_s(process), 0)
    end.set()
    thread.join()
    return {
        "seconds": round(past_s, 1),
        **decided(past_s),
        **(steady(mark, last, sessions) if mark and last else {}),
        "orders": Order.objects.count(),
        "uncertain": Order.objects.unsettled().count(),
        "turns_per_s": runner.turns / past_s,
        "cpu_share": (cpu_s - began_cpu_s) / past_s,
        **growth(np.array(memory), speed),
        "threads": threading.active_count(),
        "database_mb": Path(connections["default"].settings_dict["NAME"]).stat().st_size / 1e6,
    }


def _cpu_s(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def _mark(past_s: float, cpu_s: float, sessions: int) -> Mark | None:
    """Return where the run is; None as long as not so many sessions have taken in a bar."""
    from trading.models import Decision, LiveSession

    if LiveSession.objects.filter(last_bar_ms__gt=0).count() < sessions:
        return None
    newest = Decision.objects.aggregate(Max("bar_ms"))["bar_ms__max"]
    return None if newest is None else Mark(past_s, cpu_s, Decision.objects.count(), newest)


def decided(past_s: float) -> dict[str, Any]:
    """Return the figures of all decisions, the start of the sessions included."""
    from trading.models import Decision

    rows = Decision.objects.values("session").annotate(n=Count("id"), a=Min("bar_ms"), b=Max("bar_ms"))
    spans = [(row["n"], (row["b"] - row["a"]) // HOUR + 1) for row in rows]
    latest = Decision.objects.order_by("-id").values_list("latency_us", "bar_ms", "decided_ms")[:100_000]
    latency_us, bar_ms, decided_ms = np.array(latest, dtype=np.int64).T
    return {
        "market_days": round(float(max(span for _, span in spans) * HOUR / DAY), 2),
        "sessions_deciding": len(spans),
        "decisions": sum(n for n, _ in spans),
        "decisions_per_s": sum(n for n, _ in spans) / past_s,
        "missed_bars": int(sum(span - n for n, span in spans)),
        "bars": int(sum(span for _, span in spans)),
        "late_market_s_p50": float(np.median(decided_ms - bar_ms - HOUR)) / 1000,
        "decide_us_p50": float(np.median(latency_us)),
    }


def steady(mark: Mark, last: Mark, sessions: int) -> dict[str, Any]:
    """Return the figures from when every session had decided; the bar that just closes is left out."""
    from trading.models import Decision

    until_ms, count = last.bar_ms - HOUR, last.decisions - mark.decisions
    bars = sessions * (until_ms - mark.bar_ms) // HOUR
    made = Decision.objects.filter(bar_ms__gt=mark.bar_ms, bar_ms__lte=until_ms).count()
    return {
        "steady_from_s": round(mark.past_s, 1),
        "steady_decisions_per_s": count / max(last.past_s - mark.past_s, 1e-9),
        "steady_bars": bars,
        "steady_missed_bars": bars - made,
        "steady_cpu_ms_per_decision": 1000 * (last.cpu_s - mark.cpu_s) / max(count, 1),
    }


def growth(memory: np.ndarray, speed: float) -> dict[str, Any]:
    """Return what memory did; rows are (seconds, MB)."""
    times_s, rss = memory.T
    days = times_s * speed * 1000 / DAY
    full_day = 2.0 + LOOKED_AT * HOUR / DAY  # two for the start
    from_day = full_day if days[-1] > 2 * full_day else days[-1] / 3
    settled = days >= from_day
    slope = np.polyfit(times_s[settled] / 3600, rss[settled], 1)[0] if settled.sum() > 2 else 0.0
    ends = np.searchsorted(days, np.arange(1, int(days[-1]) + 1))
    return {
        "rss_start_mb": float(rss[0]),
        "rss_by_day_mb": [round(float(rss[at]), 1) for at in ends],
        "rss_end_mb": float(rss[-1]),
        "growth_from_day": round(float(from_day), 1),
        "growth_mb": float(rss[-1] - rss[settled][0]),
        "growth_mb_per_h": float(slope),
        "growth_mb_per_market_h": float(slope) / speed,
    }


def make_sessions(count: int, url: str, trades: float) -> None:
    """Make one owner, a model, an account for every three sessions, and the sessions."""
    from django.contrib.auth import get_user_model

    from trading import accounts
    from trading.models import LiveSession, RiskProfile

    owner = get_user_model().objects.create_user("soak")
    model = trained(owner, trades)
    limits = {"stop_loss": 0.0, "daily_loss": 0.0, "max_drawdown": 0.0, "max_stale_s": 86_400.0}
    risk = RiskProfile.objects.create(owner=owner, name="soak", **limits)
    for k in range(count):
        if k % len(PAIRS) == 0:
            account = accounts.create_account(
                owner=owner, name=f"soak {k}", venue="roostoo", base_url=url, candles_url=url,
                key=key(k // len(PAIRS)), secret=SECRET, calls_per_minute=6000, poll_s=POLL_S,
            )  # fmt: skip
        LiveSession.objects.create(
            owner=owner, name=f"soak {k}", model=model, account=account, pair=PAIRS[k % len(PAIRS)],
            interval_ms=HOUR, risk=risk, capital=Decimal(10_000), settings={"sample": True, "seed": k},
        )  # fmt: skip


def key(number: int) -> str:
    return f"K{number:04d}".ljust(64, "k")


def trained(owner: Any, trades: float) -> Any:
    """Return the row of a 64x64 network that draws a trade so often, written as training writes one.

    Of an untrained one's three actions HOLD is made more likely: at any time one of the others is a trade.
    """
    from agents import artefacts
    from agents.models import TrainedModel
    from market.models import Series

    made = policy(market(4000))
    made.network.actor[-1][1][0] += math.log(max(1 / trades - 2, 1e-9))
    card = {
        "feature_set": made.observation.feature_set.to_json(),
        "scaler": made.observation.scaler.to_json(),
        "window": made.observation.window,
        "bars_scale": made.observation.bars_scale,
        "action": made.action_spec.to_dict(),
        "decision_every": 1,
    }
    file_hash = artefacts.write("models/soak", card=card, network=made.network, policy_zip=b"")
    series = Series.objects.create(source="soak", pair=PAIRS[0], interval_ms=HOUR)
    return TrainedModel.objects.create(
        owner=owner, name="soak", algorithm="ppo", spec={}, feature_set=card["feature_set"],
        feature_set_hash=made.observation.feature_set.hash, scaler=card["scaler"], series=series,
        train_from_ms=0, train_to_ms=1, valid_to_ms=2, data_fingerprint="-", code_version="-",
        path="models/soak", file_hash=file_hash,
    )  # fmt: skip


@contextmanager
def sandbox(folder: str, accounts: int, days: float, speed: float) -> Iterator[str]:
    arguments = ["--state", str(Path(folder) / "sandbox"), "--speed", str(speed), "--no-rate-limit"]
    for number, pair in enumerate(PAIRS):
        arguments += ["--feed", f"replay:{candles(folder, number, days)}@{pair}"]
    arguments += ["--start", str(START_MS + WARM * HOUR)]
    for number in range(accounts):
        arguments += ["--account", f"{key(number)}:{SECRET}:50000"]
    process, port = started(arguments)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def candles(folder: str, number: int, days: float) -> Path:
    """Write a market of hourly bars that lasts twice as long as the soak; return its file."""
    made = regime_market(
        bars=WARM + int(days * 48) + 100, seed=number, interval_ms=HOUR, start_ms=START_MS,
        start_price=(60_000.0, 2_500.0, 100.0)[number],
    )  # fmt: skip
    columns = {name: getattr(made, name) for name in ("open", "high", "low", "close", "volume")}
    path = Path(folder) / f"{number}.parquet"
    pq.write_table(pa.table({"open_time": made.open_ms, **columns}), path)
    return path


@contextmanager
def var_dir(folder: str) -> Iterator[None]:
    ordinary, settings.VAR_DIR = settings.VAR_DIR, Path(folder)
    try:
        yield
    finally:
        settings.VAR_DIR = ordinary
