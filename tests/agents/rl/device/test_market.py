"""The market of tensors walks the compiled market's path."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.envs.batched import TERMINATED, BatchedMarket, packed
from agents.envs.settings import EnvSettings
from agents.rl.device.market import DeviceMarket
from agents.spaces import BUY, ActionSpec
from market.errors import BadInput
from market.kernel.reward import Terms
from tests.agents.envs.markets import coherent, costs_and_exits, fixed_market, positions, random_market
from tests.agents.envs.test_batched import drawn
from tests.agents.markets import changed_after
from tests.agents.rl.device.devices import on_every_device

STATISTICS = ("kelly", "streak", "dca")
CARRIED = {name: values for name, values in positions.items() if not name.startswith(STATISTICS)}
carried_setting = st.builds(coherent, **CARRIED, **costs_and_exits)
LIVELY = EnvSettings(
    episode_bars=30, decision_every=3, window=2, stop_loss=0.01, trailing=0.01, half_spread=0.0002, tick=0.01,
    step=0.001, max_drawdown=0.05, action=ActionSpec("levels", (-1, -0.5, 0, 0.5, 1)),
    reward=Terms(log_return=1, sharpe=1, sortino=0.5, turnover=0.1), trailing_atr=2.0, reward_ratio=2.0,
)  # fmt: skip


@pytest.fixture
def market():
    return packed(*random_market(bars=600))


def walk(batch, steps, seed=1):
    rng = np.random.default_rng(seed)
    return [batch.step(drawn(batch.action, rng, batch.size)) for _ in range(steps)]


def require_alike(one, two):
    assert one.ends.tolist() == two.ends.tolist()
    assert one.ended == two.ended
    np.testing.assert_allclose(one.observations, two.observations, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(one.rewards, two.rewards, rtol=1e-4, atol=1e-6)


@on_every_device
@settings(max_examples=40, deadline=None)
@given(chosen=carried_setting, seed=st.integers(0, 10_000))
def test_every_account_walks_the_compiled_markets_path(device, chosen, seed):
    market = packed(*random_market(seed=seed % 50))
    ours = DeviceMarket(market, chosen, 12, seed, device)
    theirs = BatchedMarket(market, chosen, 12, seed)
    assert (ours.reset() == theirs.reset()).all()
    rng = np.random.default_rng(seed)
    for _ in range(30):
        actions = drawn(chosen.action, rng, 12)
        one, two = ours.step(actions), theirs.step(actions)
        require_alike(one, two)
        assert (ours.rows == theirs.rows).all()
        over = one.ends > 0
        last = ours.last_observations[over], theirs.last_observations[over]
        np.testing.assert_allclose(*last, rtol=1e-5, atol=1e-7)


@on_every_device
@pytest.mark.parametrize("kind", ["levels", "continuous"])
def test_tensors_in_and_out_are_arrays_in_and_out(market, device, kind):
    action = ActionSpec("continuous", (-1, 1)) if kind == "continuous" else ActionSpec()
    chosen = EnvSettings(episode_bars=30, stop_loss=0.01, action=action)
    ours, theirs = DeviceMarket(market, chosen, 9, 1, device), BatchedMarket(market, chosen, 9, 1)
    ours.reset()
    theirs.reset()
    rng = np.random.default_rng(2)
    for _ in range(60):
        actions = (
            rng.uniform(-1, 1, (9, 1)).astype(np.float32) if kind == "continuous" else drawn(action, rng, 9)
        )
        moved, stepped = ours.advance(torch.as_tensor(actions, device=device)), theirs.step(actions)
        assert moved.ends.tolist() == stepped.ends.tolist()
        np.testing.assert_allclose(moved.rewards.cpu(), stepped.rewards, rtol=1e-4, atol=1e-7)
        seen = ours.observed(ours.at, ours.portfolios)
        np.testing.assert_allclose(seen.cpu(), stepped.observations, rtol=1e-5, atol=1e-7)


@on_every_device
def test_a_saved_state_continues_exactly(market, device):
    batch, other = (DeviceMarket(market, LIVELY, 8, seed, device) for seed in (1, 2))
    batch.reset()
    walk(batch, 30)
    other.set_state(batch.state())
    assert (other.observations() == batch.observations()).all()
    for one, two in zip(walk(batch, 40, seed=9), walk(other, 40, seed=9), strict=True):
        assert one.observations.tobytes() == two.observations.tobytes()
        assert one.rewards.tobytes() == two.rewards.tobytes()
    with pytest.raises(BadInput, match="shape"):
        DeviceMarket(market, LIVELY, 9, 1, device).set_state(batch.state())


@on_every_device
def test_a_share_of_the_costs_and_chosen_starts_act_as_in_the_compiled_market(market, device):
    both = DeviceMarket(market, LIVELY, 16, 3, device), BatchedMarket(market, LIVELY, 16, 3)
    for batch in both:
        batch.set_costs(0.3)
        batch.set_starts(np.array([7, 7, 40]))
        batch.reset()
    assert set(both[0].rows) == {7, 40}
    for one, two in zip(*(walk(batch, 40) for batch in both), strict=True):
        require_alike(one, two)


@on_every_device
def test_bars_that_are_still_to_come_change_nothing(device):
    candles, features = random_market(bars=300)
    poisoned = features.copy()
    poisoned[151:] = 7.0
    one = DeviceMarket(packed(candles, features), LIVELY, 8, 5, device)
    two = DeviceMarket(packed(changed_after(candles, 150), poisoned), LIVELY, 8, 5, device)
    for batch in (one, two):
        batch.set_starts(np.array([100, 130]))
        batch.reset()
    for now, then in zip(walk(one, 6), walk(two, 6), strict=True):
        assert now.observations.tobytes() == then.observations.tobytes()
        assert now.rewards.tobytes() == then.rewards.tobytes()
    assert 140 < one.rows.max() <= 150
    assert any(
        (now.rewards != then.rewards).any() for now, then in zip(walk(one, 9), walk(two, 9), strict=True)
    )


def test_the_number_of_accounts_changes_no_path(market):
    few, many = (DeviceMarket(market, LIVELY, count, 4) for count in (5, 300))
    few.reset()
    many.reset()
    rng = np.random.default_rng(1)
    for _ in range(30):
        actions = drawn(many.action, rng, 300)
        one, two = few.step(actions[:5]), many.step(actions)
        assert one.rewards.tobytes() == two.rewards[:5].tobytes()


@on_every_device
def test_ruin_ends_an_episode_and_the_next_begins_with_fresh_cash(device):
    market = packed(*fixed_market([100.0, 100.0, 5.0, 5.0]))
    batch = DeviceMarket(market, EnvSettings(episode_bars=0), 1, 0, device)
    batch.reset()
    ends = [batch.step(np.array([BUY])) for _ in range(2)]
    assert [int(step.ends[0]) for step in ends] == [0, TERMINATED]
    assert ends[1].observations[0, -5:].tolist() == [0, 0, 0, 0, 1]
    assert batch.last_observations[0, -5] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("actions", [[-1, 0], [0, 5]])
def test_an_action_that_does_not_exist_is_an_error(market, actions):
    batch = DeviceMarket(market, LIVELY, 2)
    batch.reset()
    with pytest.raises(ValueError, match=r"0\.\.4"):
        batch.step(np.array(actions))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"market": "futures"}, "spot market"),
        ({"kelly_fraction": 0.5}, "Kelly"),
        ({"streak_losses": 2}, "after losses"),
        ({"dca_lots": 4}, "averaging cycles"),
        ({"daily_loss": 0.05}, "breakers and entry guards"),
        ({"max_trades_per_day": 3}, "breakers and entry guards"),
    ],
)
def test_rules_that_tensors_do_not_carry_are_refused(market, rule, words):
    with pytest.raises(BadInput, match=words) as refused:
        DeviceMarket(market, EnvSettings(**rule), 2)
    assert refused.value.field.partition(".")[2] == next(iter(rule))
