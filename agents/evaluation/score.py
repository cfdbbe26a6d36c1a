"""How checkpoints are compared: on later data, with costs, against doing nothing."""

import math
from typing import Any

import numpy as np

from agents.backtest.report import buy_and_hold
from agents.backtest.settings import BacktestSettings
from agents.backtest.simulate import Simulation, fill_arrays, simulate
from agents.decide import Decider
from agents.evaluation.data import Prepared
from agents.policies.port import Policy
from agents.spec import TrainingSpec
from market.kernel import metrics

SHOWN = ("total_return", "sharpe", "max_drawdown", "fills", "exposure", "turnover_per_day")


def score_of(equity: np.ndarray) -> float:
    """Return the t-statistic of the mean bar log return: how clearly the curve beats cash, which scores 0.

    Costs are in the curve, so trading for nothing scores below 0. The best of many checkpoints is biased
    upwards; a backtest on data after the validation part is the honest figure.
    """
    returns = np.diff(np.log(np.maximum(equity, 1e-9)))
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    return float(np.mean(returns)) / deviation * math.sqrt(len(returns)) if deviation > 0 else 0.0


def validate(policy: Policy, prepared: Prepared, spec: TrainingSpec) -> dict[str, Any]:
    """Return how a policy does on the validation part, which comes later than anything it learned from.

    `score` as `score_of`, then figures of `market.kernel.metrics.summary`, and buy and hold beside them.
    """
    run = validation_run(policy, prepared, spec)
    figures = metrics.summary(run.equity, run.open_ms, run.interval_ms, fill_arrays(run), run.exposure)
    benchmark = buy_and_hold(run.close, BacktestSettings(trading=spec.trading))
    return {
        "score": score_of(run.equity),
        **figures,
        "benchmark_return": float(benchmark[-1] / benchmark[0] - 1),
        "benchmark_score": score_of(benchmark),
    }


def validation_run(policy: Policy, prepared: Prepared, spec: TrainingSpec) -> Simulation:
    """Return the simulation of a policy over the validation part."""
    first = policy.observation.first_row
    part = slice(prepared.split.valid_from - first, prepared.split.valid_to)
    return simulate(
        prepared.candles[part], prepared.rows[part], Decider(policy), spec.env_settings(), first=first
    )
