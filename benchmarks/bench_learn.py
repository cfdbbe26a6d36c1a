"""Whether agents learn: their share of the known optimum of planted markets, over seeds."""

import math
import re
import statistics
import sys
from typing import Any

from benchmarks import budgets
from benchmarks.pool import each, trained
from market.errors import BadInput
from market.planted import PLANTED

YEAR = 525_600
PRESET = "default-1m"
SHIPPED = [name for name in PLANTED if not name.endswith("-easy")]


def run(
    seeds: int | str = 5, steps: int | str = 0, bars: int | str = YEAR, test_bars: int | str = YEAR,
    processes: int | str = 2, markets: str = "", vary: str = "", algorithm: str = "",
    first_seed: int | str = 0, path: int | str = 0,
) -> dict[str, Any]:  # fmt: skip
    """Return one row per market and seed, and the median and worst share per market.

    Another seed is another path to learn from and other random numbers of the learner; all are scored on one
    fresh path. Every row is the preset `default-1m` with fast PPO, or where algorithms are named each of them
    within its budget (benchmarks/budgets.py) on the easy market, beside cash and trading at random.

    Settings are chosen by other seeds and another fresh path than the record's: of many settings, the one
    that looks best is partly the luckiest.

    :param steps: decisions of a run; the preset's or the budget's when 0
    :param bars: one-minute bars to learn from; those that judge the preset come behind them. Algorithms have
        the judging part within them
    :param markets: some of them, with commas; all when empty
    :param vary: settings to compare, as `key=value,key=value;key=value`: each variant laid over the preset,
        so that seconds and share show which setting reaches a score first
    :param algorithm: one or several with commas, or `all`
    :param first_seed: of the runs; the record's are 0, 1 and so on
    :param path: seed of the fresh path; the record's when 0
    """
    first, fresh = _whole(first_seed, "first_seed"), _whole(path, "path")
    from agents.spec import PRESETS

    if algorithm:
        if markets or vary or first or fresh:
            raise BadInput(
                "algorithms are measured on the easy market and the record's seeds: "
                "leave markets, vary, first_seed and path out",
                "set",
            )
        return _algorithms(algorithm, int(seeds), int(steps), int(bars), int(processes))
    asked = markets.split(",") if markets else SHIPPED
    if unknown := set(asked) - set(PLANTED):
        raise BadInput(f"there is no planted market {min(unknown)!r}; there are {', '.join(PLANTED)}", "set")
    size = (int(steps) or PRESETS[PRESET]["steps"], int(bars), int(test_bars))
    asked_seeds = range(first, first + int(seeds))
    if fresh and fresh in {1 + seed for seed in asked_seeds}:
        raise BadInput(f"path {fresh} is one that a run learns from: choose another", "set")
    variants = vary.split(";")
    jobs = [
        (name, seed, *size, variant, fresh) for name in asked for variant in variants for seed in asked_seeds
    ]
    rows = _told(each(learned, jobs, int(processes)), len(jobs))
    return {"rows": rows, "summary": [_summary(name, how, rows) for name in asked for how in variants]}


def _whole(value: int | str, name: str) -> int:
    if not str(value).isdecimal():
        raise BadInput(f"{name} must be a whole number of at least 0, not {value!r}", "set")
    return int(value)


