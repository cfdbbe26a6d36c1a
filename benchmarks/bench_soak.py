"""Hours of a whole live process in minutes: the real runner, its threads and database, the real sandbox.

The sandbox's clock runs `speed` times as fast, bars are an hour long: at 3600 every session decides once a
second, and 30 market days pass in twelve minutes. Sessions share one 64x64 model, three pairs to an account.
`manage.py workers` starts its processes with MALLOC_ARENA_MAX=2; so should who measures memory here.
`growth_mb_per_h` is the slope of this process's memory over the last two thirds, per hour of real time.
`missed_bars` counts bars between a session's first and last decision on which it did not decide.
"""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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

HOUR, DAY = 3_600_000, 86_400_000
PAIRS = ("BTC/USD", "ETH/USD", "SIM/USD")
POLL_S = 0.5  # two looks at every bar: exits act on ticks, decisions on bars
SECRET = "S" * 64
START_MS = 1_704_067_200_000
WARM = 2000  # bars of history before live time begins


def run(sessions: int = 500, days: float = 30.0, speed: float = 3600.0) -> dict[str, Any]:
    """Return the figures of `days` market days of `sessions` sessions."""
    with scratch_database(), tempfile.TemporaryDirectory() as folder, var_dir(folder):
        accounts = -(-int(sessions) // len(PAIRS))
        with sandbox(folder, accounts, float(days), float(speed)) as url:
            make_sessions(int(sessions), url)
            return soaked(float(days) * DAY / 1000 / float(speed))


def soaked(seconds: float) -> dict[str, Any]:
    """Let a runner drive everything there is for so long and return what came of it."""
    from trading.models import Decision, Order
    from trading.runner.loop import Runner

    end, memory = threading.Event(), []
    process = psutil.Process()
    runner = Runner(must_end=end.is_set)
    thread = threading.Thread(target=runner.run, args=(seconds + 3600,))
    thread.start()
    began_s, began_cpu = time.monotonic(), sum(process.cpu_times()[:2])
    while (past_s := time.monotonic() - began_s) < seconds and thread.is_alive():
        memory.append((past_s, process.memory_info().rss / 1e6))
        time.sleep(min(1.0, seconds / 50))
    cpu = sum(process.cpu_times()[:2]) - began_cpu
    end.set()
    thread.join()
    rows = Decision.objects.values("session").annotate(n=Count("id"), a=Min("bar_ms"), b=Max("bar_ms"))
    spans = [(row["n"], (row["b"] - row["a"]) // HOUR + 1) for row in rows]
    latencies = np.array(list(Decision.objects.values_list("latency_us", flat=True))[-100_000:])
    instants = Decision.objects.values_list("bar_ms", "decided_ms")[:100_000]
    late = np.array([decided_ms - bar_ms - HOUR for bar_ms, decided_ms in instants])
    times, rss = np.array(memory).T
    steady = times > times[-1] / 3
    slope = np.polyfit(times[steady] / 3600, rss[steady], 1)[0] if steady.sum() > 2 else 0.0
    decided = sum(n for n, _ in spans)
    return {
        "seconds": round(past_s, 1),
        "market_days": round(float(max(span for _, span in spans) * HOUR / DAY), 2),
        "sessions_deciding": len(spans),
        "decisions_per_s": decided / past_s,
        "missed_bars": int(sum(span - n for n, span in spans)),
        "bars": int(sum(span for _, span in spans)),
        "late_market_s_p50": float(np.median(late)) / 1000,
        "decide_us_p50": float(np.median(latencies)),
        "orders": Order.objects.count(),
        "uncertain": Order.objects.unsettled().count(),
        "turns_per_s": runner.turns / past_s,
        "cpu_share": cpu / past_s,
        "rss_start_mb": float(rss[0]),
        "rss_steady_mb": float(rss[steady][0]),
        "rss_end_mb": float(rss[-1]),
        "growth_mb_per_h": float(slope),
        "threads": threading.active_count(),
        "database_mb": Path(connections["default"].settings_dict["NAME"]).stat().st_size / 1e6,
    }


def make_sessions(count: int, url: str) -> None:
    """Make one owner, a model, an account for every three sessions, and the sessions."""
    from django.contrib.auth import get_user_model

    from trading import accounts
    from trading.models import LiveSession, RiskProfile

    owner = get_user_model().objects.create_user("soak")
    model = trained(owner)
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


def trained(owner: Any) -> Any:
    """Return the row of an untrained 64x64 network, written as training writes one."""
    from agents import artefacts
    from agents.models import TrainedModel
    from market.models import Series

    made = policy(market(4000))
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
