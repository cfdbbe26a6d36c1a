"""Exits, breakers and guards of a portfolio: what acts on a pair, what on the account, and in backtests."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.backtest import Limits
from agents.backtest.basket import Stretch, simulate_basket
from agents.envs.basket import BasketEnv
from agents.envs.settings import EnvSettings
from agents.policies.port import ObservationNeeds
from agents.policies.weights import Weighed
from agents.spaces import ActionSpec
from agents.spec import TrainingSpec
from market.basket import Account
from market.candles import Candles
from market.features import PRESETS, Scaler, compute
from market.kernel.breakers import SAFE
from market.kernel.triggers import STOP, TAKE, TRAILING
from tests.agents.envs.baskets import EXITS, NAMES
from tests.agents.envs.markets import coherent, off_or, watched
from tests.agents.markets import changed_after, walk

TWO = ActionSpec("weights", (0.0, 1.0), 0.0, NAMES[:2])
FREE = {"fee_rate": 0.0, "slippage": 0.0, "min_notional": 0.0, "fee_step": 0.0, "episode_bars": 0}


def fixed(*prices):
    """Return candles of pairs whose bars open, peak, bottom and close at one price each."""
    times = np.arange(len(prices[0])) * 60_000
    rows = [np.array(row, dtype=np.float64) for row in prices]
    return tuple(Candles(60_000, times, *[row] * 4, np.ones(len(row))) for row in rows)


def stepped(candles, weights, **given):
    """Return the environment after these weights, the weights held after each, and whether it was lost."""
    env = BasketEnv(
        candles, np.zeros((len(candles[0]), 1), np.float32), EnvSettings(**FREE, action=TWO, **given)
    )
    env.reset()
    ends = [env.step([2 * weight - 1 for weight in each])[2:5:2] for each in weights]
    return env, [tuple(round(weight, 4) for weight in info["weights"]) for _, info in ends], ends


HALVES = [(0.5, 0.5)]
FLAT = [100.0] * 8


def test_each_pair_has_a_stop_of_its_own_and_may_be_bought_back():
    falling = [100, 100, 94, 94, 94, 94, 94, 94]
    _, held, ends = stepped(fixed(falling, FLAT), HALVES * 4, stop_loss=0.05)
    assert held == [(0.5, 0.5), (0, 0.5), (0.5, 0.5), (0.5, 0.5)]
    place, fill = ends[1][1]["fills"][-1]
    assert (place, fill.price, fill.reason) == (0, 94, STOP)


def left(end):
    """Return which pairs a step's rules have sold, and by which rule."""
    return [(place, fill.reason) for place, fill in end[1]["fills"] if fill.reason]


def test_targets_and_trailing_stops_are_each_pairs_own():
    rising, turning = [100, 100, 106, 106, 106], [100, 100, 120, 113, 113]
    kept = [(0.5, 0.5)] * 3
    _, _, ends = stepped(fixed(rising, turning), kept, take_profit=0.05, trailing=0.05)
    assert left(ends[1]) == [(0, TAKE), (1, TAKE)]
    _, _, ends = stepped(fixed(rising, turning), kept, trailing=0.05)
    assert [left(end) for end in ends] == [[], [], [(1, TRAILING)]]


@pytest.mark.parametrize("rule", ["daily_loss", "weekly_loss", "max_drawdown"])
def test_loss_limits_act_on_the_whole_account(rule):
    """One pair loses 12 % of its half: 6 % of the account."""
    falling = [100, 100, 88, 88, 88]
    for rising, is_lost in ((FLAT[:5], True), ([100, 100, 112, 112, 112], False)):
        ends = stepped(fixed(falling, rising), HALVES * 2, **{rule: 0.05})[2]
        assert [lost for lost, _ in ends] == [False, is_lost]


def test_safe_mode_by_drawdown_holds_for_all_pairs_and_a_losing_streak_for_its_own():
    falling = [100, 100, 96, 96, 96, 96, 96, 96]
    asked = [*HALVES, (0, 0.5), (0, 0.5), (0.5, 0), *HALVES]
    env, held, _ = stepped(
        fixed(falling, FLAT), asked, safe_drawdown=0.02, safe_share=0.1, safe_cooldown_s=1e5
    )
    assert env.account.watches[-1].state == SAFE
    assert held[2:] == [(0, 0.5), (0.1, 0), (0.1, 0.1)]
    env, held, _ = stepped(
        fixed(falling, FLAT), asked, max_loss_streak=1, safe_share=0.1, safe_cooldown_s=1e5
    )
    assert [one.state for one in env.account.watches] == [SAFE, 0, 0]
    assert held[2:] == [(0, 0.5), (0.1, 0), (0.1, 0.5)]


def test_cool_downs_and_the_days_trades_are_counted_pair_by_pair():
    asked = [*HALVES, (0, 0.5), *HALVES, *HALVES, *HALVES]
    candles = fixed(FLAT, FLAT)
    assert stepped(candles, asked)[1] == [(0.5, 0.5), (0, 0.5), (0.5, 0.5), (0.5, 0.5), (0.5, 0.5)]
    cool = stepped(candles, asked, exit_cooldown_s=120.0)[1]
    assert cool == [(0.5, 0.5), (0, 0.5), (0, 0.5), (0.5, 0.5), (0.5, 0.5)]
    assert stepped(candles, asked, max_trades_per_day=2)[1][2:] == [(0, 0.5)] * 3


