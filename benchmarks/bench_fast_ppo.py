"""Training frames per second, environment and learning included: fast PPO beside the library's own PPO.

Everyone trains the same network on the same market with the same settings on one thread; the repeats are
interleaved, the figures are medians.
"""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agents.envs.batched import packed
from agents.envs.single import TradingEnv
from benchmarks.bench_env import SETTINGS, market

PEER_ENVS = 8  # of the DummyVecEnv, as in the measurements of other projects


def run(
    n_envs: Any = 64,
    rollout: Any = 16_384,
    batch_size: Any = 64,
    epochs: Any = 10,
    width: Any = 64,
    bars: Any = 500_000,
    features: Any = 20,
    repeats: Any = 5,
    slow_repeats: Any = 2,
) -> dict[str, Any]:
    """Measure whole iterations, rollout and update, of `rollout` frames.

    :param slow_repeats: iterations of the library's PPO, which take about fifty times as long
    """
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    from agents.rl.fast.ppo import FastPPO
    from agents.rl.vec_env import TradingVecEnv

    n_envs, rollout, width = int(n_envs), int(rollout), int(width)
    given = {
        "batch_size": int(batch_size),
        "n_epochs": int(epochs),
        "policy_kwargs": {"net_arch": [width, width]},
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    candles, rows = market(int(bars), int(features))
    shared = packed(candles, rows)

    def vec(seed: int) -> TradingVecEnv:
        return TradingVecEnv(shared, SETTINGS, n_envs, seed)

    def learner(cls: Any, env: Any, seed: int) -> Any:
        model = cls("MlpPolicy", env, n_steps=rollout // env.num_envs, seed=seed, device="cpu", **given)
        return _begun(model)

    fast, slow = learner(FastPPO, vec(1), 1), learner(PPO, vec(1), 1)
    peer = learner(PPO, DummyVecEnv([lambda: TradingEnv(candles, rows, SETTINGS)] * PEER_ENVS), 1)
    pair = [learner(FastPPO, vec(seed), seed) for seed in (2, 3)]
    figures: dict[str, list[tuple[float, float]]] = {"fast": [], "sb3": [], "sb3_dummy": [], "two": []}
    try:
        for repeat in range(int(repeats)):
            figures["fast"].append(_rate([fast]))
            figures["two"].append(_rate(pair))
            if repeat < int(slow_repeats):
                figures["sb3"].append(_rate([slow]))
                figures["sb3_dummy"].append(_rate([peer]))
    finally:
        torch.set_num_threads(threads)
    wall, cpu = (
        {name: statistics.median(value[n] for value in values) for name, values in figures.items()}
        for n in (0, 1)
    )
    return {
        "fps_fast": wall["fast"],
        "fps_sb3": wall["sb3"],
        "fps_sb3_dummy": wall["sb3_dummy"],
        "fps_two_seeds": wall["two"],
        "fps_two_cores": wall["two"],
        "ratio": wall["fast"] / wall["sb3"],
        "ratio_dummy": wall["fast"] / wall["sb3_dummy"],
        "fps_per_cpu_second": cpu,  # what a busy machine would do if it were idle
        "settings": {
            "n_envs": n_envs, "rollout": rollout, "batch_size": int(batch_size), "epochs": int(epochs),
            "net_arch": [width, width], "bars": int(bars), "features": int(features),
        },
    }  # fmt: skip


def _begun(model: Any) -> Any:
    """Compile what is compiled and let memory settle, with one iteration of a single epoch."""
    from stable_baselines3.common.logger import configure

    model.set_logger(configure(None, []))
    epochs, model.n_epochs = model.n_epochs, 1
    model.learn(model.n_steps * model.n_envs)
    model.n_epochs = epochs
    return model


def _rate(models: list[Any]) -> tuple[float, float]:
    """Return frames per second of one iteration of each model, in a thread each; of wall and of CPU time."""

    def iterate(model: Any) -> float:
        began = time.thread_time()
        model.learn(model.n_steps * model.n_envs, reset_num_timesteps=False)
        return time.thread_time() - began

    frames = sum(model.n_steps * model.n_envs for model in models)
    with ThreadPoolExecutor(len(models)) as pool:
        began = time.perf_counter()
        busy_s = sum(pool.map(iterate, models))
        return frames / (time.perf_counter() - began), frames / busy_s
