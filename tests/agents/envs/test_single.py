import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.envs.settings import EnvSettings
from agents.envs.single import TradingEnv
from agents.observation import observe
from agents.spaces import BUY, HOLD, SELL, ActionSpec
from market.candles import Candles
from market.errors import BadInput
from market.kernel.triggers import LIQUIDATION, STOP
from tests.agents.envs.markets import every_setting, fixed_market, random_market

FREE = EnvSettings(fee_rate=0.0, slippage=0.0, min_notional=0.0, episode_bars=0)


def with_(base, **changes):
    return EnvSettings.from_dict({**base.to_dict(), **changes})


@pytest.mark.parametrize("kind", ["hold_buy_sell", "levels", "continuous"])
def test_the_environment_honours_gymnasiums_contract(kind):
    env = TradingEnv(*random_market(), EnvSettings(action=ActionSpec(kind), episode_bars=50, window=3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its advice on unbounded observations
        check_env(env, skip_render_check=True)


def test_a_decision_fills_at_the_next_open_and_is_marked_at_its_close():
    _, features = fixed_market([100, 100, 100])
    open_, close = np.array([100.0, 110.0, 1.0]), np.array([100.0, 121.0, 1.0])
    candles = Candles(60_000, np.arange(3) * 60_000, open_, close, open_, close, np.ones(3))
    env = TradingEnv(candles, features, FREE)
    env.reset()
    _, reward, _, _, info = env.step(BUY)
    assert info["fills"][0].price == 110.0
    assert reward == pytest.approx(np.log(121 / 110))


def test_the_observation_is_the_window_and_then_the_portfolio():
    candles, features = fixed_market([100, 101, 102, 103], features=2)
    env = TradingEnv(candles, features, with_(FREE, window=2))
    observation, _ = env.reset()
    assert observation.tolist() == [0, 1, 2, 3, 0, 0, 0, 0, 1]
    observation, *_ = env.step(BUY)
    assert observation.tolist() == pytest.approx([2, 3, 4, 5, 1, 0, 1 / 1441, 0, 0])
    assert (observe(features[1:3], observation[-5:]) == observation).all()


def test_holding_nothing_earns_nothing_and_costs_nothing():
    env = TradingEnv(*random_market(), EnvSettings(episode_bars=40))
    env.reset(seed=3)
    assert [env.step(HOLD)[1] for _ in range(40)] == [0.0] * 40


def test_a_round_trip_pays_two_fees_and_the_spread():
    env = TradingEnv(*fixed_market([100.0] * 4), EnvSettings(episode_bars=0))
    env.reset()
    env.step(BUY)
    _, _, _, _, info = env.step(SELL)
    assert info["exposure"] == 0
    assert info["equity"] == pytest.approx(10_000 * (0.9995 / 1.0005) * 0.999 / 1.001, rel=1e-6)
    assert info["fees"] == pytest.approx(10_000 * 0.002, rel=0.002)


def test_a_stop_sells_inside_the_bar():
    env = TradingEnv(*fixed_market([100, 100, 90, 80]), with_(FREE, stop_loss=0.05))
    env.reset()
    env.step(BUY)
    _, _, _, _, info = env.step(HOLD)
    assert [(fill.reason, fill.price) for fill in info["fills"]] == [(STOP, 90.0)]
    assert info["exposure"] == 0


def test_the_episode_is_truncated_at_its_end_and_terminated_by_ruin():
    env = TradingEnv(*fixed_market([100.0] * 10), with_(FREE, episode_bars=3))
    env.reset(options={"start": 2})
    assert [env.step(HOLD)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    env = TradingEnv(*fixed_market([100, 100, 5, 5]), FREE)
    env.reset()
    assert [env.step(BUY)[2:4] for _ in range(2)] == [(False, False), (True, False)]


def test_a_fall_from_the_peak_ends_the_episode_as_it_halts_a_session():
    env = TradingEnv(*fixed_market([100, 100, 150, 136, 134, 134]), with_(FREE, max_drawdown=0.1))
    env.reset()
    assert [env.step(BUY)[2] for _ in range(4)] == [False, False, False, True]


def test_decisions_every_third_bar_sum_the_rewards_between_them():
    market = random_market(bars=61)
    slow, fast = (TradingEnv(*market, with_(FREE, decision_every=every)) for every in (3, 1))
    slow.reset()
    fast.reset()
    for action in (BUY, HOLD, SELL, BUY) * 5:
        observation, reward, _, truncated, _ = slow.step(action)
        parts = [fast.step(action if part == 0 else HOLD) for part in range(3)]
        assert reward == pytest.approx(sum(part[1] for part in parts))
        assert (observation == parts[-1][0]).all()
    assert truncated


def test_the_same_seed_starts_at_the_same_rows():
    env = TradingEnv(*random_market(), EnvSettings(episode_bars=40))
    rows = [env.reset(seed=seed)[1]["row"] for seed in (5, 5, 6)]
    again = [env.reset()[1]["row"] for _ in range(20)]
    assert rows[0] == rows[1]
    assert len({*again, rows[2]}) > 10


@settings(max_examples=25, deadline=None)
@given(every_setting, st.integers(0, 99), st.integers(20, 200))
def test_bars_after_a_decision_cannot_change_what_was_seen_or_earned(chosen, seed, cut):
    candles, features = random_market(seed=seed)
    other, noise = random_market(seed=seed + 1000, price=50.0)
    names = ("open", "high", "low", "close", "volume")
    columns = [np.concatenate((getattr(candles, name)[:cut], getattr(other, name)[cut:])) for name in names]
    mixed = Candles(60_000, candles.open_ms, *columns)
    envs = [
        TradingEnv(candles, features, chosen),
        TradingEnv(mixed, np.concatenate((features[:cut], noise[cut:])), chosen),
    ]
    starts = [env.reset(options={"start": chosen.window - 1})[0] for env in envs]
    assert (starts[0] == starts[1]).all()
    for action in np.random.default_rng(seed).integers(0, 3, 100):
        asked = np.array([action - 1.0], np.float32) if chosen.action.kind == "continuous" else action
        one, two = (env.step(asked) for env in envs)
        if one[4]["row"] >= cut:
            break
        assert one[0].tobytes() == two[0].tobytes()
        assert one[1:4] == two[1:4]
        if one[2] or one[3]:
            break


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c, f: (c, f[:-1]), "as many feature rows"),
        (lambda c, f: (c, np.where(f == f[7, 1], np.nan, f)), "row 7 column 1 is not finite"),
        (lambda c, f: (c[:30], f[:30]), "too few"),
        (
            lambda c, f: (Candles(c.interval_ms, c.open_ms, c.open * 0, c.high, c.low, c.close, c.volume), f),
            "above 0",
        ),
    ],
)
def test_data_that_does_not_fit_is_refused_in_one_sentence(spoil, words):
    with pytest.raises(BadInput, match=words):
        TradingEnv(*spoil(*random_market()), EnvSettings(episode_bars=40))


