"""Several pairs, one cash account: the single environment, and many accounts that walk its path."""

import re
import warnings
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.envs.accounts import TERMINATED, TRUNCATED
from agents.envs.basket import BasketEnv
from agents.envs.baskets import BatchedBasket, packed_basket
from agents.envs.settings import EnvSettings
from agents.envs.single import TradingEnv
from agents.spaces import ActionSpec
from market.errors import BadInput
from market.kernel.reward import Terms
from tests.agents.envs.baskets import NAMES, basket_settings, random_basket
from tests.agents.envs.markets import random_market
from tests.agents.markets import changed_after

DOCUMENT = (Path(__file__).parents[3] / "docs" / "environments.md").read_text()
TWO = ActionSpec("weights", (0.0, 1.0), 0.01, NAMES[:2])


@settings(max_examples=60, deadline=None)
@given(basket_settings(), st.integers(0, 10_000))
def test_every_account_walks_the_single_environments_path(chosen, seed):
    pairs = len(chosen.action.pairs)
    candles, features = random_basket(pairs, seed=seed % 50)
    batch = BatchedBasket(packed_basket(candles, features), chosen, accounts=3, seed=seed)
    seen = batch.reset()
    envs = [BasketEnv(candles, features, chosen) for _ in range(3)]
    singles = [env.reset(options={"start": int(row)})[0] for env, row in zip(envs, batch.rows, strict=True)]
    assert np.abs(seen - singles).max() <= 1e-9
    rng = np.random.default_rng(seed)
    for _ in range(60):
        actions = rng.uniform(-1.3, 1.3, (3, pairs))
        stepped = batch.step(actions)
        for i, env in enumerate(envs):
            observation, reward, terminated, truncated, _ = env.step(actions[i])
            end = stepped.ends[i]
            assert (terminated, truncated) == (end == TERMINATED, end == TRUNCATED)
            found = batch.last_observations[i] if end else stepped.observations[i]
            assert np.abs(found - observation).max() <= 1e-9
            assert stepped.rewards[i] == pytest.approx(np.float32(reward), rel=1e-6, abs=1e-9)
            if end:
                again, _ = env.reset(options={"start": int(batch.rows[i])})
                assert np.abs(stepped.observations[i] - again).max() <= 1e-9
        assert stepped.ended == np.count_nonzero(stepped.ends)


@settings(max_examples=40, deadline=None)
@given(basket_settings(), st.integers(0, 10_000))
def test_cash_is_never_below_zero_and_equity_is_cash_and_marks(chosen, seed):
    pairs = len(chosen.action.pairs)
    env = BasketEnv(*random_basket(pairs, seed=seed % 50), chosen)
    env.reset(seed=seed)
    rng, is_over = np.random.default_rng(seed), False
    before = env.account.equity(env._closes())
    while not is_over:
        _, _, terminated, truncated, info = env.step(rng.uniform(-1, 1, pairs))
        is_over = terminated or truncated
        closes = env.market.closes[env.row]
        marks = sum(held * close for held, close in zip(env.account.held, closes, strict=True))
        assert info["cash"] >= -1e-9 * before
        assert min(env.account.held) >= 0
        assert info["equity"] == pytest.approx(info["cash"] + marks, rel=1e-12)
        assert sum(info["weights"]) <= 1 + 1e-9


@settings(max_examples=30, deadline=None)
@given(basket_settings(most=1), st.integers(0, 10_000))
def test_a_basket_of_one_pair_walks_the_path_of_one_asset(chosen, seed):
    if chosen.safe_drawdown:  # of both at one close a single position takes in the losing streak a bar later
        chosen = replace(chosen, max_loss_streak=0)
    candles, features = random_market(seed=seed % 50)
    alone = EnvSettings.from_dict(
        {
            **chosen.to_dict(),
            "action": {"kind": "continuous", "levels": chosen.action.levels, "band": chosen.action.band},
            "tick": chosen.roundings()[0][0],
            "step": chosen.roundings()[1][0],
        }
    )
    basket, single = BasketEnv((candles,), features, chosen), TradingEnv(candles, features, alone)
    start = {"start": basket.first_start}
    basket.reset(options=start)
    single.reset(options=start)
    rng = np.random.default_rng(seed)
    for _ in range(40):
        wish = rng.uniform(-1.2, 1.2, 1)
        _, reward, *ended, info = basket.step(wish)
        _, same_reward, *same_ended, same_info = single.step(wish)
        assert reward == pytest.approx(same_reward, rel=1e-9, abs=1e-9)
        assert info["equity"] == pytest.approx(same_info["equity"], rel=1e-9)
        assert ended == same_ended
        if any(ended):
            break


