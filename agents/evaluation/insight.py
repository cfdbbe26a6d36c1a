"""What a checkpoint thinks and does, in figures small enough to keep one set per validation."""

from collections import Counter
from typing import Any

import numpy as np

from agents.backtest.basket import BasketSimulation
from agents.backtest.report import benchmark_of
from agents.backtest.settings import BacktestSettings
from agents.backtest.simulate import Simulation
from agents.evaluation.data import Prepared
from agents.observation import observe, observe_basket
from agents.policies.port import Opinion, Policy
from agents.policies.team import in_team
from agents.policies.weights import NetworkWeights
from agents.spec import TrainingSpec

PROBES = 6  # fixed states: spread evenly over the judging part, without a position
POINTS = 120  # of a stored curve
FLAT = (0.0, 0.0, 0.0, 0.0, 1.0)  # the portfolio row of an account that holds only cash


def shares(run: Simulation, opinions: Counter[str]) -> dict[str, float]:
    """Return action -> share of the decisions; of a portfolio the mean share of equity in every pair."""
    if isinstance(run, BasketSimulation):
        return run.mean_weights()
    total = sum(opinions.values())
    return {name: count / total for name, count in sorted(opinions.items())}


def probes(policy: Policy | NetworkWeights, prepared: Prepared) -> list[dict[str, Any]]:
    """Return what the policy thinks in the same few states each time.

    One row per state: `t_ms`, `outputs` (logits, or the mean of a continuous action, where the policy is a
    network; of a team its weights, whose names are the `labels`), `probabilities` by action name (empty for
    continuous actions; of a portfolio the weights), `action` and `value`.
    """
    needs, at = policy.observation, prepared.split
    states = np.linspace(at.valid_from, at.valid_to - 1, PROBES).astype(int)
    found = []
    for row in states.tolist():
        scaled = needs.scaler.transform(prepared.rows[row - needs.window + 1 : row + 1])
        at_ms = int(prepared.candles.open_ms[row]) + prepared.candles.interval_ms
        thought = _weighed if isinstance(policy, NetworkWeights) else _thought
        found.append({"t_ms": at_ms, **thought(policy, scaled)})
    return found


def _weighed(policy: Any, scaled: np.ndarray) -> dict[str, Any]:
    pairs = policy.action_spec.pairs
    observation = observe_basket(scaled, [0.0] * (2 * len(pairs) + 1) + [1.0])  # all in cash
    weighed = policy.weigh(observation)
    weights = [round(weight, 6) for weight in weighed.weights]
    return {
        "outputs": [round(float(value), 6) for value in policy.network.act(observation)[: len(pairs)]],
        "probabilities": {**dict(zip(pairs, weights, strict=True)), "CASH": round(1.0 - sum(weights), 6)},
        "action": round(float(sum(weighed.weights)), 6),
        "value": round(weighed.value, 6),
    }


def _thought(policy: Any, scaled: np.ndarray) -> dict[str, Any]:
    observation = observe(scaled, FLAT)
    opinion: Opinion = policy.opine(observation, 0.0)
    network, team = getattr(policy, "network", None), in_team(policy)
    outputs = np.asarray([] if network is None else network.act(observation), dtype=np.float64).reshape(-1)
    if team and opinion.tally is not None:  # its logits are everybody's; what can be compared are the weights
        outputs = np.array([vote.weight for vote in opinion.tally.votes])
    names = policy.action_spec.names
    return {
        **({"labels": list(team)} if team else {}),
        "outputs": [round(float(value), 6) for value in outputs],
        "probabilities": {
            name: round(float(share), 6) for name, share in zip(names, opinion.probabilities, strict=False)
        },
        "action": round(float(opinion.action), 6),
        "value": None if opinion.value is None else round(float(opinion.value), 6),
    }


def growth(run: Simulation, spec: TrainingSpec) -> dict[str, list[float]]:
    """Return the validation backtest in at most `POINTS`: `t_ms`, `equity`, `benchmark`; 1 at first."""
    at = np.unique(np.linspace(0, len(run.equity) - 1, POINTS).astype(int))
    benchmark = benchmark_of(run, BacktestSettings(trading=spec.trading))
    return {
        "t_ms": (run.open_ms[at] + run.interval_ms).tolist(),
        "equity": np.round(run.equity[at] / run.equity[0], 6).tolist(),
        "benchmark": np.round(benchmark[at] / benchmark[0], 6).tolist(),
    }
