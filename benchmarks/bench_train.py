"""How fast an agent learns: environment steps per second of wall time, learning included."""

import statistics
import time
from typing import Any

from agents.envs.batched import packed
from agents.spec import TrainingSpec
from market.features import PRESETS, Scaler, compute
from market.synthetic import regime_market

ROLLOUT = 16_384


def run(
    bars: int | str = 100_000, rollouts: int | str = 3, repeat: int | str = 3, threads: int | str = 1
) -> dict[str, Any]:
    """Return medians of plain PPO (stable-baselines3) on the batched market.

    64x64 network, 256 accounts, rollouts of 16,384 steps, batch 1024, 10 epochs, core features, costs on.
    `fps_fast` and `fps_two_cores` belong to a fused PPO and are null until there is one.

    :param rollouts: timed rollouts and updates per repeat, after one that warms up
    :param threads: what torch may use; on a busy machine a second one costs more than it brings
    """
    import torch

    torch.set_num_threads(int(threads))
    speeds = [_steps_per_s(int(bars), int(rollouts), seed) for seed in range(int(repeat))]
    return {
        "fps_fast": None,
        "fps_sb3": statistics.median(speeds),
        "fps_two_cores": None,
        "batch_size": 1024,
        "epochs": 10,
        "threads": int(threads),
    }


def _steps_per_s(bars: int, rollouts: int, seed: int) -> float:
    from agents.rl.algorithms import BUILDERS
    from agents.rl.vec_env import TradingVecEnv

    spec = TrainingSpec.parse({"seed": seed, "ppo": {"n_envs": 256, "n_steps": ROLLOUT // 256}})
    candles, feature_set = regime_market(bars, 7), PRESETS["core"]
    rows = compute(candles, feature_set)[feature_set.warmup :]
    market = packed(candles[feature_set.warmup :], Scaler.fit(rows).transform(rows))
    model = BUILDERS["ppo"](spec, TradingVecEnv(market, spec.env_settings(), 256, seed))
    model.learn(ROLLOUT)
    began = time.perf_counter()
    model.learn(ROLLOUT * rollouts, reset_num_timesteps=False)
    return ROLLOUT * rollouts / (time.perf_counter() - began)
