"""How near a policy comes to the optimum of a planted market, on a path it has never seen."""

from dataclasses import dataclass

import numpy as np

from agents.backtest.simulate import simulate
from agents.decide import Decider
from agents.envs.settings import EnvSettings
from agents.policies.port import Policy
from market import features
from market.optimum import COST, best_positions, worth
from market.planted import DAY, Planted
from market.synthetic import log_returns, planted_market

TEST_SEED = 900_000  # far from the seeds people train on


@dataclass(frozen=True, slots=True)
class Score:
    """Worth is the log return that the market's filter expects of the positions, costs paid."""

    share_of_optimum: float | None  # None where nothing can be earned
    bp_per_day: float  # worth in basis points
    best_bp_per_day: float
    fills_per_day: float


def score(
    policy: Policy, planted: Planted, settings: EnvSettings, *, bars: int, seed: int = TEST_SEED
) -> Score:
    """Run a policy over a fresh path and return what its positions are worth.

    :param settings: costs and rounding of the test; the optimum is that of `market.optimum.COST` a side
    """
    candles = planted_market(planted, bars, seed)
    rows = features.compute(candles, policy.observation.feature_set)
    run = simulate(candles, rows, Decider(policy), settings, first=policy.observation.first_row)
    expected = planted.expected(log_returns(candles))
    first = bars - len(run.exposure)
    ahead = expected[first:-1]  # of the bar after each close at which the policy could act
    sides = sum(abs(fill.quantity) * fill.price for _, fill in run.fills) / float(np.mean(run.equity))
    earned = float(run.exposure[1:] @ ahead) - COST * sides
    best = worth(best_positions(planted, expected)[first:-1], ahead)
    days = len(ahead) / DAY
    return Score(
        earned / best if best > 0 else None, 1e4 * earned / days, 1e4 * best / days, len(run.fills) / days
    )