def test_real_candles_make_an_episode(shared_data):
    import pyarrow.parquet as pq

    table = pq.read_table(shared_data / "binance-BTCUSDT-1m-20241001-20241104.parquet").slice(0, 3000)
    columns = [
        table[name].to_numpy().astype(np.float64) for name in ("open", "high", "low", "close", "volume")
    ]
    candles = Candles(60_000, np.arange(3000) * 60_000, *columns)
    env = TradingEnv(candles, np.zeros((3000, 1), np.float32), EnvSettings(tick=0.01, step=0.00001))
    env.reset(seed=1)
    rewards = [env.step(action)[1] for action in np.random.default_rng(1).integers(0, 3, 1440)]
    assert -1.5 < sum(rewards) < -0.5  # about 320 round trips at 0.3 % each


LEVERED = EnvSettings(
    market="futures", leverage=5.0, max_exposure=5.0, funding_rate=0.001, funding_hours=0.1, episode_bars=0,
    action=ActionSpec("levels", (-5, 0, 5)), ruin=0.0,
)  # fmt: skip


def test_futures_pay_funding_and_are_liquidated_before_the_account_is_gone():
    env = TradingEnv(*fixed_market([100.0] * 14 + [80.0] * 3), LEVERED)
    env.reset()
    infos = [env.step(2)[-1] for _ in range(15)]
    assert infos[0]["exposure"] == pytest.approx(5, rel=0.02)
    assert infos[10]["funding"] == pytest.approx(
        2 * 0.001 * 50_000, rel=0.02
    )  # bars 5 and 11 close on the hour
    assert [fill.reason for info in infos for fill in info["fills"]].count(LIQUIDATION) == 1
    assert 0 <= infos[-1]["equity"] < 1000


@given(st.integers(5, 40), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_futures_up_to_a_bar_do_not_depend_on_later_bars(cut, seed):
    candles, features = random_market(bars=60, seed=seed, volatility=0.02)
    later = np.arange(60) > cut
    changed = [np.where(later, getattr(candles, name) * 1.7, getattr(candles, name)) for name in
               ("open", "high", "low", "close")]  # fmt: skip
    other = Candles(60_000, candles.open_ms, *changed, candles.volume)
    paths = []
    for market in (candles, other):
        env, rng = TradingEnv(market, features, LEVERED), np.random.default_rng(seed)
        env.reset(options={"start": 0})
        paths.append([env.step(int(rng.integers(0, 3)))[:2] for _ in range(cut)])
    for (seen, reward), (seen_, reward_) in zip(*paths, strict=True):
        assert (seen.tobytes(), reward) == (seen_.tobytes(), reward_)
