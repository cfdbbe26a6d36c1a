"""Small markets for the environments: seeded random walks, and every setting hypothesis can turn."""

import numpy as np
from hypothesis import strategies as st

from agents.envs.settings import TERMS, EnvSettings
from agents.spaces import ActionSpec
from market.candles import Candles
from market.kernel.reward import Terms
from market.plans import contradiction

START_MS = 345_600_000 - 7_200_000  # two hours before a Monday: day and week change within a small market


def random_market(bars=300, features=4, seed=1, volatility=0.004, price=100.0):
    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(rng.normal(0, volatility, bars)))
    open_ = np.concatenate(([price], close[:-1])) * np.exp(rng.normal(0, volatility / 4, bars))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, volatility / 2, bars)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, volatility / 2, bars)))
    candles = Candles(60_000, START_MS + np.arange(bars) * 60_000, open_, high, low, close, np.ones(bars))
    return candles, rng.normal(size=(bars, features)).astype(np.float32)


def fixed_market(prices, features=1):
    """Bars that open, peak, bottom and close at one price each."""
    price = np.array(prices, dtype=np.float64)
    candles = Candles(60_000, np.arange(len(price)) * 60_000, *[price] * 4, np.ones(len(price)))
    return candles, np.arange(len(price) * features, dtype=np.float32).reshape(-1, features)


actions = st.one_of(
    st.builds(ActionSpec, st.just("hold_buy_sell"), st.sampled_from([(0, 1), (-1, 1), (0, 0.5)])),
    st.builds(ActionSpec, st.just("levels"), st.sampled_from([(0, 0.25, 0.5, 1), (-1, -0.5, 0, 0.5, 1)])),
    st.builds(
        ActionSpec, st.just("continuous"), st.sampled_from([(0, 1), (-1, 1)]), st.sampled_from([0.0, 0.05])
    ),
)
fractions = st.sampled_from([0.0, 0.003, 0.01, 0.03])


def off_or(*values):
    """A rule that is mostly off: all together they would leave nothing to trade."""
    return st.sampled_from([0, 0, *values])


positions = {
    "stop_atr": off_or(1.5, 3.0),
    "trailing_atr": off_or(2.0),
    "trail_step": off_or(0.004),
    "reward_ratio": off_or(0.5, 2.0),
    "break_even": off_or(0.003, 0.01),
    "max_bars": off_or(3, 8),
    "atr_bars": st.sampled_from([1, 5, 14]),
    "size_fraction": off_or(0.3),
    "risk_per_trade": off_or(0.01),
    "volatility_target": off_or(0.005),
    "kelly_fraction": off_or(0.5),
    "kelly_trades": st.sampled_from([3, 50]),
    "kelly_min_trades": st.sampled_from([1, 3]),
    "streak_losses": off_or(1, 2),
    "resize_band": st.sampled_from([0.0, 0.1]),
    "dca_lots": off_or(4),
    "dca_reluctance": st.sampled_from([1.0, 4.0]),
    "dca_max_loss": st.sampled_from([0.0, 0.02]),
}


def coherent(**values):
    """Settings whose contradictions have been switched off."""
    while found := contradiction(values):
        values[found[0]] = 0
    return EnvSettings(**values)


watched = {
    "daily_loss": off_or(0.02),
    "weekly_loss": off_or(0.03),
    "safe_drawdown": off_or(0.01),
    "safe_share": st.sampled_from([0.05, 0.2]),
    "safe_cooldown_s": st.sampled_from([0.0, 600.0]),
    "max_loss_streak": off_or(1, 2),
    "exit_cooldown_s": off_or(120.0),
    "loss_cooldown_s": off_or(600.0),
    "max_trades_per_day": off_or(5),
    "max_order_share": off_or(0.3, 1.0),
    "max_position": off_or(60.0, 4_000.0),
}
weights = st.sampled_from([0.0, 0.0, 0.5, 3.0])
rewards = st.one_of(
    st.just(Terms(log_return=1.0)),
    st.builds(Terms, st.just(1.0), *[weights] * (len(TERMS) - 1), st.sampled_from([0.01, 0.2])),
)
costs_and_exits = {
    "fee_rate": st.sampled_from([0.0, 0.0005, 0.001]),
    "half_spread": fractions,
    "slippage": st.sampled_from([0.0, 0.0005]),
    "tick": st.sampled_from([0.0, 0.01, 0.0001]),
    "step": st.sampled_from([0.0, 0.001, 1.0]),
    "min_notional": st.sampled_from([0.0, 1.0, 500.0]),
    "fee_step": st.sampled_from([0.0, 1e-6]),
    "stop_loss": fractions,
    "take_profit": fractions,
    "trailing": fractions,
    "initial_cash": st.sampled_from([100.0, 10_000.0]),
    "ruin": st.sampled_from([0.1, 0.95]),
    "max_drawdown": st.sampled_from([0.0, 0.0, 0.02]),
    "action": actions,
    "reward": rewards,
    "reward_scale": st.sampled_from([1.0, 100.0]),
    "episode_bars": st.sampled_from([0, 1, 40]),
    "decision_every": st.sampled_from([1, 3]),
    "window": st.sampled_from([1, 5]),
}
plain_setting = st.builds(EnvSettings, **costs_and_exits)  # no rule of market.plans
futures_actions = st.one_of(
    st.builds(ActionSpec, st.just("levels"), st.sampled_from([(-2, -1, 0, 1, 2), (0, 0.5, 2)])),
    st.builds(ActionSpec, st.just("continuous"), st.sampled_from([(0, 2), (-2, 2)])),
)
on_margin = {
    "market": st.just("futures"),
    "leverage": st.sampled_from([2.0, 5.0, 50.0]),
    "max_exposure": st.just(2.0),
    "maintenance": st.sampled_from([0.0, 0.005, 0.01]),
    "funding_rate": st.just(0.0),
    "funding_hours": st.sampled_from([0.05, 0.5]),
    "action": futures_actions,
    "dca_lots": st.just(0),
}


@st.composite
def futures(draw, more=None):
    """Settings of a futures market, with funding that its maintenance margin can pay."""
    given = draw(st.fixed_dictionaries({**positions, **costs_and_exits, **on_margin, **(more or {})}))
    rate = draw(st.sampled_from([-1.0, 0.0, 0.3])) * given["maintenance"]
    return coherent(**given | {"funding_rate": rate})


futures_setting = futures()
watched_setting = st.one_of(
    st.builds(coherent, **positions, **costs_and_exits, **watched),
    futures(watched),
    st.builds(EnvSettings, **watched, episode_bars=st.sampled_from([0, 40])),
)
every_setting = st.one_of(plain_setting, st.builds(coherent, **positions, **costs_and_exits), futures_setting)