def test_the_environment_keeps_gymnasiums_contract():
    env = BasketEnv(*random_basket(2), EnvSettings(action=TWO, episode_bars=20, window=2))
    assert env.action_space == gym.spaces.Box(-1, 1, (2,), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its advice on unbounded observations
        check_env(env, skip_render_check=True)


def walk(batch, steps, seed=1):
    rng = np.random.default_rng(seed)
    return [batch.step(rng.uniform(-1, 1, (batch.size, len(batch.action.pairs)))) for _ in range(steps)]


RULES = {
    "trailing": 0.02, "stop_atr": 2.0, "max_bars": 40, "daily_loss": 0.2, "safe_drawdown": 0.01,
    "max_loss_streak": 2, "exit_cooldown_s": 120.0, "max_order_share": 0.4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("reward", "rules"),
    [
        (Terms(log_return=1), {}),
        (Terms(sharpe=1, sortino=0.5, benchmark=0.1), {}),
        (Terms(log_return=1), RULES),
    ],
)
def test_a_saved_state_continues_exactly(reward, rules):
    market = packed_basket(*random_basket(2, bars=800))
    chosen = EnvSettings(action=TWO, episode_bars=30, reward=reward, **rules)
    batch, other = (BatchedBasket(market, chosen, 8, seed) for seed in (1, 2))
    batch.reset()
    walk(batch, 50)
    other.set_state(batch.state())
    assert (other.observations() == batch.observations()).all()
    for one, two in zip(walk(batch, 80, seed=9), walk(other, 80, seed=9), strict=True):
        assert one.observations.tobytes() == two.observations.tobytes()
        assert one.rewards.tobytes() == two.rewards.tobytes()


def documented(row, pairs):
    """Return the bytes that docs/environments.md names, such as `24 + 16k`, for so many pairs."""
    fixed, each = re.search(rf"^\| {re.escape(row)} \| (\d+)(?: \+ (\d+)k)? \|", DOCUMENT, re.M).groups("0")
    return int(fixed) + int(each) * pairs


@pytest.mark.parametrize("pairs", [2, 3])
@pytest.mark.parametrize(
    ("chosen", "rows"),
    [
        ({}, ["portfolio of k pairs"]),
        ({"reward": Terms(sharpe=1)}, ["portfolio of k pairs", "with `sharpe` or `sortino`"]),
        ({"stop_loss": 0.1}, ["portfolio of k pairs", "with exits"]),
        ({"daily_loss": 0.1}, ["portfolio of k pairs", "with `limits.*`"]),
        ({"max_bars": 3, "max_position": 50}, ["portfolio of k pairs", "with exits", "with `limits.*`"]),
    ],
)
def test_an_account_of_k_pairs_takes_what_is_documented_and_the_market_cannot_be_written(pairs, chosen, rows):
    market = packed_basket(*random_basket(pairs))
    action = ActionSpec("weights", (0.0, 1.0), 0.01, NAMES[:pairs])
    chosen = EnvSettings(action=action, episode_bars=30, **chosen)
    one, two = (
        sum(array.nbytes for array in BatchedBasket(market, chosen, accounts)._arrays().values())
        for accounts in (100, 300)
    )
    assert (two - one) / 200 == sum(documented(row, pairs) for row in rows)
    assert not any(array.flags.writeable for array in market[:-1])


@pytest.mark.parametrize("rules", [{}, RULES])
def test_later_bars_change_nothing_that_came_before(rules):
    candles, features = random_basket(2, bars=200)
    later = features.copy()
    later[121:] *= -2
    changed = tuple(changed_after(one, 120) for one in candles)
    chosen = EnvSettings(action=TWO, episode_bars=0, window=3, **rules)
    env, other = BasketEnv(candles, features, chosen), BasketEnv(changed, later, chosen)
    seen = [one.reset(options={"start": 2})[0] for one in (env, other)]
    rng, rows = np.random.default_rng(1), 0
    while env.row < 120:
        assert (seen[0] == seen[1]).all()
        wish = rng.uniform(-1, 1, 2)
        answers = [one.step(wish) for one in (env, other)]
        seen, rows = [answer[0] for answer in answers], rows + 1
        assert answers[0][1] == answers[1][1]
    assert rows == 118
    assert (env.step(wish)[0] != other.step(wish)[0]).any()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"market": "futures", "leverage": 2.0}, "market"),
        ({"volatility_target": 0.01}, "volatility_target"),
        ({"dca_lots": 5}, "dca_lots"),
        ({"pair_steps": {"X/USD": 1.0}}, "pair_steps"),
        ({"pair_ticks": {"A/USD": -1.0}}, "pair_ticks"),
    ],
)
def test_what_a_portfolio_cannot_do_is_refused_by_name(changes, field):
    with pytest.raises(BadInput) as refused:
        EnvSettings(action=TWO, **changes)
    assert refused.value.field == field


def test_a_market_of_other_pairs_than_the_action_is_refused():
    with pytest.raises(BadInput, match="3 pairs"):
        BasketEnv(*random_basket(3), EnvSettings(action=TWO))


def test_wishes_that_are_no_numbers_are_an_error():
    batch = BatchedBasket(packed_basket(*random_basket(2)), EnvSettings(action=TWO, episode_bars=30), 1)
    batch.reset()
    with pytest.raises(ValueError, match="finite"):
        batch.step(np.array([[0.5, np.nan]]))
