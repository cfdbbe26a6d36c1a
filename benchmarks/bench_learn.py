"""Whether the shipped presets learn: their share of the known optimum of planted markets, over seeds."""

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from market.errors import BadInput
from market.planted import PLANTED

YEAR = 525_600
PRESET = "default-1m"


class Quiet:
    """Hears a training run and says nothing."""

    def progress(self, **figures: Any) -> None: ...
    def metric(self, step: int, values: dict[str, float]) -> None: ...
    def checkpointed(self, step: int) -> None: ...
    def validated(self, step: int, view: dict[str, Any]) -> None: ...
    def is_stop_wanted(self) -> bool:
        return False


def run(
    seeds: int | str = 5, steps: int | str = 3_000_000, bars: int | str = YEAR, test_bars: int | str = YEAR,
    processes: int | str = 2, markets: str = "", vary: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Return one row per market and seed, and the median and worst share per market.

    Another seed is another path to learn from and other random numbers of the learner; all are scored on one
    fresh path. Every row is the preset `default-1m` with fast PPO.

    :param steps: decisions of a run
    :param bars: one-minute bars to learn from, the preset's own validation part included
    :param markets: some of them, with commas; all when empty
    :param vary: settings to compare, as `key=value,key=value;key=value`: each variant laid over the preset,
        so that seconds and share show which setting reaches a score first
    """
    asked = markets.split(",") if markets else list(PLANTED)
    if unknown := set(asked) - set(PLANTED):
        raise BadInput(f"there is no planted market {min(unknown)!r}; there are {', '.join(PLANTED)}", "set")
    size = (int(steps), int(bars), int(test_bars))
    variants = vary.split(";")
    jobs = [
        (name, seed, *size, variant) for name in asked for variant in variants for seed in range(int(seeds))
    ]
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in the middle
    with ProcessPoolExecutor(int(processes), mp_context=context) as pool:
        rows = []
        for row in pool.map(_learned, jobs):
            rows.append(row)
            share = row["share_of_optimum"]
            shown = "-" if share is None else f"{share:.2f}"
            done = f"{len(rows)}/{len(jobs)} {row['market']} seed {row['seed']} {row['variant']}"
            sys.stderr.write(f"{done}: {shown} of the optimum, {row['seconds']:.0f} s\n")
    return {"rows": rows, "summary": [_summary(name, how, rows) for name in asked for how in variants]}


def _summary(name: str, variant: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    mine = [row for row in rows if (row["market"], row["variant"]) == (name, variant)]
    shares = [row["share_of_optimum"] for row in mine if row["share_of_optimum"] is not None]
    return {
        "market": name,
        "variant": variant,
        "seconds": statistics.median(row["seconds"] for row in mine),
        "fps": statistics.median(row["steps"] / row["seconds"] for row in mine),
        "median": statistics.median(shares) if shares else None,
        "worst": min(shares, default=None),
        "fills_per_day": statistics.median(row["fills_per_day"] for row in mine),
        "bp_per_day": statistics.median(row["bp_per_day"] for row in mine),
    }


def _learned(job: tuple[str, int, int, int, int, str]) -> dict[str, Any]:
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import django

    django.setup()
    from agents.artefacts import policy_of
    from agents.evaluation import planted
    from agents.evaluation.data import prepared, split_for
    from agents.rl.training import card_part, learn
    from agents.spec import PRESETS, TrainingSpec, apply_overrides
    from market.features import compute
    from market.synthetic import MARKETS

    name, seed, steps, bars, test_bars, variant = job
    changed = {"algorithm": "fast_ppo", "steps": steps, "seed": seed, "test_share": 0.0}  # fresh paths test
    pairs = variant.split(",") if variant else []
    spec = TrainingSpec.parse(apply_overrides({**PRESETS[PRESET], **changed}, pairs))
    candles = MARKETS[name](bars, 1 + seed)
    ready = prepared(candles, compute(candles, spec.feature_set()), split_for(bars, spec), spec)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        outcome = learn(spec, ready, Path(folder), Quiet())
    seconds = time.perf_counter() - began
    policy = policy_of(card_part(spec, ready), outcome.network, name=name, policy_hash="")
    found = planted.score(policy, PLANTED[name], spec.env_settings(), bars=test_bars)
    return {
        "market": name,
        "variant": variant,
        "algorithm": f"fast_ppo {PRESET}",
        "seed": seed,
        "share_of_optimum": found.share_of_optimum,
        "bp_per_day": found.bp_per_day,
        "fills_per_day": found.fills_per_day,
        "seconds": seconds,
        "steps": outcome.steps,
        "best_step": outcome.best_step,
    }
