"""How fast an agent learns: environment steps per second of wall time, learning included."""

import statistics
import time
from typing import Any

from agents.envs.batched import packed
from agents.spec import TrainingSpec
from benchmarks import bench_env, bench_fast_ppo, beside
from market.features import PRESETS, Scaler, compute
from market.synthetic import regime_market

ROLLOUT = 16_384


def run(
    bars: int | str = 100_000, rollouts: int | str = 3, repeat: int | str = 3, threads: int | str = 1,
    peers: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Return medians: fast PPO and plain PPO at the library's defaults, and plain PPO at a large batch.

    `fps_fast`, `fps_sb3` and `fps_two_cores` are of one run with 64x64 networks, batch 64 and 10 epochs (see
    bench_fast_ppo); `fps_sb3_batch_1024` uses 256 accounts, batch 1024, 10 epochs. Costs are on in all.

    :param rollouts: timed rollouts and updates per repeat, after one that warms up
    :param peers: Python of `make peers`: the library's PPO on gym-trading-env at its defaults, same run
    :param threads: what torch may use; on a busy machine a second one costs more than it brings
    """
    import torch

    torch.set_num_threads(int(threads))
    speeds = [_steps_per_s(int(bars), int(rollouts), seed) for seed in range(int(repeat))]
    together = bench_fast_ppo.run()
    keys = (
        "fps_fast",
        "fps_sb3",
        "fps_two_cores",
        "ratio",
        "fps_sb3_dummy",
        "ratio_dummy",
        "fps_per_cpu_second",
    )
    return {
        **{key: together[key] for key in keys},
        "fps_sb3_batch_1024": statistics.median(speeds),
        "threads": int(threads),
        **(_beside(peers, together["fps_fast"]) if peers else {}),
    }


def _beside(python: str, fps_fast: float) -> dict[str, float]:
    candles, rows = bench_env.market(500_000, 20)
    fps = beside.peers(python, candles, rows, "--ppo", seconds=20.0)["gym_trading_env_ppo"]
    return {"fps_peer_gym_trading_env": fps, "ratio_peer": fps_fast / fps}


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
