"""Accounts in vector lanes against those that are stepped one by one: equal to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.envs.batched import BatchedMarket, packed
from agents.envs.settings import TERMS, EnvSettings
from agents.spaces import ActionSpec
from market.candles import Candles
from market.kernel import batch
from market.kernel.reward import Terms
from tests.agents.envs.markets import coherent, costs_and_exits, positions, random_market

PRICES = ("open", "high", "low", "close")
NEVER = 1000  # losses before sizes shrink: a rule that changes nothing, but is kept account by account
one_by_one = {"kelly_fraction": st.just(0), "streak_losses": st.just(0), "dca_lots": st.just(0)}
in_lanes = st.builds(coherent, **positions | costs_and_exits | one_by_one)


def walk_beside_those_stepped_one_by_one(chosen, seed, accounts=70, steps=60, **market):
    shared = packed(*random_market(seed=seed % 50, **market))
    lanes = BatchedMarket(shared, chosen, accounts, seed)
    single = BatchedMarket(shared, replace(chosen, streak_losses=NEVER), accounts, seed)
    assert lanes._advance is None
    assert single._advance is batch.advance_full
    assert lanes.reset().tobytes() == single.reset().tobytes()
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        is_continuous = chosen.action.kind == "continuous"
        actions = (
            rng.uniform(-1, 1, accounts) if is_continuous else rng.integers(0, len(lanes._table), accounts)
        )
        for found, expected in zip(lanes.step(actions), single.step(actions), strict=True):
            assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()
        assert lanes.last_observations.tobytes() == single.last_observations.tobytes()
        if len(lanes._moments) == accounts:
            assert lanes._moments.tobytes() == single._moments.tobytes()
        assert lanes._columns.tobytes() == single._columns.tobytes()
        assert lanes._whole.tobytes() == single._whole.tobytes()
    return lanes


@settings(max_examples=120, deadline=None)
@given(in_lanes, st.integers(0, 10_000))
def test_lanes_equal_accounts_stepped_one_by_one_to_the_last_bit(chosen, seed):
    walk_beside_those_stepped_one_by_one(chosen, seed)


EVERY_EXIT = {
    "stop_loss": 0.02, "trailing": 0.02, "trail_step": 0.004, "take_profit": 0.02, "stop_atr": 2.0,
    "trailing_atr": 3.0, "break_even": 0.005, "reward_ratio": 1.0, "max_bars": 9,
}  # fmt: skip
EVERY_SIZE = {"size_fraction": 0.9, "risk_per_trade": 0.01, "volatility_target": 0.004, "resize_band": 0.1}


@pytest.mark.parametrize("decision_every", [1, 3])
@pytest.mark.parametrize("accounts", [1, 63, 64, 65, 130])
def test_all_rules_at_once_in_vectors_that_accounts_do_not_fill(accounts, decision_every):
    chosen = EnvSettings(
        episode_bars=25, tick=0.01, step=0.001, half_spread=0.0005, decision_every=decision_every,
        action=ActionSpec("levels", (-1, -0.5, 0, 0.5, 1)), **EVERY_EXIT, **EVERY_SIZE,
    )  # fmt: skip
    walk_beside_those_stepped_one_by_one(chosen, 5, accounts)


@pytest.mark.parametrize("rule", ["stop_atr", "trailing_atr", "break_even", "reward_ratio", "max_bars"])
def test_each_exit_changes_the_path(rule):
    """Else the property above would hold of rules that no loop follows."""
    plain = {"stop_loss": 0.02} if rule == "reward_ratio" else {}
    chosen = EnvSettings(episode_bars=0, action=ActionSpec("hold_buy_sell", (-1.0, 1.0)), **plain)
    ruled = replace(chosen, **{rule: EVERY_EXIT[rule]})
    found = [walk_beside_those_stepped_one_by_one(one, 3, 65)._columns for one in (chosen, ruled)]
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("rule", ["size_fraction", "risk_per_trade", "volatility_target"])
def test_each_rule_on_sizes_changes_the_path(rule):
    chosen = EnvSettings(episode_bars=0, stop_atr=2.0, action=ActionSpec("hold_buy_sell", (-1.0, 1.0)))
    ruled = replace(chosen, **{rule: EVERY_SIZE[rule]})
    found = [walk_beside_those_stepped_one_by_one(one, 3, 65)._columns for one in (chosen, ruled)]
    assert (found[0] != found[1]).any()


WEIGHTS = Terms(1.0, 0.1, 0.2, 0.5, 0.3, 0.01, 0.5)


@pytest.mark.parametrize("term", [name for name in TERMS if name != "log_return"])
@pytest.mark.parametrize("volatility", [0.004, 0.05])
def test_each_term_of_the_reward_alone_and_all_together(term, volatility):
    """Calm bars have returns that a series serves, wild ones need logarithms."""
    alone = Terms(**{name: float(name == term) for name in TERMS})
    for reward in (alone, WEIGHTS, WEIGHTS._replace(sharpe=0.0, sortino=0.0)):
        chosen = EnvSettings(episode_bars=20, stop_loss=0.02, decision_every=2, reward=reward)
        walk_beside_those_stepped_one_by_one(chosen, 3, 65, volatility=volatility)


def test_a_saved_state_with_brackets_and_moments_continues_exactly():
    market = packed(*random_market(bars=2000))
    chosen = EnvSettings(episode_bars=30, reward=WEIGHTS, **EVERY_EXIT, **EVERY_SIZE)
    one, other = (BatchedMarket(market, chosen, 70, seed) for seed in (1, 2))
    one.reset()
    rng = np.random.default_rng(3)
    for _ in range(50):
        one.step(rng.integers(0, 3, 70))
    state = one.state()
    assert state["tracks"].any()
    assert state["moments"].any()
    other.set_state(state)
    for _ in range(60):
        actions = rng.integers(0, 3, 70)
        found, expected = other.step(actions), one.step(actions)
        assert found.observations.tobytes() == expected.observations.tobytes()
        assert found.rewards.tobytes() == expected.rewards.tobytes()


def test_later_bars_change_nothing_that_came_before():
    candles, features = random_market()
    later = [np.where(np.arange(len(candles)) > 40, 1.5, 1.0) * getattr(candles, name) for name in PRICES]
    changed = Candles(candles.interval_ms, candles.open_ms, *later, candles.volume)
    chosen = EnvSettings(episode_bars=0, **EVERY_EXIT, **EVERY_SIZE, atr_bars=5)
    pair = [BatchedMarket(packed(one, features), chosen, 70) for one in (candles, changed)]
    seen = [market.reset() for market in pair]
    assert seen[0].tobytes() == seen[1].tobytes()
    rng = np.random.default_rng(1)
    for row in range(1, 60):
        actions = rng.integers(0, 3, 70)
        one, other = (market.step(actions) for market in pair)
        is_equal = one.rewards.tobytes() == other.rewards.tobytes()
        assert is_equal == (row <= 40), row


def test_a_range_beside_the_prices_is_the_one_the_settings_ask_for():
    """Who shares a market that was packed for other settings walks the same path as who has it alone."""
    candles, features = random_market()
    chosen = EnvSettings(episode_bars=30, atr_bars=5, **EVERY_EXIT, **EVERY_SIZE)
    shared = [packed(candles, features, atr_bars) for atr_bars in (5, 0, 14)]
    own, without, other = (BatchedMarket(market, chosen, 70) for market in shared)
    assert own.market is shared[0]
    assert without.market.prices[:, :5].tobytes() == own.market.prices[:, :5].tobytes()
    assert [batch.reset().tobytes() for batch in (without, other)] == [own.reset().tobytes()] * 2
    for actions in np.random.default_rng(3).integers(0, 3, (60, 70)):
        expected = own.step(actions)
        for found in (without.step(actions), other.step(actions)):
            assert found.observations.tobytes() == expected.observations.tobytes()
            assert found.rewards.tobytes() == expected.rewards.tobytes()


@pytest.mark.parametrize("atr_bars", [0, 5])
@pytest.mark.parametrize("features", [1, 7, 8, 9, 20, 24, 33])
def test_an_observation_holds_every_feature_of_its_window_and_no_more(features, atr_bars):
    candles, rows = random_market(bars=90, features=features)
    batch = BatchedMarket(packed(candles, rows, atr_bars), EnvSettings(episode_bars=0, window=3), 65)
    assert batch.reset()[64, : 3 * features].tobytes() == rows[:3].tobytes()
    for row in range(3, 8):
        seen = batch.step(np.zeros(65, np.int64)).observations
        assert (seen[:, : 3 * features] == rows[row - 2 : row + 1].ravel()).all()
        assert (seen[:, 3 * features :] == [0, 0, 0, 0, 1]).all()
