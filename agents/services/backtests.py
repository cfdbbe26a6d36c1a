"""Backtests: checked at once, computed by a worker (or at once by the command), stored as one row."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from django.db import transaction

from agents import councils, provenance
from agents.backtest import BacktestSettings, report, simulate
from agents.backtest.simulate import Simulation
from agents.decide import Decider, require_draws
from agents.evaluation.data import require_values, require_volume
from agents.models import Backtest, Council, JobStatus, TrainedModel
from agents.policies import Policy, load_model
from agents.policies import baseline as rule
from agents.policies.team import in_team
from agents.policies.weights import NetworkWeights
from agents.services.computing import carry_out
from agents.services.portfolios import own_series, planned_portfolio, simulate_portfolio
from agents.services.queue import enqueue_backtest
from agents.services.sealed import end_before_test, models_of, require_opened, said_of_test
from agents.services.stretches import Plan, stretch, with_warmup
from market import archive, features
from market.candles import interval_name
from market.errors import BadInput
from market.models import Series
from market.web.audit import record

logger = logging.getLogger(__name__)


def start_backtest(
    *,
    owner: Any,
    model: TrainedModel | None = None,
    baseline: str = "",
    council: Council | None = None,
    series: Series,
    from_ms: int | None = None,
    to_ms: int | None = None,
    settings: dict[str, Any] | None = None,
    by: Any = None,
) -> Backtest:
    """Have a worker test a model, a fixed rule or a council on past candles.

    :param from_ms: close of the first decision's bar lies behind this; None: as early as features allow
    :param settings: as `agents.backtest.BacktestSettings`; a model starts from the rules it was trained with
    :raises BadInput: for a policy, stretch or setting that cannot be used
    """
    backtest = _created(owner, model, baseline, council, series, from_ms, to_ms, settings or {}, by)
    transaction.on_commit(partial(enqueue_backtest, backtest.pk))
    return backtest


def backtest_now(*, tick: Callable[[float], None] | None = None, **asked: Any) -> Backtest:
    """Do what `start_backtest` asks a worker for, here and now; same arguments.

    :raises BadInput: as `start_backtest`, or when the backtest fails
    """
    asked = {
        "model": None,
        "baseline": "",
        "council": None,
        "from_ms": None,
        "to_ms": None,
        "by": None,
    } | asked
    asked["settings"] = asked.get("settings") or {}
    backtest = _created(**asked)
    backtest = run_backtest(backtest.pk, tick)
    if backtest.status != JobStatus.DONE:
        raise BadInput(backtest.error.partition("\n")[0])
    return backtest


def run_backtest(backtest_id: int, tick: Callable[[float], None] | None = None) -> Backtest:
    """Compute one unfinished backtest and store its outcome, done or failed; a finished one is left alone."""
    backtest = Backtest.objects.select_related("model__series", "council", "series").get(pk=backtest_id)
    carry_out(backtest, _compute, tick)
    return backtest


def _created(
    owner: Any,
    model: TrainedModel | None,
    baseline: str,
    council: Council | None,
    series: Series,
    from_ms: int | None,
    to_ms: int | None,
    settings: dict[str, Any],
    by: Any,
) -> Backtest:
    if sum((model is not None, council is not None, bool(baseline))) != 1:
        raise BadInput("name a model, a baseline or a council, and only one of them", "model")
    series = own_series(model, series) if model is not None else series
    to_ms = end_before_test(models_of(model, council), series, from_ms, to_ms)
    start, end = stretch(series, from_ms, to_ms)
    wanted = Backtest(owner=owner, model=model, baseline=baseline, council=council, series=series)
    wanted.from_ms, wanted.to_ms, wanted.settings = start, end, settings
    plan = planned(wanted)
    wanted.settings, wanted.policy_hash = plan.settings.model_dump(mode="json"), plan.policy.policy_hash
    wanted.from_ms = int(plan.candles.open_ms[plan.first])
    wanted.to_ms = int(plan.candles.open_ms[-1]) + series.interval_ms
    with transaction.atomic():
        wanted.save()
        record(by or owner, "backtest.start", wanted, policy=wanted.policy_name)
    return wanted


def planned(backtest: Backtest) -> Plan:
    """Return how a backtest would run.

    :raises BadInput: when the policy, the stretch and the settings do not fit together
    """
    series, model, council = backtest.series, backtest.model, backtest.council
    require_opened(models_of(model, council), backtest)
    if council is not None:
        settings, policy = _council_plan(backtest, council)
    else:
        settings = BacktestSettings.parse(backtest.settings, trained=model.spec if model else None)
        if model is not None:
            _refuse_params(settings)
            _check_interval(model.name, model.series.interval_ms, series)
            if model.is_portfolio:
                return planned_portfolio(backtest, model, settings)
        if settings.trading.pair_ticks or settings.trading.pair_steps:
            raise BadInput("pair_ticks and pair_steps are for several pairs: set tick and step", "settings")
        policy = load_model(model) if model else rule(backtest.baseline, **settings.params)
        if in_team(policy) and settings.trading.market != "spot":
            raise BadInput(f"{policy.name} is a team, which trades the spot market only", "market")
    require_draws(policy, settings.decision_settings())
    needs = policy.observation
    candles = with_warmup(series, backtest.from_ms, backtest.to_ms, needs.history_bars)
    require_volume(candles, needs.feature_set, series)
    first = max(int(np.searchsorted(candles.open_ms, backtest.from_ms)), needs.first_row)
    if first > len(candles) - 2:
        raise BadInput(
            f"{len(candles)} candles are too few: {needs.first_row + 1} warm the features up, and "
            "two more are needed to decide and trade on",
            "from_ms",
        )
    return Plan(policy, settings, candles, first)


def _council_plan(backtest: Backtest, council: Council) -> tuple[BacktestSettings, Policy]:
    """Return settings and policy of a council; its models' own rules count where all learned by the same."""
    rules = [
        {name: member.model.spec.get(name, {}) for name in ("trading", "limits")}
        for member in council.members.select_related("model")
        if member.model
    ]
    alike = rules[0] if rules and all(one == rules[0] for one in rules) else None
    settings = BacktestSettings.parse(backtest.settings, trained=alike)
    _refuse_params(settings)
    _check_interval(str(council), council.interval_ms, backtest.series)
    policy = councils.load(council)
    councils.require_quorum(council, policy)
    return settings, policy


