"""What a checkpoint thinks and does, in figures small enough to keep one set per validation."""

from collections import Counter
from typing import Any

import numpy as np

from agents.backtest.report import buy_and_hold
from agents.backtest.settings import BacktestSettings
from agents.backtest.simulate import Simulation
from agents.evaluation.data import Prepared
from agents.observation import observe
from agents.policies.port import Opinion, Policy
from agents.policies.team import in_team
from agents.spec import TrainingSpec

PROBES = 6  # fixed states: spread evenly over the judging part, without a position
POINTS = 120  # of a stored curve
FLAT = (0.0, 0.0, 0.0, 0.0, 1.0)  # the portfolio row of an account that holds only cash


def shares(opinions: Counter[str]) -> dict[str, float]:
    """Return action -> share of the decisions."""
    total = sum(opinions.values())
    return {name: count / total for name, count in sorted(opinions.items())}


def probes(policy: Policy, prepared: Prepared) -> list[dict[str, Any]]:
    """Return what the policy thinks in the same few states each time.

    One row per state: `t_ms`, `outputs` (logits, or the mean of a continuous action, where the policy is a
    network; of a team its weights, whose names are the `labels`), `probabilities` by action name (empty for
    continuous actions), `action` and `value`.
    """
    needs, at = policy.observation, prepared.split
    states = np.linspace(at.valid_from, at.valid_to - 1, PROBES).astype(int)
    return [_thought(policy, prepared, int(row), needs.window) for row in states]


def _thought(policy: Policy, prepared: Prepared, row: int, window: int) -> dict[str, Any]:
    scaled = policy.observation.scaler.transform(prepared.rows[row - window + 1 : row + 1])
    observation = observe(scaled, FLAT)
    opinion: Opinion = policy.opine(observation, 0.0)
    network, team = getattr(policy, "network", None), in_team(policy)
    outputs = np.asarray([] if network is None else network.act(observation), dtype=np.float64).reshape(-1)
    if team and opinion.tally is not None:  # its logits are everybody's; what can be compared are the weights
        outputs = np.array([vote.weight for vote in opinion.tally.votes])
    names = policy.action_spec.names
    return {
        **({"labels": list(team)} if team else {}),
        "t_ms": int(prepared.candles.open_ms[row]) + prepared.candles.interval_ms,
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
    benchmark = buy_and_hold(run.close, BacktestSettings(trading=spec.trading))
    return {
        "t_ms": (run.open_ms[at] + run.interval_ms).tolist(),
        "equity": np.round(run.equity[at] / run.equity[0], 6).tolist(),
        "benchmark": np.round(benchmark[at] / benchmark[0], 6).tolist(),
    }
