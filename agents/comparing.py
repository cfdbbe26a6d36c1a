"""Several runs side by side: where their settings differ, and how their figures spread over seeds."""

from collections.abc import Sequence
from statistics import median

from agents.models import TrainingRun, TrainingValidation
from agents.tracking import flat

MOST_RUNS = 60
ABSENT = "-"
RULES = ("basket", "trading", "limits")  # what a validation backtest follows beside the policy
NOT_COMPARED = ("seed", "series", "version")  # they tell runs of one kind apart, or say nothing


def best(runs: Sequence[TrainingRun]) -> TrainingRun | None:
    """Return the run whose model has the best validation score; None unless all were judged alike.

    Alike is on the same bars of the same candles, by the same costs and limits. Runs without a model are not
    in the running.
    """
    judged = [run for run in runs if hasattr(run, "model") and run.judged.get("score") is not None]
    if len(judged) < 2 or len(_courts(judged)) != 1:
        return None
    return max(judged, key=lambda run: run.judged["score"])


def _courts(judged: Sequence[TrainingRun]) -> set[str]:
    """Return what the models were judged on and by: one text for those that can be compared."""
    begins = TrainingValidation.objects.filter(run__in=judged).values_list("run_id", "curve__t_ms__0")
    first = dict(begins.distinct())
    return {
        repr((
            run.series_id, first.get(run.pk), run.model.valid_to_ms, run.model.judged_fingerprint,
            *(sorted(flat({name: run.spec.get(name) or {}})) for name in RULES),
        ))
        for run in judged
    }  # fmt: skip


def differing(runs: Sequence[TrainingRun]) -> list[tuple[str, list[str]]]:
    """Return (setting, its text in each run) of every setting that is not the same in all.

    What only one run has belongs to its algorithm and is left out, unless all have the section it is in.
    """
    tables = [dict(flat(run.spec)) for run in runs]
    names = list(dict.fromkeys(name for table in tables for name in table))
    rows = [(name, [table.get(name, ABSENT) for table in tables]) for name in names]
    most = len(runs) - 2 if len(runs) > 1 else 0
    sections = set.intersection(*(set(run.spec) for run in runs)) if runs else set()
    return [
        (name, texts)
        for name, texts in rows
        if len(set(texts)) > 1 and (texts.count(ABSENT) <= most or name.partition(".")[0] in sections)
    ]


def groups(runs: Sequence[TrainingRun]) -> list[list[TrainingRun]]:
    """Return the runs that differ in nothing but their seed together, in the order they come."""
    found: dict[tuple[tuple[str, str], ...], list[TrainingRun]] = {}
    for run in runs:
        key = tuple(pair for pair in flat(run.spec) if pair[0] not in NOT_COMPARED)
        found.setdefault(key, []).append(run)
    return list(found.values())


def seeds_of(runs: Sequence[TrainingRun]) -> int:
    """Return how many seeds runs have: one that is run again is no further seed."""
    return len({run.spec.get("seed") for run in runs})


def bands(curves: Sequence[dict[str, dict[str, list[float]]]], name: str) -> dict[str, list[float]]:
    """Return the lowest, median and highest value of a figure over runs, at each step that any reported.

    A run counts with the newest value it had at that step, and not before its first.

    :param curves: one per run, as of `agents.selectors.curves`
    """
    lines = [curve[name] for curve in curves if name in curve]
    steps = sorted({step for line in lines for step in line["steps"]})
    found: dict[str, list[float]] = {"steps": [], "low": [], "mid": [], "high": []}
    at = [-1] * len(lines)
    for step in steps:
        values = []
        for index, line in enumerate(lines):
            while at[index] + 1 < len(line["steps"]) and line["steps"][at[index] + 1] <= step:
                at[index] += 1
            if at[index] >= 0:
                values.append(line["values"][at[index]])
        for key, value in (
            ("steps", step), ("low", min(values)), ("mid", median(values)), ("high", max(values)),
        ):  # fmt: skip
            found[key].append(value)
    return found