def _refuse_params(settings: BacktestSettings) -> None:
    if settings.params:
        raise BadInput(f"there is no backtest setting {next(iter(settings.params))!r}", "settings")


def _check_interval(name: str, learned_ms: int | None, series: Series) -> None:
    if learned_ms is not None and learned_ms != series.interval_ms:
        raise BadInput(f"{name} learned on {interval_name(learned_ms)} bars, {series} has others", "series")


def _compute(backtest: Backtest, tick: Callable[[float], None]) -> Callable[[], None]:
    plan = planned(backtest)
    run, backtest.data_fingerprint = _simulated(backtest, plan, tick)
    made = report(run, plan.settings)
    backtest.metrics, backtest.curve, backtest.trades = made.metrics, made.curve, made.trades
    backtest.policy_hash, backtest.code_version = plan.policy.policy_hash, provenance.code_version()

    def finish() -> None:
        backtest.assumptions = [*history_for_good(backtest, plan.policy), *made.assumptions]

    return finish


def _simulated(backtest: Backtest, plan: Plan, tick: Callable[[float], None]) -> tuple[Simulation, str]:
    """Return what the policy does, and the fingerprint of the candles that it did it on."""
    if isinstance(plan.policy, NetworkWeights):
        return simulate_portfolio(plan, tick)
    run = simulate(
        plan.candles,
        rows_of(plan),
        Decider(plan.policy, plan.settings.decision_settings()),
        plan.settings.env_settings(),
        first=plan.first,
        limits=plan.settings.limits,
        tick=tick,
    )
    logger.info("backtest simulated id=%s engine=%s bars=%s", backtest.pk, run.engine, len(run.equity))
    return run, archive.fingerprint(plan.candles[plan.first :])


def rows_of(plan: Plan) -> np.ndarray:
    """Return the raw features of a plan's candles, float64 (n, F).

    :raises BadInput: naming the first feature and bar without a value
    """
    feature_set = plan.policy.observation.feature_set
    rows = features.cached(archive.fingerprint(plan.candles), plan.candles, feature_set)
    require_values(rows, feature_set, plan.candles)
    return rows


def history_for_good(backtest: Backtest, policy: Policy | NetworkWeights) -> list[str]:
    """Return `history` as it is to be stored, in the transaction that stores it.

    The candles are locked until its end, so that of two looks at a test part that end at once one counts the
    other.
    """
    Series.objects.select_for_update(no_key=True).get(pk=backtest.series_id)
    return history(backtest, policy)


def history(backtest: Backtest, policy: Policy | NetworkWeights) -> list[str]:
    """Return, as sentences, what has been seen of the tested stretch, and which members could not vote."""
    if backtest.council is None:
        return seen(backtest.model, backtest)
    members = backtest.council.members.select_related("model__series")
    said = [f"{row.name}: {line}" for row in members if row.model for line in seen(row.model, backtest)]
    absent = getattr(policy, "absent", ())
    left_out = [f"WARNING: {one.name} is left out of every vote: {one.reason}." for one in absent]
    return [*left_out, *(said or ["Fixed rules only: they have learned from no data."])]


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
    return [*(said or ["The model has seen nothing of this stretch."]), *said_of_test(model, backtest)]


def _overlap(backtest: Backtest, from_ms: int, to_ms: int) -> int:
    return max(0, min(backtest.to_ms, to_ms) - max(backtest.from_ms, from_ms))
