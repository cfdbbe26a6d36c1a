"""Several runs side by side: where their settings differ, and how their figures spread over seeds."""

from collections.abc import Sequence
from statistics import median

from agents.models import TrainingRun
from agents.tracking import flat

MOST_RUNS = 60
ABSENT = "-"
JUDGED_ON = ("from", "to", "validation_share", "test_share")  # which bars validation is on
NOT_COMPARED = ("seed", "series", "version")  # they tell runs of one kind apart, or say nothing


def best(runs: Sequence[TrainingRun]) -> TrainingRun | None:
    """Return the run with the best validation score that has a model; None unless all were judged alike."""
    parts = {(run.series_id, *(run.spec.get(name) for name in JUDGED_ON)) for run in runs}
    judged = [run for run in runs if run.latest.get("valid_score") is not None and hasattr(run, "model")]
    if len(parts) != 1 or len(judged) < 2:
        return None
    return max(judged, key=lambda run: run.latest["valid_score"])


def differing(runs: Sequence[TrainingRun]) -> list[tuple[str, list[str]]]:
    """Return (setting, its text in each run) of every setting that is not the same in all.

    What only one run has belongs to its algorithm and is left out.
    """
    tables = [dict(flat(run.spec)) for run in runs]
    names = list(dict.fromkeys(name for table in tables for name in table))
    rows = [(name, [table.get(name, ABSENT) for table in tables]) for name in names]
    most = len(runs) - 2 if len(runs) > 1 else 0
    return [(name, texts) for name, texts in rows if len(set(texts)) > 1 and texts.count(ABSENT) <= most]


def groups(runs: Sequence[TrainingRun]) -> list[list[TrainingRun]]:
    """Return the runs that differ in nothing but their seed together, in the order they come."""
    found: dict[tuple[tuple[str, str], ...], list[TrainingRun]] = {}
    for run in runs:
        key = tuple(pair for pair in flat(run.spec) if pair[0] not in NOT_COMPARED)
        found.setdefault(key, []).append(run)
    return list(found.values())


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