def test_caps_cut_each_order_to_its_share_of_the_account_and_its_pairs_value():
    candles = fixed(FLAT, FLAT)
    asked = HALVES * 3
    assert stepped(candles, asked, max_order_share=0.2)[1] == [(0.2, 0.2), (0.4, 0.4), (0.5, 0.5)]
    assert stepped(candles, asked, max_position=3_000.0)[1] == [(0.3, 0.3)] * 3


class Recited:
    """A policy that wants what it was given, one opinion after the other."""

    name, policy_hash, decision_every = "recited", "", 1

    def __init__(self, wanted, candles):
        rows = [compute(one, PRESETS["price"]) for one in candles]
        self.rows = np.concatenate(rows, axis=1)
        scaler = Scaler.fit(self.rows[PRESETS["price"].warmup :])
        self.observation = ObservationNeeds(PRESETS["price"], scaler, 1, 100.0, len(candles))
        self.action_spec, self.left = TWO, [tuple(row) for row in wanted]

    def weigh(self, observation):
        row = self.left.pop(0)
        return Weighed(row, row, None)


limits = st.fixed_dictionaries({**watched, "max_drawdown": off_or(0.03)})
exits = st.fixed_dictionaries(
    {**EXITS, "stop_loss": off_or(0.01), "take_profit": off_or(0.02), "trailing": off_or(0.01)}
)


@settings(max_examples=30, deadline=None)
@given(limits, exits, st.integers(0, 1000))
def test_the_environment_walks_the_backtests_path_until_a_breaker_halts(limits, exits, seed):
    candles = tuple(walk(420, seed=seed % 7 + at, volatility=0.006) for at in range(2))
    rng = np.random.default_rng(seed)
    wanted = rng.uniform(0, 0.5, (420, 2)) * (rng.uniform(size=(420, 2)) < 0.7)
    policy = Recited(wanted, candles)
    rules = replace(coherent(**exits, tick=0.01, episode_bars=340), action=TWO)
    run = simulate_basket(Stretch(candles, policy.rows, 0), policy, rules, limits=Limits(**limits))
    env = BasketEnv(candles, np.zeros((420, 1), np.float32), replace(rules, **limits, ruin=0.0))
    env.reset(options={"start": policy.observation.first_row})
    place, is_lost, is_over = 0, False, False
    while not (is_lost or is_over):
        _, _, is_lost, is_over, info = env.step(2 * wanted[place] - 1)
        place += 1
        assert info["equity"] == pytest.approx(run.equity[place], rel=1e-12)
        assert info["weights"] == pytest.approx(run.held[place], rel=1e-12)
    ended_ms = candles[0].open_ms[env.row] + 60_000
    assert run.halted_ms == ended_ms if is_lost else run.halted_ms is None or run.halted_ms > ended_ms
    if is_lost and place + 1 < len(run.held):
        assert run.held[place + 1 :].max() <= 1e-9, "every pair is left at the next open, for good"


def test_what_comes_after_a_bar_changes_no_fill_before():
    """Look-ahead: levels and breakers of a backtest know closed bars only."""
    candles = tuple(walk(300, seed=at + 1, volatility=0.006) for at in range(2))
    wanted = np.random.default_rng(1).uniform(0, 0.5, (300, 2))
    given = {"stop_atr": 2.0, "trailing": 0.01, "take_profit": 0.02, "break_even": 0.005}
    rules = replace(EnvSettings(**given), action=TWO)
    limits = Limits(daily_loss=0.05, safe_drawdown=0.01, max_loss_streak=2, exit_cooldown_s=120)
    found = []
    for factor in (1.0, 1.3):
        policy = Recited(wanted, candles)
        changed = tuple(changed_after(one, 200, factor) for one in candles)
        run = simulate_basket(Stretch(changed, policy.rows, 0), policy, rules, limits=limits)
        past, last_ms = 201 - policy.observation.first_row, candles[0].open_ms[200]
        fills = [one for one in zip(run.places, run.fills, strict=True) if one[1][0] <= last_ms]
        found.append((fills, run.equity[:past].tolist(), run.equity[past:].tolist()))
    assert found[0][0] == found[1][0]
    assert {fill.reason for _, (_, fill) in found[0][0]} >= {0, 3}
    assert found[0][1] == found[1][1]
    assert found[0][2] != found[1][2]


def test_a_spec_of_a_portfolio_takes_exits_and_limits():
    chosen = {
        "pairs": ["A/USD", "B/USD"],
        "limits": {"daily_loss": 0.05},
        "trading": {"stop_loss": 0.1, "max_bars": 9},
    }
    env = TrainingSpec.parse(chosen).env_settings()
    assert (env.is_watched, env.has_exits, env.watch_rules().limits.daily_loss) == (True, True, 0.05)
    plain = TrainingSpec.parse({"pairs": ["A/USD", "B/USD"]}).env_settings()
    assert (plain.is_watched, plain.has_exits) == (False, False)


def test_an_account_without_rules_remembers_nothing():
    account = Account(100.0, EnvSettings(**FREE).rules(), [0.0], [0.0])
    assert account.watching is None
    account.ask([1.0], [10.0], 0.0)
    account.trade([10.0])
    assert account.mark([5.0]) == 50
    assert account.halt == 0
