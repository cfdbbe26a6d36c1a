"""How checkpoints are compared: on later data, with costs, against doing nothing."""

import math
from collections import Counter
from typing import Any

import numpy as np

from agents.backtest.basket import Stretch, simulate_basket
from agents.backtest.report import benchmark_of, of_specialists
from agents.backtest.settings import BacktestSettings, Limits
from agents.backtest.simulate import Simulation, fill_arrays, simulate
from agents.decide import Decider
from agents.evaluation.data import Prepared
from agents.policies.port import Policy
from agents.policies.weights import NetworkWeights
from agents.spec import TrainingSpec
from market.kernel import metrics

SHOWN = (
    "total_return", "benchmark_return", "excess_return", "sharpe", "max_drawdown", "fills", "exposure",
    "turnover_per_day",
)  # fmt: skip


def score_of(equity: np.ndarray) -> float:
    """Return the t-statistic of the mean bar log return: how clearly the curve beats cash, which scores 0.

    Costs are in the curve, so trading for nothing scores below 0. The best of many checkpoints is biased
    upwards; a backtest on data after the validation part is the honest figure.
    """
    returns = np.diff(np.log(np.maximum(equity, 1e-9)))
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    return float(np.mean(returns)) / deviation * math.sqrt(len(returns)) if deviation > 0 else 0.0


def validate(policy: Policy | NetworkWeights, prepared: Prepared, spec: TrainingSpec) -> dict[str, Any]:
    """Return how a policy does on the validation part, which comes later than anything it learned from.

    `score` as `score_of`, then figures of `market.kernel.metrics.summary`, and buy and hold beside them.
    """
    return figures_of(validation_run(policy, prepared, spec), spec)


def figures_of(run: Simulation, spec: TrainingSpec) -> dict[str, Any]:
    """Return the figures of `validate` for a simulation."""
    figures = metrics.summary(run.equity, run.open_ms, run.interval_ms, fill_arrays(run), run.exposure)
    benchmark = benchmark_of(run, BacktestSettings(trading=spec.trading))
    held = metrics.summary(benchmark, run.open_ms, run.interval_ms)
    return {
        "score": score_of(run.equity),
        **figures,
        "benchmark_return": held["total_return"],
        "benchmark_sharpe": held["sharpe"],
        "benchmark_max_drawdown": held["max_drawdown"],
        "excess_return": figures["total_return"] - held["total_return"],
        "benchmark_score": score_of(benchmark),
        **of_specialists(run),
    }


def validation_run(
    policy: Policy | NetworkWeights, prepared: Prepared, spec: TrainingSpec, acted: Counter[str] | None = None
) -> Simulation:
    """Return the simulation of a policy over the validation part.

    :param acted: counts how often each action was taken; weights are not counted
    """
    run = _run(policy, prepared, spec, prepared.split.valid_from, prepared.split.valid_to)
    if acted is not None:
        acted.update(run.acted)
    return run


def training_score(policy: Policy | NetworkWeights, prepared: Prepared, spec: TrainingSpec) -> float:
    """Return the score on the end of the training part, over as many bars as the validation part has."""
    at = prepared.split
    start = max(policy.observation.first_row, at.train_to - (at.valid_to - at.valid_from))
    return score_of(_run(policy, prepared, spec, start, at.train_to).equity)


def _run(
    policy: Policy | NetworkWeights,
    prepared: Prepared,
    spec: TrainingSpec,
    start: int,
    end: int,
) -> Simulation:
    first = policy.observation.first_row
    part = slice(start - first, end)
    rows, settings = prepared.rows[part], spec.env_settings()
    limits = Limits(**spec.limits.model_dump())
    if isinstance(policy, NetworkWeights):
        candles = tuple(one[part] for one in prepared.all_candles)
        return simulate_basket(Stretch(candles, rows, first), policy, settings, limits=limits)
    return simulate(
        prepared.candles[part], rows, Decider(policy), settings, first=first, limits=limits,
    )  # fmt: skip
