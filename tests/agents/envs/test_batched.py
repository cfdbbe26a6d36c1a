import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.envs.batched import TERMINATED, TRUNCATED, BatchedMarket, packed
from agents.envs.settings import EnvSettings
from agents.envs.single import TradingEnv
from agents.spaces import BUY, ActionSpec
from market.errors import BadInput
from market.kernel.reward import Terms
from tests.agents.envs.markets import (
    every_setting,
    fixed_market,
    futures_setting,
    random_market,
    watched_setting,
)


def drawn(spec, rng, n):
    return (
        rng.uniform(-1.2, 1.2, (n, 1)) if spec.kind == "continuous" else rng.integers(0, len(spec.names), n)
    )


def walk_beside_single_environments(chosen, seed, accounts=3, features=4):
    candles, features = random_market(seed=seed % 50, features=features)
    batch = BatchedMarket(packed(candles, features), chosen, accounts, seed=seed)
    seen = batch.reset()
    envs = [TradingEnv(candles, features, chosen) for _ in range(accounts)]
    singles = [env.reset(options={"start": int(row)})[0] for env, row in zip(envs, batch.rows, strict=True)]
    assert np.abs(seen - singles).max() <= 1e-9
    rng = np.random.default_rng(seed)
    for _ in range(60):
        actions = drawn(chosen.action, rng, accounts)
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


@settings(max_examples=60, deadline=None)
@given(every_setting, st.integers(0, 10_000))
def test_every_account_walks_the_single_environments_path(chosen, seed):
    walk_beside_single_environments(chosen, seed)


@settings(max_examples=40, deadline=None)
@given(futures_setting, st.integers(0, 10_000))
def test_every_futures_account_walks_the_single_environments_path(chosen, seed):
    walk_beside_single_environments(chosen, seed)


@settings(max_examples=60, deadline=None)
@given(watched_setting, st.integers(0, 10_000))
def test_every_watched_account_walks_the_single_environments_path(chosen, seed):
    walk_beside_single_environments(chosen, seed)


RULES = (  # a loop of its own each
    {"size_fraction": 0.5},
    {"streak_losses": 2},
    {"max_trades_per_day": 9},
    {"market": "futures"},
)


@pytest.mark.parametrize("width", [1, 2, 8, 33])
@pytest.mark.parametrize("rule", [{}, *RULES])
def test_no_account_writes_into_the_next_ones_observation(width, rule):
    walk_beside_single_environments(EnvSettings(episode_bars=20, **rule), seed=4, accounts=9, features=width)


@pytest.mark.parametrize("accounts", [63, 64, 65, 130])
def test_accounts_that_fill_no_whole_vector_walk_the_same_path(accounts):
    chosen = EnvSettings(
        episode_bars=25, stop_loss=0.01, take_profit=0.01, trailing=0.01, tick=0.01, step=0.001,
        action=ActionSpec("levels", (-1, -0.5, 0, 0.5, 1)),
    )  # fmt: skip
    walk_beside_single_environments(chosen, seed=5, accounts=accounts)


@pytest.fixture
def market():
    return packed(*random_market(bars=2000))


def walk(batch, steps, seed=1):
    rng = np.random.default_rng(seed)
    return [batch.step(drawn(batch.action, rng, batch.size)) for _ in range(steps)]


@pytest.mark.parametrize("reward", [Terms(log_return=1), Terms(sharpe=1, sortino=0.5, turnover=0.1)])
def test_a_saved_state_continues_exactly(market, reward):
    chosen = EnvSettings(episode_bars=30, stop_loss=0.01, trailing=0.01, reward=reward)
    batch, other = (BatchedMarket(market, chosen, 8, seed) for seed in (1, 2))
    batch.reset()
    walk(batch, 50)
    other.set_state(batch.state())
    assert (other.observations() == batch.observations()).all()
    for one, two in zip(walk(batch, 80, seed=9), walk(other, 80, seed=9), strict=True):
        assert one.observations.tobytes() == two.observations.tobytes()
        assert one.rewards.tobytes() == two.rewards.tobytes()


def test_a_share_of_the_costs_is_that_share_of_fee_spread_and_slippage(market):
    whole = EnvSettings(fee_rate=0.002, half_spread=0.0004, slippage=0.001, episode_bars=30)
    half = EnvSettings(fee_rate=0.001, half_spread=0.0002, slippage=0.0005, episode_bars=30)
    eased, cheap = BatchedMarket(market, whole, 8, 3), BatchedMarket(market, half, 8, 3)
    eased.set_costs(0.5)
    for batch in (eased, cheap):
        batch.reset()
    for one, two in zip(walk(eased, 60), walk(cheap, 60), strict=True):
        assert one.rewards.tobytes() == two.rewards.tobytes()
    eased.set_costs(1.0)
    dear = BatchedMarket(market, whole, 8, 3)
    dear.set_state(eased.state())
    for one, two in zip(walk(eased, 60), walk(dear, 60), strict=True):
        assert one.rewards.tobytes() == two.rewards.tobytes()
    with pytest.raises(ValueError, match="share of costs"):
        eased.set_costs(1.5)


def test_a_state_of_another_size_is_refused(market):
    state = BatchedMarket(market, EnvSettings(episode_bars=30), 8).state()
    with pytest.raises(BadInput, match="shape"):
        BatchedMarket(market, EnvSettings(episode_bars=30), 9).set_state(state)