def _told(found: Any, count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row in found:
        rows.append(row)
        share = row["share_of_optimum"]
        shown = "-" if share is None else f"{share:.2f}"
        done = f"{len(rows)}/{count} {row['market']} {row['algorithm']} seed {row['seed']} {row['variant']}"
        sys.stderr.write(f"{done}: {shown} of the optimum, {row['cpu_seconds']:.0f} s of a core\n")
    return rows


def _algorithms(asked: str, seeds: int, steps: int, bars: int, processes: int) -> dict[str, Any]:
    names = list(budgets.BUDGETS) if asked == "all" else asked.split(",")
    if unknown := set(names) - set(budgets.BUDGETS):
        known = ", ".join(budgets.BUDGETS)
        raise BadInput(f"there is no algorithm {min(unknown)!r}; there are all, {known}", "set")
    jobs = [(name, seed, steps, bars) for name in names for seed in range(seeds)]
    rows = _told(each(within_budget, jobs, processes), len(jobs))
    return {"rows": rows, "summary": [_of_algorithm(name, rows) for name in names]}


def _of_algorithm(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    mine = [row for row in rows if row["algorithm"] == name]
    shares = [row["share_of_optimum"] for row in mine]
    return {
        "algorithm": name,
        "steps": mine[0]["steps"],
        "seconds": statistics.median(row["seconds"] for row in mine),
        "cpu_seconds": statistics.median(row["cpu_seconds"] for row in mine),
        "median": statistics.median(shares),
        "worst": min(shares),
        "fills_per_day": statistics.median(row["fills_per_day"] for row in mine),
        "random": max(row["random"] for row in mine),
        "beats_cash_and_random": all(row["share_of_optimum"] > max(0.0, row["random"]) for row in mine),
    }


def _summary(name: str, variant: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    mine = [row for row in rows if (row["market"], row["variant"]) == (name, variant)]
    shares = [row["share_of_optimum"] for row in mine if row["share_of_optimum"] is not None]
    return {
        "market": name,
        "variant": variant,
        "seconds": statistics.median(row["seconds"] for row in mine),
        "cpu_seconds": statistics.median(row["cpu_seconds"] for row in mine),
        "fps": statistics.median(row["steps"] / row["seconds"] for row in mine),
        "median": statistics.median(shares) if shares else None,
        "worst": min(shares, default=None),
        "fills_per_day": statistics.median(row["fills_per_day"] for row in mine),
        "bp_per_day": statistics.median(row["bp_per_day"] for row in mine),
    }


def learned(job: tuple[str, int, int, int, int, str, int]) -> dict[str, Any]:
    """Return the row of the preset, with the variant's settings, on one market with one seed.

    :param job: market, seed, decisions, bars to learn from, bars of the fresh path, variant, and the fresh
        path's seed or 0 for the record's
    """
    from agents.spec import PRESETS, TrainingSpec, apply_overrides

    name, seed, steps, bars, test_bars, variant, fresh = job
    changed = {"algorithm": "fast_ppo", "steps": steps, "seed": seed, "test_share": 0.0}  # fresh paths test
    spec = TrainingSpec.parse(apply_overrides({**PRESETS[PRESET], **changed}, settings_of(variant)))
    row, _ = _scored(spec, name, whole(bars, spec), test_bars, fresh)
    return {**row, "algorithm": f"fast_ppo {PRESET}", "variant": variant}


def whole(taught: int, spec: Any) -> int:
    """Return how many bars a series has whose part to learn from is `taught` of them."""
    from agents.evaluation.data import split_for

    bars = spec.feature_set().warmup + math.ceil(taught / (1 - spec.validation_share - spec.test_share))
    while True:
        part = split_for(bars, spec)
        missing = taught - (part.train_to - part.train_from)
        if not missing:
            return bars
        bars += missing  # a bar more is one more to learn from or one more that judges, so this arrives


def settings_of(variant: str) -> list[str]:
    """Return a variant's `key=value` pairs; a list in brackets or an object in braces is one value."""
    return re.split(r",(?![^\[]*\])(?![^{]*\})", variant) if variant else []


def within_budget(job: tuple[str, int, int, int]) -> dict[str, Any]:
    """Return the row of an algorithm on the easy market: (name, seed, steps or 0 for its budget, bars).

    `random` is the share of a rule that trades by chance, as often as the agent.
    """
    from agents.evaluation import planted
    from agents.policies import baseline

    name, seed, steps, bars = job
    spec = budgets.spec_of(name, seed, steps)
    row, found = _scored(spec, budgets.MARKET, bars, budgets.TEST_BARS)
    rule = baseline("random", turnover=min(1.0, max(1.0, found.fills_per_day) / 1440))
    chance = planted.score(rule, PLANTED[budgets.MARKET], spec.env_settings(), bars=budgets.TEST_BARS)
    return {**row, "algorithm": name, "variant": "", "random": chance.share_of_optimum}


def _scored(spec: Any, name: str, bars: int, test_bars: int, fresh: int = 0) -> tuple[dict[str, Any], Any]:
    from agents.evaluation import planted
    from agents.evaluation.data import prepared, split_for
    from market.features import compute
    from market.synthetic import MARKETS

    candles = MARKETS[name](bars, 1 + spec.seed)
    ready = prepared(candles, compute(candles, spec.feature_set()), split_for(bars, spec), spec)
    policy, outcome, took = trained(spec, ready, name)
    found = planted.score(
        policy, PLANTED[name], spec.env_settings(), bars=test_bars, seed=fresh or planted.TEST_SEED
    )
    row = {
        "market": name,
        "seed": spec.seed,
        "share_of_optimum": found.share_of_optimum,
        "bp_per_day": found.bp_per_day,
        "fills_per_day": found.fills_per_day,
        "seconds": took.seconds,
        "cpu_seconds": took.cpu_seconds,
        "steps": outcome.steps,
        "best_step": outcome.best_step,
    }
    return row, found
