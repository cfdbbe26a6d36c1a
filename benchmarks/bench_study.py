"""What presets should be: candidates on real candles, chosen by later data, tested on still later.

Every candidate learns in every walk-forward window of every series with every seed. The one with the best
mean score on the validation parts wins; only then are the test parts opened, for the winner, the preset as
it was before the study and as it is, beside cash, buy and hold and a crossover of averages, on the same bars.
"""

import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from benchmarks.candidates import Study, study_of
from benchmarks.intervals import by_day, mean_interval, pooled
from benchmarks.pool import each, trained
from market.errors import BadInput

RULES = ("cash", "buy_and_hold", "sma_crossover")
INTERVALS = ("1m", "5m", "1h")
JUDGED = 5  # times that a run is judged on its validation part


def run(
    interval: str = "1h", data: str = "", seeds: int | str = 3, steps: int | str = 0, windows: int | str = 0,
    candidates: str = "", processes: int | str = 1,
) -> dict[str, Any]:  # fmt: skip
    """Return what each candidate scored on the validation parts, and the chosen one's test.

    :param interval: 1m, 5m or 1h
    :param data: folder of the candle files; ../shared/data when empty
    :param steps: decisions of a run, :param windows: of each series; the study's own when 0
    :param candidates: some of them, with commas; all when empty
    """
    if interval not in INTERVALS:
        raise BadInput(f"there are studies of {', '.join(INTERVALS)}, not of {interval!r}", "set")
    study = study_of(interval)
    names = candidates.split(",") if candidates else list(study.changes)
    if unknown := set(names) - set(study.changes):
        raise BadInput(f"there is no candidate {min(unknown)!r}; there are {', '.join(study.changes)}", "set")
    folder = Path(data) if data else settings.BASE_DIR.parent / "shared" / "data"
    files = [folder / f"{name}.parquet" for name in study.files]
    if missing := [path for path in files if not path.exists()]:
        return {"skipped": f"{missing[0]} is not on this machine: the study needs real candles"}
    parts = [(path, window) for path in files for window in range(int(windows) or study.windows)]
    size = (int(windows) or study.windows, int(steps) or study.steps)
    jobs = [
        (study, name, str(path), window, *size, seed)
        for name in names
        for path, window in parts
        for seed in range(int(seeds))
    ]
    learned = _told(each(learn_one, jobs, int(processes)), len(jobs))
    judged = [_validation(name, learned) for name in names]
    winner = max(judged, key=lambda row: row["score"])["candidate"]
    opened = sorted({winner, study.before, "preset"} & set(names))
    tested = [(study, opened, row) for row in learned if row["candidate"] in opened]
    ran = list(each(open_one, tested, int(processes)))
    rules = [(study, opened, rule, str(path), window, size[0]) for rule in RULES for path, window in parts]
    ran += list(each(rule_one, rules, int(processes)))
    return {
        "study": interval,
        "preset": study.preset,
        "series": list(study.files),
        "windows": size[0],
        "steps": size[1],
        "seeds": int(seeds),
        "runs": len(jobs),
        "validation": judged,
        "chosen": winner,
        "test": [_test(name, ran) for name in [*RULES, *opened]],
    }


