"""What specialists contributed adds up to the account's result, whatever cut or closed its orders."""

import pytest

from agents.backtest import BacktestSettings, simulate
from agents.decide import Decider
from agents.policies import baseline
from market.features import compute
from tests.agents.markets import changed_after, walk
from tests.agents.teams import NAMES, team_policy

CANDLES = walk(900, seed=4, volatility=0.004)


def ran(candles=CANDLES, policy=None, **given):
    policy, settings = policy or team_policy(candles), BacktestSettings.parse(given)
    rows = compute(candles, policy.observation.feature_set)
    first = policy.observation.first_row
    decider = Decider(policy, settings.decision_settings())
    return simulate(candles, rows, decider, settings.env_settings(), first=first, limits=settings.limits)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"fee_rate": 0.0, "slippage": 0.0},
        {"stop_loss": 0.004, "step": 0.01, "tick": 0.01},
        {"stop_atr": 2.0, "size_fraction": 0.4, "max_exposure": 0.6},
        {"max_drawdown": 0.02},
        {"safe_drawdown": 0.01, "exit_cooldown_s": 600, "max_trades_per_day": 20},
        {"min_notional": 4000.0},
        {"sample": True, "seed": 5},
        {"confidence": 0.6},
    ],
    ids=str,
)
def test_contributions_add_up_to_the_result(given):
    run = ran(**given)
    assert run.fills
    assert set(run.contributions) == set(NAMES)
    assert sum(run.contributions.values()) == pytest.approx(
        run.equity[-1] - run.equity[0], rel=1e-9, abs=1e-6
    )
    assert sum(run.weights.values()) == pytest.approx(1.0)


def test_later_bars_change_no_earlier_contribution():
    policy = team_policy(CANDLES[:600])
    assert (
        ran(changed_after(CANDLES, 599)[:600], policy).contributions
        == ran(CANDLES[:600], policy).contributions
    )
    assert ran(changed_after(CANDLES, 599), policy).contributions != ran(CANDLES, policy).contributions


def test_other_policies_have_no_contributions():
    policy, settings = baseline("buy_and_hold"), BacktestSettings.parse({})
    rows = compute(CANDLES, policy.observation.feature_set)
    run = simulate(CANDLES, rows, Decider(policy), settings.env_settings(), first=0)
    assert (run.contributions, run.weights) == ({}, {})
