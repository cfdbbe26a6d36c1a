"""Environment steps per second, random actions: long only with fees, slippage, rounding, stops and resets;
the same with shorts; and with shorts, sizing by volatility and stops by range (`advance_planned`).
"""

import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np

from agents.envs.baskets import BatchedBasket, packed_basket
from agents.envs.batched import BatchedMarket, packed
from agents.envs.settings import EnvSettings
from agents.envs.single import TradingEnv
from agents.spaces import ActionSpec
from benchmarks import beside
from market.candles import Candles

SETTINGS = EnvSettings(
    half_spread=0.0001, tick=0.01, step=0.00001, stop_loss=0.02, take_profit=0.03, trailing=0.02
)
SHORTS = replace(SETTINGS, action=ActionSpec("hold_buy_sell", (-1.0, 1.0)))
SIZED = replace(SHORTS, volatility_target=0.02, stop_loss=0.0, stop_atr=2.0)

PAIRS = ("A/USD", "B/USD", "C/USD", "D/USD")
BASKET = EnvSettings(
    half_spread=0.0001, tick=0.01, step=0.00001, action=ActionSpec("weights", (0.0, 1.0), 0.01, PAIRS)
)


def market(bars: int, features: int, seed: int = 7) -> tuple[Candles, np.ndarray]:
    """Return a random walk of one-minute bars and as many rows of noise as features."""
    rng = np.random.default_rng(seed)
    close = 60_000.0 * np.exp(np.cumsum(rng.normal(0.0, 5e-4, bars)))
    open_ = np.concatenate(([60_000.0], close[:-1])) * np.exp(rng.normal(0.0, 1e-5, bars))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 3e-4, bars)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 3e-4, bars)))
    candles = Candles(60_000, np.arange(bars) * 60_000, open_, high, low, close, np.ones(bars))
    return candles, rng.normal(size=(bars, features)).astype(np.float32)


def basket(bars: int, features: int, n_envs: int) -> BatchedBasket:
    """Return accounts over four pairs, that see as many numbers as those of one pair do."""
    made = [market(bars, features, seed) for seed in range(7, 7 + len(PAIRS))]
    rows = np.concatenate([rows for _, rows in made], axis=1)
    found = BatchedBasket(packed_basket(tuple(candles for candles, _ in made), rows), BASKET, n_envs)
    found.reset(1)
    return found


def run(
    n_envs: Any = 1024, bars: Any = 500_000, features: Any = 20, repeats: Any = 7, peers: str = ""
) -> dict[str, Any]:
    """Measure the compiled market, its VecEnv, accounts of four pairs and the single environment on one core.

    Figures are medians of repeats. `sized` is the market with shorts, sizing and stops by range.

    :param peers: Python of `make peers`: other projects' environments on the same bars, in the same run
    """
    from agents.rl.vec_env import TradingVecEnv  # loads torch, which nothing else here needs

    n_envs, bars, repeats = int(n_envs), int(bars), int(repeats)
    candles, rows = market(bars, int(features))
    shared, ranged = packed(candles, rows), packed(candles, rows, SIZED.atr_bars)
    actions = np.random.default_rng(1).integers(0, 3, (64, n_envs))
    batch, vec = BatchedMarket(shared, SETTINGS, n_envs), TradingVecEnv(shared, SETTINGS, n_envs)
    single = TradingEnv(candles, rows, SETTINGS)
    more = {"shorts": BatchedMarket(shared, SHORTS, n_envs), "sized": BatchedMarket(ranged, SIZED, n_envs)}
    for one in (batch, *more.values()):
        one.reset(1)
    vec.reset()
    single.reset(seed=1)
    portfolio = basket(bars, int(features) // len(PAIRS) or 1, n_envs)
    weights = np.random.default_rng(2).uniform(-1, 1, (64, n_envs, len(PAIRS)))
    figures: dict[str, list[float]] = {name: [] for name in ("env", "vec", "single", "basket", *more)}
    for _ in range(repeats):
        figures["env"].append(n_envs * _rate(batch.step, actions, 2_000_000 // n_envs + 64))
        figures["vec"].append(n_envs * _rate(vec.step, actions, 2_000_000 // n_envs + 64))
        figures["single"].append(_rate(single.step, actions[:, 0], 1_400))
        for name, one in more.items():
            figures[name].append(n_envs * _rate(one.step, actions, 1_000_000 // n_envs + 64))
        figures["basket"].append(n_envs * _rate(portfolio.step, weights, 200_000 // n_envs + 8))
        single.reset()
    return {
        "env_steps_per_s": statistics.median(figures["env"]),
        "shorts_steps_per_s": statistics.median(figures["shorts"]),
        "sized_steps_per_s": statistics.median(figures["sized"]),
        "vecenv_steps_per_s": statistics.median(figures["vec"]),
        "single_env_steps_per_s": statistics.median(figures["single"]),
        "portfolio_steps_per_s": statistics.median(figures["basket"]),
        "portfolio_pairs": len(PAIRS),
        "n_envs": n_envs,
        "bars": bars,
        "observation_floats": batch.observation_size,
        **(
            {f"peer_{name}": value for name, value in beside.peers(peers, candles, rows).items()}
            if peers
            else {}
        ),
    }


def _rate(step: Any, actions: np.ndarray, calls: int) -> float:
    began = time.perf_counter()
    for call in range(calls):
        step(actions[call % len(actions)])
    return calls / (time.perf_counter() - began)