def _told(found: Any, count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row in found:
        rows.append(row)
        place = f"{row['candidate']} {Path(row['path']).stem} window {row['window']} seed {row['seed']}"
        sys.stderr.write(f"{len(rows)}/{count} {place}: score {row['score']:.2f}, {row['seconds']:.0f} s\n")
    return rows


def _validation(name: str, learned: list[dict[str, Any]]) -> dict[str, Any]:
    mine = [row for row in learned if row["candidate"] == name]
    by_seed: dict[int, list[float]] = {}
    for row in mine:
        by_seed.setdefault(row["seed"], []).append(row["score"])
    scores = [statistics.mean(values) for values in by_seed.values()]
    return {
        "candidate": name,
        "score": statistics.mean(scores),
        "score_of_seeds": [min(scores), max(scores)],
        **_figures(mine),
        "seconds": statistics.median(row["seconds"] for row in mine),
    }


def _test(name: str, ran: list[dict[str, Any]]) -> dict[str, Any]:
    mine = [row for row in ran if row["candidate"] == name]
    days, held = pooled([(row["seed"], row["days"]) for row in ran if row["candidate"] == "buy_and_hold"])
    same, returns = pooled([(row["seed"], row["days"]) for row in mine])
    if days != same:
        raise RuntimeError("policies were tested on different days")
    deviation = float(returns.mean(0).std(ddof=1))
    return {
        "candidate": name,
        "days": len(days),
        **_figures(mine),
        "interval_bp_per_day": _in_bp(returns),
        "less_hold_bp_per_day": 1e4 * float((returns - held).mean()),
        "interval_less_hold": _in_bp(returns - held),
        "sharpe": float(returns.mean()) / deviation * 365**0.5 if deviation > 0 else None,
    }


def _figures(mine: list[dict[str, Any]]) -> dict[str, Any]:
    _, returns = pooled([(row["seed"], row["days"]) for row in mine])
    each_seed = 1e4 * returns.mean(1)
    return {
        "bp_per_day": float(each_seed.mean()),
        "seeds_bp_per_day": [float(each_seed.min()), float(each_seed.max())],
        "fills_per_day": statistics.mean(row["fills_per_day"] for row in mine),
        "exposure": statistics.mean(row["exposure"] for row in mine),
    }


def _in_bp(returns: np.ndarray) -> list[float]:
    return [1e4 * bound for bound in mean_interval(returns)]


def learn_one(job: tuple[Study, str, str, int, int, int, int]) -> dict[str, Any]:
    """Train one candidate in one window with one seed and judge it on the validation part."""
    from agents.evaluation.data import prepared, split_for
    from agents.evaluation.score import validation_run
    from agents.rl.training import card_part
    from market.features import compute

    study, name, path, window, windows, steps, seed = job
    spec = _spec(study, name, steps, seed)
    candles = _window(study, path, window, windows)
    parts = split_for(len(candles), spec)
    seen = candles[: parts.valid_to]
    ready = prepared(seen, compute(seen, spec.feature_set()), parts, spec)
    policy, outcome, took = trained(spec, ready, name)
    return {
        **_ran(validation_run(policy, ready, spec), name, path, window, seed),
        "score": float(outcome.metrics["score"]),
        "windows": windows,
        "steps": steps,
        "seconds": took.seconds,
        "card": card_part(spec, ready),
        "weights": outcome.network.to_arrays(),
    }


def open_one(job: tuple[Study, list[str], dict[str, Any]]) -> dict[str, Any]:
    """Run what `learn_one` left over the test part of its window."""
    from agents.artefacts import mind_of, policy_of

    study, opened, row = job
    policy = policy_of(row["card"], mind_of(row["weights"]), name=row["candidate"], policy_hash="")
    tested = _tested(policy, study, opened, row["path"], row["window"], row["windows"])
    return _ran(tested, row["candidate"], row["path"], row["window"], row["seed"])


def rule_one(job: tuple[Study, list[str], str, str, int, int]) -> dict[str, Any]:
    """Run a fixed rule over the test part of a window."""
    from agents.policies import baseline

    study, opened, rule, path, window, windows = job
    return _ran(_tested(baseline(rule), study, opened, path, window, windows), rule, path, window, 0)


def _spec(study: Study, name: str, steps: int, seed: int) -> Any:
    from agents.spec import TrainingSpec, over_preset

    chosen = {"algorithm": "fast_ppo", "steps": steps, "seed": seed, **study.changes[name]}
    chosen["validate_every"] = chosen["steps"] // JUDGED
    return TrainingSpec.parse(over_preset(study.preset, chosen))


def _window(study: Study, path: str, window: int, windows: int) -> Any:
    """Return the candles of a walk-forward window: those of the candidate judged on most bars, for all."""
    from agents.evaluation.data import judging_of
    from agents.services.experiments import windows_of
    from market import archive

    candles = archive.read_parquet(path)
    begin, end = int(candles.open_ms[0]), int(candles.open_ms[-1]) + candles.interval_ms
    specs = [_spec(study, name, study.steps, 0) for name in study.changes]
    widest = max(specs, key=lambda spec: judging_of(spec)(len(candles)))
    bounded = widest.model_copy(update={"from_ms": begin, "to_ms": end})
    first, last = windows_of(bounded, candles.open_ms, candles.interval_ms, windows)[window]
    return candles.between(first, last)


def _tested(policy: Any, study: Study, opened: list[str], path: str, window: int, windows: int) -> Any:
    """Return a policy's simulation over the bars that are sealed to all opened candidates."""
    from agents.backtest.simulate import simulate
    from agents.decide import Decider
    from agents.evaluation.data import split_for
    from market.features import compute

    specs = [_spec(study, name, study.steps, 0) for name in opened]
    candles = _window(study, path, window, windows)
    first = max(split_for(len(candles), spec).test_from for spec in specs)
    rows = compute(candles, policy.observation.feature_set)
    return simulate(candles, rows, Decider(policy), specs[0].env_settings(), first=first)


def _ran(run: Any, name: str, path: str, window: int, seed: int) -> dict[str, Any]:
    days = by_day(run.open_ms, run.equity)
    elapsed = (int(run.open_ms[-1]) - int(run.open_ms[0])) / 86_400_000
    return {
        "candidate": name, "path": path, "window": window, "seed": seed, "days": days,
        "fills_per_day": len(run.fills) / elapsed, "exposure": float(np.mean(run.exposure)),
    }  # fmt: skip
