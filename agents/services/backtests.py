"""Backtests: checked at once, computed by a worker (or at once by the command), stored as one row."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from agents import provenance
from agents.backtest import BacktestSettings, report, simulate
from agents.decide import Decider
from agents.evaluation.data import require_values, require_volume
from agents.models import Backtest, JobStatus, TrainedModel
from agents.policies import Policy, load_model
from agents.policies import baseline as rule
from agents.progress import Superseded
from agents.services.queue import enqueue_backtest
from agents.spec import Trading
from market import archive, features
from market.candles import Candles
from market.errors import BadInput
from market.models import Series
from market.web.audit import record


def start_backtest(
    *,
    owner: Any,
    model: TrainedModel | None = None,
    baseline: str = "",
    series: Series,
    from_ms: int | None = None,
    to_ms: int | None = None,
    settings: dict[str, Any] | None = None,
    by: Any = None,
) -> Backtest:
    """Have a worker test a model or a fixed rule on past candles.

    :param from_ms: close of the first decision's bar lies behind this; None: as early as features allow
    :param settings: as `agents.backtest.BacktestSettings`; a model starts from the rules it was trained with
    :raises BadInput: for a policy, stretch or setting that cannot be used
    """
    backtest = _created(owner, model, baseline, series, from_ms, to_ms, settings or {}, by)
    transaction.on_commit(partial(enqueue_backtest, backtest.pk))
    return backtest


def backtest_now(*, tick: Callable[[float], None] | None = None, **asked: Any) -> Backtest:
    """Do what `start_backtest` asks a worker for, here and now; same arguments.

    :raises BadInput: as `start_backtest`, or when the backtest fails
    """
    asked = {"model": None, "baseline": "", "from_ms": None, "to_ms": None, "by": None} | asked
    asked["settings"] = asked.get("settings") or {}
    backtest = _created(**asked)
    backtest = run_backtest(backtest.pk, tick)
    if backtest.status != JobStatus.DONE:
        raise BadInput(backtest.error.partition("\n")[0])
    return backtest


def run_backtest(backtest_id: int, tick: Callable[[float], None] | None = None) -> Backtest:
    """Compute one unfinished backtest and store its outcome, done or failed; a finished one is left alone."""
    backtest = Backtest.objects.select_related("model__series", "series").get(pk=backtest_id)
    if backtest.status not in (JobStatus.QUEUED, JobStatus.RUNNING):
        return backtest
    backtest.status = JobStatus.RUNNING
    backtest.save(update_fields=["status"])
    began = time.perf_counter()
    try:
        _compute(backtest, tick)
        backtest.status = JobStatus.DONE
    except Superseded:
        raise
    except Exception as error:
        said = error.message if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        backtest.status, backtest.error = JobStatus.FAILED, f"{said}\n\n{trace}"
    backtest.seconds, backtest.finished_at = time.perf_counter() - began, timezone.now()
    backtest.save()
    return backtest


@dataclass(frozen=True, slots=True)
class _Plan:
    """A backtest ready to run."""

    policy: Policy
    settings: BacktestSettings
    candles: Candles  # warm-up included
    first: int  # row of the first decision


def _created(
    owner: Any,
    model: TrainedModel | None,
    baseline: str,
    series: Series,
    from_ms: int | None,
    to_ms: int | None,
    settings: dict[str, Any],
    by: Any,
) -> Backtest:
    if (model is None) == (not baseline):
        raise BadInput("name either a model or a baseline", "model")
    if series.first_ms is None or series.last_ms is None:
        raise BadInput(f"series {series.pk} holds no candles yet: import some first", "series")
    start = series.first_ms if from_ms is None else from_ms
    end = series.last_ms + series.interval_ms if to_ms is None else to_ms
    if start >= end:
        raise BadInput("from must be earlier than to", "from_ms")
    wanted = Backtest(owner=owner, model=model, baseline=baseline, series=series, from_ms=start, to_ms=end)
    wanted.settings = settings
    plan = _plan(wanted)
    wanted.settings, wanted.policy_hash = plan.settings.model_dump(mode="json"), plan.policy.policy_hash
    wanted.from_ms = int(plan.candles.open_ms[plan.first])
    wanted.to_ms = int(plan.candles.open_ms[-1]) + series.interval_ms
    with transaction.atomic():
        wanted.save()
        record(by or owner, "backtest.start", wanted, policy=model.name if model else baseline)
    return wanted


def _plan(backtest: Backtest) -> _Plan:
    """:raises BadInput: when the policy, the stretch and the settings do not fit together"""
    series, model = backtest.series, backtest.model
    trained_with = Trading(**model.spec["trading"]) if model else None
    settings = BacktestSettings.parse(backtest.settings, trading=trained_with)
    if model is not None:
        if settings.params:
            raise BadInput(f"there is no backtest setting {next(iter(settings.params))!r}", "settings")
        if model.series.interval_ms != series.interval_ms:
            raise BadInput(
                f"{model.name} learned on {model.series.interval} bars, {series} has others", "series"
            )
    policy = load_model(model) if model else rule(backtest.baseline, **settings.params)
    needs = policy.observation
    candles = _with_warmup(series, backtest.from_ms, backtest.to_ms, needs.history_bars)
    require_volume(candles, needs.feature_set, series)
    first = max(int(np.searchsorted(candles.open_ms, backtest.from_ms)), needs.first_row)
    if first > len(candles) - 2:
        raise BadInput(
            f"{len(candles)} candles are too few: {needs.first_row + 1} warm the features up, and "
            "two more are needed to decide and trade on",
            "from_ms",
        )
    return _Plan(policy, settings, candles, first)


def _with_warmup(series: Series, from_ms: int, to_ms: int, history: int) -> Candles:
    """Return the candles of [from_ms, to_ms) and, where there are any, enough earlier ones to warm up on."""
    reach = from_ms - 2 * history * series.interval_ms
    candles = archive.load(series, reach, to_ms)
    before = int(np.searchsorted(candles.open_ms, from_ms))
    if before < history and series.first_ms is not None and series.first_ms < reach:
        return archive.load(series, None, to_ms)  # gaps ate the warm-up
    return candles


def _compute(backtest: Backtest, tick: Callable[[float], None] | None) -> None:
    plan, series = _plan(backtest), backtest.series
    feature_set = plan.policy.observation.feature_set
    rows = features.cached(series.fingerprint, plan.candles, feature_set)
    require_values(rows, feature_set, plan.candles)
    run = simulate(
        plan.candles,
        rows,
        Decider(plan.policy, plan.settings.decision_settings()),
        plan.settings.env_settings(),
        first=plan.first,
        limits=plan.settings.limits,
        tick=tick,
    )
    made = report(run, plan.settings, seen(backtest.model, backtest))
    backtest.metrics, backtest.curve, backtest.trades = made.metrics, made.curve, made.trades
    backtest.assumptions = made.assumptions
    backtest.data_fingerprint = archive.fingerprint(plan.candles[plan.first :])
    backtest.policy_hash, backtest.code_version = plan.policy.policy_hash, provenance.code_version()


def seen(model: TrainedModel | None, backtest: Backtest) -> list[str]:
    """Return, as sentences, how much of the tested stretch the model has seen before."""
    if model is None:
        return ["A fixed rule: it has learned from no data."]
    if model.series_id != backtest.series_id:
        return [f"The model learned on {model.series}, not on these candles."]
    whole = backtest.to_ms - backtest.from_ms
    learned = _overlap(backtest, model.train_from_ms, model.train_to_ms) / whole
    judged = _overlap(backtest, model.train_to_ms, model.valid_to_ms) / whole
    said = []
    if learned > 0:
        said.append(
            f"WARNING: the model has learned from {learned:.0%} of this stretch. What it earned there says "
            "nothing about candles it has not seen."
        )
    if judged > 0:
        said.append(
            f"WARNING: {judged:.0%} of this stretch chose which checkpoint was kept, which flatters it."
        )
    return said or ["The model has seen nothing of this stretch."]


def _overlap(backtest: Backtest, from_ms: int, to_ms: int) -> int:
    return max(0, min(backtest.to_ms, to_ms) - max(backtest.from_ms, from_ms))
