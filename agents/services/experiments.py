"""Many runs as one job: every seed in every window with every combination of settings."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from django.db import IntegrityError, transaction

from agents.evaluation.data import bar_times, judging_of, prepare, require_roundings
from agents.evaluation.folds import require_folds
from agents.models import Experiment, TrainedModel, TrainingRun
from agents.provenance import code_version
from agents.resources import require_room
from agents.services.queue import enqueue_training
from agents.services.series import find_members
from agents.services.training import bounded, cancel_training
from agents.spec import TrainingSpec, horizon_notes, key_values
from agents.spec.overrides import full_name, laid_over, suited
from agents.tracking import flat
from market.errors import BadInput, Conflict
from market.models import Series
from market.web.audit import record

MOST_RUNS = 512
MOST_WINDOWS = 100
# What of a spec decides how its candles are prepared; runs that agree are prepared once.
DATA_KEYS = ("from_ms", "to_ms", "features", "scaler", "lookback", "episode_bars", "validation_share",
             "test_share", "embargo_bars", "curriculum")  # fmt: skip
FOUND = ("series", "source", "pair", "interval", "pairs", "basket", "from", "to")  # what names the candles


def start_experiment(
    *,
    owner: Any,
    name: str,
    spec: Mapping[str, Any],
    seeds: Sequence[int],
    grid: Mapping[str, Sequence[Any]] | None = None,
    windows: int = 1,
    by: Any = None,
) -> Experiment:
    """Queue a run for every seed, window and combination of settings; all of them or none.

    :param spec: what the runs share, as of `start_training`
    :param grid: dotted setting -> the values it takes
    :param windows: stretches that candles are divided into, see `windows_of`
    :raises BadInput: for anything that one of the runs could not use, too many runs, or a name that is taken
    """
    name, grid = " ".join(name.split()), dict(grid or {})
    if not name or len(name) > 100:
        raise BadInput("give the experiment a name of at most 100 characters", "name")
    cells = _cells(seeds, grid, windows)
    shared = TrainingSpec.parse(spec)
    members = find_members(owner, shared)
    series, whole = members[0], bounded(shared, members).as_dict()
    found = {key: whole[key] for key in FOUND}
    base = shared.as_dict() | found  # what else is left open follows from each run's own settings
    runs = _checked(base, series, cells, windows)
    with transaction.atomic():
        if _is_taken(owner, name):
            raise BadInput(f"there is an experiment, model or training named {name} already", "name")
        try:
            with transaction.atomic():
                made = Experiment.objects.create(
                    owner=owner, name=name, series=series, spec=base, seeds=list(seeds), grid=grid,
                    windows=windows,
                )  # fmt: skip
        except IntegrityError:
            raise BadInput(f"there is an experiment named {name} already", "name") from None
        for at, (cell, one, fingerprint) in enumerate(runs, 1):
            run = TrainingRun.objects.create(
                owner=owner, name=f"{name} #{at}", spec=one.as_dict(), series=series, experiment=made,
                steps_total=one.steps, cell=cell, data_fingerprint=fingerprint, code_version=code_version(),
                notes=horizon_notes(one),
            )  # fmt: skip
            transaction.on_commit(partial(enqueue_training, run.pk))
        record(by or owner, "experiment.start", made, name=name, runs=len(runs), series=series.pk)
    return made


def cancel_experiment(experiment: Experiment, by: Any = None) -> int:
    """Cancel every run that has not ended; return how many. :raises Conflict: when all have"""
    cancelled = 0
    for run in experiment.runs.unfinished():
        try:
            cancel_training(run, by)
            cancelled += 1
        except Conflict:
            continue  # it has ended in this moment
    if not cancelled:
        raise Conflict(f"all runs of {experiment.name} have ended already")
    record(by or experiment.owner, "experiment.cancel", experiment, name=experiment.name, runs=cancelled)
    return cancelled


def windows_of(spec: TrainingSpec, times: np.ndarray, step: int, count: int) -> list[tuple[int, int]]:
    """Return [from, to) in epoch ms of walk-forward windows over a bounded spec's bars, oldest first.

    All have equally many bars, and each begins later by at least as many as judge and test it, the embargo
    between them included: what one window is judged on, the next one learns from, and no candle is judged on
    twice. Bars are counted, not hours, as the parts of a window are: a gap makes a window longer in time.

    :param times: int64 (n,), the bars' open times, as `bar_times`; :param step: their interval in ms
    """
    bars, judged = len(times), judging_of(spec)
    if count == 1 or not bars:
        return [(spec.from_ms or 0, spec.to_ms or 0)] * count  # bounded specs have both
    fitting = bisect_right(range(1, bars + 1), bars, key=lambda n: n + (count - 1) * judged(n))
    length = max(1, fitting)  # one bar is refused as too few by whoever prepares the window
    firsts = [at * (bars - length) // (count - 1) for at in range(count)]
    return [(int(times[first]), int(times[first + length - 1]) + step) for first in firsts]


def seed_list(text: str) -> list[int]:
    """Return the seeds that `0..4` or `1,2,7` names. :raises BadInput: for anything else"""
    try:
        if ".." in text:
            first, last = (int(part) for part in text.split(".."))
            if last - first >= MOST_RUNS:
                raise BadInput(f"at most {MOST_RUNS} runs at once", "seeds")
            found = list(range(first, last + 1))
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"seeds must look like 0..4 or 1,2,7, not {text!r}", "seeds") from None
    return found


def grid_of(pairs: Sequence[str]) -> dict[str, list[Any]]:
    """Return `key=v1,v2` texts as key -> values; a list in JSON stays one.

    :raises BadInput: without `=`, or for a key that comes twice
    """
    found: dict[str, list[Any]] = {}
    if len({pair.partition("=")[0].strip() for pair in pairs}) < len(pairs):
        raise BadInput("the grid names a setting twice: give all its values at once", "grid")
    given = key_values(pairs)
    for key, value in given.items():
        if isinstance(value, str):
            found[key] = list(
                key_values([f"{at}={part}" for at, part in enumerate(value.split(","))]).values()
            )
        else:
            found[key] = value if isinstance(value, list) else [value]
    return found


def _cells(seeds: Sequence[int], grid: Mapping[str, Sequence[Any]], windows: int) -> list[dict[str, Any]]:
    if not seeds or len(set(seeds)) != len(seeds):
        raise BadInput("name at least one seed, and each only once", "seeds")
    if not 1 <= windows <= MOST_WINDOWS:
        raise BadInput(f"windows must be from 1 to {MOST_WINDOWS}", "windows")
    for key, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise BadInput(f"{key}: the grid needs a list of values", "grid")
        leaf = key.rpartition(".")[2].strip()
        if leaf in FOUND:  # every run learns from the candles that were found for all, and for their owner
            raise BadInput(
                f"{key} cannot be in the grid: all runs of an experiment learn from the same candles, so "
                "choose them outside the grid and the stretches as windows",
                "grid",
            )
        if leaf in ("seed", "version"):
            raise BadInput(f"{key} cannot be in the grid: seeds have a place of their own", "grid")
    count = len(seeds) * windows
    for values in grid.values():
        count *= len(values)
    if count > MOST_RUNS:
        raise BadInput(f"{count} runs are too many: at most {MOST_RUNS} at once", "grid")
    combinations = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    return [
        {"window": window, "settings": chosen, "seed": seed}
        for chosen in combinations
        for window in range(windows)
        for seed in seeds
    ]


def _checked(
    base: dict[str, Any], series: Series, cells: list[dict[str, Any]], windows: int
) -> list[tuple[dict[str, Any], TrainingSpec, str]]:
    """Return (cell, complete spec, fingerprint of its candles) of every run."""
    seen: dict[str, tuple[str, tuple[float, ...], int]] = {}
    times = bar_times(series, TrainingSpec.parse(base)) if windows > 1 else np.empty(0, dtype=np.int64)
    specs = []
    for cell in cells:
        settings = cell["settings"]
        shared, algorithm = base | {"seed": cell["seed"]}, settings.get("algorithm", base["algorithm"])
        if algorithm != base["algorithm"]:
            shared = suited(shared, algorithm, settings)
        _require_named_once(settings, algorithm)
        specs.append(TrainingSpec.parse(laid_over(shared, settings)))
        require_room(specs[-1])
    # All cells have the windows of the one that is judged on most bars: embargoes differ with the features.
    widest = max(specs, key=lambda spec: judging_of(spec)(len(times)))
    stretches = windows_of(widest, times, series.interval_ms, windows)
    asked: set[str] = set()
    found = []
    for cell, spec in zip(cells, specs, strict=True):
        first, last = stretches[cell["window"]]
        one = spec.completed(from_ms=first, to_ms=last)
        if (whole := repr(one)) in asked:
            values = ", ".join(f"{name}={value}" for name, value in cell["settings"].items())
            raise BadInput(
                f"the grid makes the same run twice, with {values}: give every value only once",
                "grid",
            )
        asked.add(whole)
        key = repr([getattr(one, name) for name in DATA_KEYS])
        if key not in seen:
            ready = prepare(series, one)
            seen[key] = ready.fingerprint, ready.lows, ready.split.train_to - ready.split.train_from
        fingerprint, lows, bars = seen[key]  # the candles are those of others; what follows is its own
        require_roundings(one, lows)
        require_folds(bars, one)
        found.append((cell, one, fingerprint))
    return found


def _require_named_once(settings: Mapping[str, Any], algorithm: Any) -> None:
    """:raises BadInput: for a cell that says one setting by two names, of which only one would count"""
    names = [name for key, value in settings.items() for name, _ in flat({full_name(key, algorithm): value})]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"{name} is in the grid by two names: leave one of them out", "grid")


def _is_taken(owner: Any, name: str) -> bool:
    taken = TrainedModel.objects.filter(owner=owner, name__startswith=f"{name} #").exists()
    return taken or TrainingRun.objects.filter(owner=owner, name__startswith=f"{name} #").exists()
