"""A team's account: both environments walk one path, and the slices are the account."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.envs.batched import TERMINATED, TRUNCATED, packed
from agents.envs.settings import EnvSettings
from agents.envs.single import TradingEnv
from agents.envs.team import TeamRules
from agents.envs.team.batched import TeamMarket
from agents.envs.team.single import TeamEnv
from agents.spaces import ActionSpec
from market.candles import Candles
from market.errors import BadInput
from market.kernel.quotes import Quoting
from market.kernel.reward import Terms
from tests.agents.envs.markets import (
    coherent,
    costs_and_exits,
    positions,
    random_market,
    watched,
    weights,
)
from tests.agents.markets import changed_after

TEAM = TeamRules(
    ("momentum", "mean_reversion", "market_making"),
    (Terms(log_return=1.0), Terms(log_return=1.0, holding_risk=2.0), Terms(log_return=1.0, turnover=0.5)),
    (False, False, True),
    Quoting(0.002, 0.1, 0.0005),
)
levels = st.sampled_from([(0, 0.25, 0.5, 1), (-1, -0.5, 0, 0.5, 1)]).flatmap(
    lambda exposures: st.builds(
        ActionSpec, st.just("levels"), st.just(exposures), st.sampled_from([0.0, 0.05])
    )
)
chosen_rules = {**costs_and_exits, "action": levels}
shareable = st.one_of(
    st.builds(EnvSettings, **chosen_rules),
    st.builds(coherent, **positions, **chosen_rules),
    st.builds(coherent, **positions, **chosen_rules, **watched),
)
LEVELS = ActionSpec("levels", (0.0, 0.5, 1.0))
own_terms = st.builds(Terms, st.just(1.0), *[weights] * 6, st.sampled_from([0.01, 0.2]))
teams = st.builds(
    lambda terms, desk, quoting: TeamRules(TEAM.names, tuple(terms), (False, False, desk), quoting),
    st.lists(own_terms, min_size=3, max_size=3),
    st.booleans(),
    st.builds(Quoting, st.sampled_from([0.0005, 0.004]), st.sampled_from([0.05, 0.5]), st.just(0.0005)),
)


def allocated(rng, accounts, size=3):
    """Return random weights, some of them 0."""
    drawn = rng.random((accounts, size)) * (rng.random((accounts, size)) < 0.8) + 1e-3 * np.eye(size)[0]
    return drawn / drawn.sum(axis=1, keepdims=True)


@settings(max_examples=50, deadline=None)
@given(shareable, teams, st.integers(0, 10_000))
def test_every_account_walks_the_single_environments_path(chosen, team, seed):
    candles, features = random_market(seed=seed % 50)
    batch = TeamMarket(packed(candles, features), chosen, team, accounts=3, seed=seed)
    batch.reset()
    envs = [TeamEnv(candles, features, chosen, team) for _ in range(3)]
    for env, row in zip(envs, batch.rows, strict=True):
        env.reset(options={"start": int(row)})
    rng = np.random.default_rng(seed)
    for _ in range(40):
        proposals, given_weights = rng.integers(0, len(chosen.action.names), (3, 3)), allocated(rng, 3)
        batch.weigh(given_weights)
        stepped = batch.step(proposals)
        for i, env in enumerate(envs):
            found, reward, terminated, truncated, info = env.step((proposals[i], given_weights[i]))
            end = stepped.ends[i]
            assert (terminated, truncated) == (end == TERMINATED, end == TRUNCATED)
            own = batch.last_observations[i] if end else stepped.observations[i]
            assert np.abs(own - found).max() <= 1e-9
            assert stepped.rewards[i] == pytest.approx(np.float32(reward), rel=1e-6, abs=1e-9)
            assert batch.own_rewards[i] == pytest.approx(np.float32(info["rewards"]), rel=1e-5, abs=1e-7)
            assert batch.growths[i] == pytest.approx(info["growths"], rel=1e-9)
            if end:
                env.reset(options={"start": int(batch.rows[i])})


@settings(max_examples=50, deadline=None)
@given(shareable, st.integers(0, 10_000))
def test_the_accounts_equity_is_the_sum_of_its_slices(chosen, seed):
    candles, features = random_market(seed=seed % 50)
    env, rng = TeamEnv(candles, features, chosen, TEAM), np.random.default_rng(seed)
    env.reset(seed=seed)
    for _ in range(30):
        shares = allocated(rng, 1)[0]
        *_, terminated, truncated, info = env.step((rng.integers(0, len(chosen.action.names), 3), shares))
        close = candles.close[info["row"]]
        worth = shares @ (info["slices"][:, 0] + info["slices"][:, 1] * close)
        assert worth == pytest.approx(info["equity"], rel=1e-9)
        if terminated or truncated:
            break


LONG = EnvSettings(episode_bars=50, action=LEVELS)


@pytest.mark.parametrize("chosen", [LONG, replace(LONG, stop_loss=0.01)])
def test_a_team_that_agrees_trades_as_a_single_agent(chosen):
    candles, features = random_market(seed=3)
    team, alone = TeamEnv(candles, features, chosen, TEAM), TradingEnv(candles, features, chosen)
    team.reset(options={"start": 7})
    alone.reset(options={"start": 7})
    rng = np.random.default_rng(1)
    for _ in range(50):
        action, shares = int(rng.integers(0, 3)), allocated(rng, 1)[0]
        found, reward, *_, info = team.step(([action] * 3, shares))
        expected, own, *_ = alone.step(action)
        assert np.array_equal(found, expected)
        assert reward == own
        assert info["rewards"][0] == pytest.approx(own, abs=1e-12)


def test_weights_say_whose_wish_counts():
    candles, features = random_market(seed=3)
    env = TeamEnv(candles, features, LONG, TEAM)
    env.reset(options={"start": 7})
    *_, info = env.step(([2, 0, 0], [0.25, 0.5, 0.25]))
    assert info["exposure"] == pytest.approx(0.25, abs=0.01)
    *_, info = env.step(([2, 0, 1], [0.8, 0.0, 0.2]))
    assert info["exposure"] == pytest.approx(0.9, abs=0.01)


def test_later_bars_change_neither_quotes_nor_pay_nor_slices_of_earlier_ones():
    candles, features = random_market(bars=120, seed=5)
    changed = changed_after(candles, 60)
    paid = []
    for market in (candles, changed):
        batch = TeamMarket(packed(market, features), replace(LONG, episode_bars=0), TEAM, 1)
        batch.reset()
        rng, found = np.random.default_rng(2), []
        for _ in range(80):
            batch.step(rng.integers(0, 3, (1, 3)))
            found.append([*batch.own_rewards[0], *batch.growths[0]])
        paid.append(np.array(found))
    assert np.array_equal(paid[0][:60], paid[1][:60])  # step t ends at the close of bar t + 1
    assert not np.array_equal(paid[0][60:], paid[1][60:])


def test_a_desk_earns_its_spread_only_where_a_bar_trades_through_the_quote():
    def pay(low, high):
        close = np.full(4, 100.0)
        prices = np.full(4, 100.0), np.full(4, high), np.full(4, low), close
        candles = Candles(60_000, np.arange(4) * 60_000, *prices, np.ones(4))
        batch = TeamMarket(packed(candles, np.zeros((4, 1))), replace(LONG, episode_bars=0), TEAM, 1)
        batch.reset()
        batch.step(np.array([[0, 0, 0]]))
        return batch.own_rewards[0, 2]

    assert pay(99.8, 100.0) == 0.0  # the bid at 99.8 was touched, not passed
    assert pay(99.7, 100.0) == pytest.approx(
        0.1 * (0.002 - 0.0005) - 0.5 * 0.1, rel=0.02
    )  # less turnover's term
    assert pay(100.0, 100.3) == 0.0  # nothing is held that an ask could sell


def test_a_saved_state_continues_exactly():
    market = packed(*random_market(bars=2000))
    chosen = replace(LONG, episode_bars=30, trailing=0.01)
    one, two = (TeamMarket(market, chosen, TEAM, 8, seed) for seed in (1, 2))
    one.reset()
    walk(one, 20)
    two.set_state(one.state())
    for first, second in zip(walk(one, 40), walk(two, 40), strict=True):
        assert first == second


def walk(batch, steps):
    rng, found = np.random.default_rng(9), []
    for _ in range(steps):
        batch.weigh(allocated(rng, batch.size))
        stepped = batch.step(rng.integers(0, 3, (batch.size, 3)))
        found.append((stepped.observations.tobytes(), batch.own_rewards.tobytes(), batch.growths.tobytes()))
    return found


def test_what_cannot_be_shared_is_refused():
    market = packed(*random_market())
    futures = EnvSettings(market="futures", leverage=2.0)
    with pytest.raises(BadInput, match="spot"):
        TeamMarket(market, futures, TEAM, 2)
    with pytest.raises(BadInput, match="holding cannot"):
        TeamMarket(market, EnvSettings(), TEAM, 2)
    batch = TeamMarket(market, replace(LONG, episode_bars=30), TEAM, 2)
    batch.reset()
    with pytest.raises(ValueError, match=r"0\.\.2"):
        batch.step(np.array([[0, 1, 3], [0, 0, 0]]))