def test_seeds_choose_the_starts_and_starts_cover_the_range(market):
    chosen = EnvSettings(episode_bars=1440)
    batch = BatchedMarket(market, chosen, 20_000, seed=1)
    batch.reset()
    first = batch.rows
    batch.reset(seed=1)
    assert (batch.rows == first).all()
    batch.reset()
    assert (batch.rows != first).mean() > 0.99
    batch.reset(seed=2)
    assert (batch.rows != first).mean() > 0.99
    counts = np.bincount(first, minlength=560)
    assert len(counts) == 560  # rows 0..559 leave 1440 bars before the end
    assert counts.min() > 10


def test_episodes_start_at_the_rows_that_were_chosen(market):
    batch = BatchedMarket(market, EnvSettings(episode_bars=30), 500)
    batch.set_starts(np.array([7, 7, 7, 40]))
    batch.reset()
    assert set(batch.rows) == {7, 40}
    assert 0.65 < (batch.rows == 7).mean() < 0.85
    walk(batch, 30)
    assert set(batch.rows) == {7, 40}
    with pytest.raises(ValueError, match=r"0\.\.1969"):
        batch.set_starts(np.array([1970]))


def test_arrays_of_one_step_are_not_overwritten_by_the_next(market):
    batch = BatchedMarket(market, EnvSettings(episode_bars=30), 4)
    batch.reset()
    first = batch.step(np.ones(4, np.int64))
    kept = first.observations.copy()
    walk(batch, 5)
    assert (first.observations == kept).all()


def test_the_market_is_shared_and_cannot_be_written(market):
    one, two = (BatchedMarket(market, EnvSettings(episode_bars=30), 4) for _ in range(2))
    assert one.market.rows is two.market.rows
    assert not market.rows.flags.writeable


@pytest.mark.parametrize(
    ("chosen", "expected"),  # as of the table in docs/environments.md
    [
        ({}, 60),
        ({"stop_loss": 0.02, "take_profit": 0.03, "trailing": 0.02, "slippage": 0.001}, 60),
        ({"action": ActionSpec("hold_buy_sell", (-1.0, 1.0))}, 60),
        ({"size_fraction": 0.5, "volatility_target": 0.02, "stop_atr": 2.0, "trailing_atr": 3.0}, 60),
        ({"stop_atr": 2.0, "reward_ratio": 2.0}, 68),
        ({"kelly_fraction": 0.5}, 164),
        ({"reward": Terms(1.0, drawdown=1.0, holding_risk=1.0, turnover=1.0, benchmark=1.0)}, 60),
        ({"reward": Terms(1.0, 1.0)}, 84),
        ({"reward": Terms(1.0, sortino=1.0), "stop_loss": 0.01, "reward_ratio": 2.0}, 92),
        ({"market": "futures", "leverage": 3.0}, 164),
        ({"daily_loss": 0.05}, 252),
        ({"daily_loss": 0.05, "market": "futures", "leverage": 3.0}, 252),
    ],
)
def test_what_an_account_holds_between_decisions_is_as_documented(market, chosen, expected):
    sizes = []
    for accounts in (100, 300):
        state = BatchedMarket(market, EnvSettings(episode_bars=30, **chosen), accounts).state()
        sizes.append(sum(value.nbytes for value in state.values() if isinstance(value, np.ndarray)))
    assert (sizes[1] - sizes[0]) / 200 == expected  # of each account more, whatever all share


def test_ruin_ends_an_episode_and_the_next_begins_with_fresh_cash():
    market = packed(*fixed_market([100.0, 100.0, 5.0, 5.0]))
    batch = BatchedMarket(market, EnvSettings(episode_bars=0), 1)
    batch.reset()
    ends = [batch.step(np.array([BUY])) for _ in range(2)]
    assert [int(step.ends[0]) for step in ends] == [0, TERMINATED]
    assert ends[1].observations[0, -5:].tolist() == [0, 0, 0, 0, 1]
    assert batch.last_observations[0, -5] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("actions", [[-1, 0], [0, 3]])
def test_an_action_that_does_not_exist_is_an_error(market, actions):
    batch = BatchedMarket(market, EnvSettings(episode_bars=30), 2)
    batch.reset()
    with pytest.raises(ValueError, match=r"0\.\.2"):
        batch.step(np.array(actions))


def test_continuous_actions_that_are_not_numbers_are_an_error(market):
    batch = BatchedMarket(market, EnvSettings(episode_bars=30, action=ActionSpec("continuous")), 2)
    batch.reset()
    with pytest.raises(ValueError, match="finite"):
        batch.step(np.array([0.5, np.nan]))


def test_a_market_without_accounts_is_refused(market):
    with pytest.raises(BadInput, match="at least one"):
        BatchedMarket(market, EnvSettings(), 0)


@pytest.mark.parametrize("exits", [{"stop_loss": 0.03}, {"trailing": 0.03}, {"take_profit": 0.03}])
def test_a_level_set_on_an_earlier_bar_still_acts_in_the_plain_loop(exits):
    prices = (
        [100.0, 100.0, 101.0, 100.5, 96.0, 96.0] if "take_profit" not in exits else [100.0] * 4 + [104.0] * 2
    )
    market = packed(*fixed_market(prices))
    batch = BatchedMarket(market, EnvSettings(episode_bars=0, fee_rate=0.0, slippage=0.0, **exits), 1)
    batch.reset()
    exposures = [batch.step(np.array([BUY if step == 0 else 0])).observations[0, -5] for step in range(4)]
    assert exposures == [1, 1, 1, 0]
