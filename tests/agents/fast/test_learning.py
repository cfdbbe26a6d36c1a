"""Fast PPO learns what plain PPO learns."""

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure

from agents.envs.batched import BatchedMarket, PackedMarket, packed
from agents.envs.settings import EnvSettings
from agents.rl.fast.ppo import FastPPO
from agents.rl.vec_env import TradingVecEnv
from agents.spaces import BUY, SELL
from market.candles import Candles

BARS = 3_000
FREE = EnvSettings(fee_rate=0.0, slippage=0.0, min_notional=0.0, episode_bars=100, reward_scale=100.0)


def planted_market(seed: int) -> PackedMarket:
    """Return a market whose one feature says, four times in five, which way the next bar goes."""
    rng = np.random.default_rng(seed)
    rises = rng.random(BARS) < 0.5
    price = 100.0 * np.exp(np.concatenate(([0.0], np.cumsum(np.where(rises, 0.01, -0.01)))))  # (BARS + 1,)
    opens, close = price[:-1], price[1:]
    candles = Candles(
        60_000, np.arange(BARS) * 60_000, opens, np.maximum(opens, close), np.minimum(opens, close), close,
        np.ones(BARS),
    )  # fmt: skip
    told = np.where(rng.random(BARS) < 0.8, rises, ~rises)
    return packed(candles, np.roll(np.where(told, 1.0, -1.0), -1).astype(np.float32)[:, None])


def score(model, market: PackedMarket) -> float:
    """Return the mean reward of a decision on fresh paths, of the most likely actions."""
    batch = BatchedMarket(market, FREE, 64, seed=9)
    observations, total = batch.reset(9), 0.0
    for _ in range(100):
        actions, _ = model.predict(observations, deterministic=True)
        stepped = batch.step(actions)
        observations, total = stepped.observations, total + float(stepped.rewards.mean())
    return total / 100


class Told:
    """Does what the feature says: the best there is."""

    def predict(self, observations: np.ndarray, deterministic: bool) -> tuple[np.ndarray, None]:
        return np.where(observations[:, 0] > 0, BUY, SELL), None


def scores(cls) -> np.ndarray:
    found = []
    for seed in (1, 2, 3):
        env = TradingVecEnv(planted_market(seed), FREE, 16, seed)
        model = cls("MlpPolicy", env, n_steps=64, batch_size=256, learning_rate=1e-3, seed=seed, device="cpu")
        model.set_logger(configure(None, []))
        found.append(score(model.learn(6 * 1024), planted_market(seed + 10)))
    return np.array(found)


def test_it_reaches_the_score_of_plain_ppo():
    fast, plain = scores(FastPPO), scores(PPO)
    best = np.array([score(Told(), planted_market(seed + 10)) for seed in (1, 2, 3)])
    assert plain.mean() > 0.9 * best.mean() > 0.1
    assert fast.mean() == pytest.approx(plain.mean(), abs=0.05)
