"""Breakers and entry guards in the environment: what they do, and that a backtest does the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.backtest import Limits, simulate
from agents.decide import Decider, DecisionSettings
from agents.envs.settings import EnvSettings
from agents.envs.single import TradingEnv
from agents.policies import baseline
from agents.spaces import BUY, HOLD, SELL, ActionSpec
from agents.spec import TrainingSpec
from market.candles import Candles
from market.errors import BadInput
from market.features import compute
from market.kernel.breakers import SAFE
from market.kernel.portfolio import exposure_of
from tests.agents.envs.markets import fixed_market, watched
from tests.agents.markets import walk

FREE = {"fee_rate": 0.0, "slippage": 0.0, "min_notional": 0.0, "fee_step": 0.0, "episode_bars": 0}


def stepped(prices, actions, **given):
    """Return the environment after these actions, the exposures after each, and whether it was lost."""
    env = TradingEnv(*fixed_market(prices), EnvSettings(**FREE, **given))
    env.reset()
    ends = [env.step(action)[2:5:2] for action in actions]
    return env, [round(info["exposure"], 6) for _, info in ends], ends[-1][0]


def test_an_entry_waits_for_the_cool_down_after_an_exit():
    prices, actions = [100.0] * 9, [BUY, SELL, BUY, BUY, BUY, BUY]
    assert stepped(prices, actions)[1] == [1, 0, 1, 1, 1, 1]
    # Sold at minute 2; of the decisions at minutes 3, 4 and 5 the second comes 120 seconds later.
    assert stepped(prices, actions, exit_cooldown_s=120.0)[1] == [1, 0, 0, 1, 1, 1]
    assert stepped(prices, actions, loss_cooldown_s=120.0)[1] == [1, 0, 1, 1, 1, 1]  # nothing was lost
    falling = [100, 100, 90, 90, 90, 90, 90, 90, 90]
    assert stepped(falling, actions, loss_cooldown_s=120.0)[1] == [1, 0, 0, 1, 1, 1]


def test_an_exit_inside_a_bar_counts_from_its_close():
    price, low = np.full(8, 100.0), np.full(8, 100.0)
    low[3] = 95.0  # the stop fills in minute 3
    candles = Candles(60_000, np.arange(8) * 60_000, price, price, low, price, np.ones(8))
    features, path = np.zeros((8, 1), np.float32), {}
    for wait in (0.0, 60.0, 61.0, 120.0):
        env = TradingEnv(candles, features, EnvSettings(**FREE, stop_loss=0.03, exit_cooldown_s=wait))
        env.reset()
        path[wait] = [round(env.step(BUY)[4]["exposure"]) for _ in range(6)]
    # Of the decisions at the closes of minutes 3, 4 and 5 the last is two minutes after the exit.
    assert path[0.0] == [1, 1, 0, 1, 1, 1]
    assert path[60.0] == [1, 1, 0, 0, 1, 1]
    assert path[61.0] == path[120.0] == [1, 1, 0, 0, 0, 1]


def test_the_days_trades_are_counted_and_leaving_is_always_allowed():
    actions = [BUY, SELL, BUY, SELL, BUY, SELL]
    assert stepped([100.0] * 9, actions, max_trades_per_day=3)[1] == [1, 0, 1, 0, 0, 0]


def test_caps_cut_entries_and_let_exits_pass():
    prices, actions = [100.0] * 9, [BUY, BUY, BUY, SELL, BUY]
    assert stepped(prices, actions, max_order_share=0.4)[1] == [0.4, 0.8, 1, 0, 0.4]
    assert stepped(prices, actions, max_position=3_000.0)[1] == [0.3, 0.3, 0.3, 0, 0.3]
    assert stepped(prices, actions, max_position=5_000.0, max_order_share=0.4)[1] == [0.4, 0.5, 0.5, 0, 0.4]
    rising = [100.0, 100, 200, 200, 200]  # what has grown beyond the value is kept, and nothing is added
    assert stepped(rising, [BUY, BUY, BUY], max_position=5_000.0)[1] == [0.5, 0.666667, 0.666667]


def test_a_halting_breaker_loses_the_episode():
    prices = [100, 100, 97, 94, 94]
    assert stepped(prices, [BUY, HOLD, HOLD])[2] is False
    for rule in ("daily_loss", "weekly_loss", "max_drawdown"):
        assert stepped(prices, [BUY, HOLD], **{rule: 0.05})[2] is False
        assert stepped(prices, [BUY, HOLD, HOLD], **{rule: 0.05})[2] is True


def test_safe_mode_leaves_exits_and_tiny_trades():
    prices = [100, 100, 98, 98, 98, 98, 98]
    env, exposures, is_lost = stepped(
        prices, [BUY, HOLD, SELL, BUY, BUY], safe_drawdown=0.02, safe_share=0.05, safe_cooldown_s=1e5
    )
    assert (env.watch.state, is_lost) == (SAFE, False)
    assert exposures == [1, 1, 0, 0.05, 0.05]
    soon = stepped(prices, [BUY, HOLD, SELL, BUY, BUY], safe_drawdown=0.02, safe_cooldown_s=60.0)
    assert soon[1] == [1, 1, 0, 1, 1]


@settings(max_examples=40, deadline=None)
@given(st.fixed_dictionaries(watched))
def test_the_environment_walks_the_backtests_path_until_a_breaker_halts(limits):
    candles, policy = walk(700, seed=8, volatility=0.01), baseline("random", turnover=0.5)
    rows, seen = compute(candles, policy.observation.feature_set), []
    decider, rules = Decider(policy, DecisionSettings.from_dict({})), EnvSettings(episode_bars=0)
    run = simulate(
        candles, rows, decider, rules, first=0, limits=Limits(**limits),
        watch=lambda row, made: seen.append((row, made.target)),
    )  # fmt: skip
    action = ActionSpec("levels", (0.0, 1.0), 0.0)
    chosen = EnvSettings(
        **{**rules.to_dict(), **limits, "action": action, "reward": rules.reward, "episode_bars": 690}
    )
    env = TradingEnv(candles, np.zeros((len(candles), 1), np.float32), chosen)
    env.reset(options={"start": seen[0][0]})
    assert len(seen) > 650 or run.halted_ms is not None

    for place, (_, target) in enumerate(seen):
        env._bar(env._allowed(target, exposure_of(env.book.cash, env.book.held, candles.close[env.row])))
        assert env._info([])["equity"] == pytest.approx(run.equity[place + 1], rel=1e-12)
        if env._is_ruined():
            break
    ended_ms = candles.open_ms[env.row] + candles.interval_ms
    assert run.halted_ms == (ended_ms if env._is_ruined() else None)


def test_a_spec_says_which_and_refuses_what_makes_no_sense():
    spec = TrainingSpec.parse({"limits": {"exit_cooldown_s": 600, "daily_loss": 0.03}})
    assert spec.env_settings().watch_rules().guards.exit_cooldown_ms == 600_000
    assert spec.env_settings().watch_rules().limits.daily_loss == 0.03
    assert spec.env_settings().is_watched
    assert not TrainingSpec.parse({}).env_settings().is_watched
    capped = TrainingSpec.parse({"limits": {"max_order_share": 0.25, "max_position": 5000}}).env_settings()
    assert (capped.is_watched, capped.rules().max_order_share, capped.rules().max_position) == (
        True,
        0.25,
        5e3,
    )
    for limits, field in (
        ({"daily_loss": 1.5}, "limits.daily_loss"),
        ({"mood": 1}, "limits.mood"),
        ({"max_order_share": 1.1}, "limits.max_order_share"),
        ({"max_position": -1}, "limits.max_position"),
    ):
        with pytest.raises(BadInput) as error:
            TrainingSpec.parse({"limits": limits})
        assert error.value.field == field


def test_a_day_begins_at_its_first_close_even_after_a_gap():
    minute, midnight = 60_000, 86_400_000
    opens = midnight + minute * np.array([-4, -3, -2, 5, 6, 7])
    price = np.array([100.0, 100, 96, 96, 94, 91])
    candles = Candles(minute, opens, *[price] * 4, np.ones(6))
    env = TradingEnv(candles, np.zeros((6, 1), np.float32), EnvSettings(**FREE, daily_loss=0.05))
    env.reset()
    assert [env.step(BUY)[2] for _ in range(5)] == [False] * 4 + [
        True
    ]  # 94 is 6 % below the start, 2 % below the day's
    assert env.watch.day_equity == pytest.approx(9600)
