"""Market and PPO as torch tensors on one device: decisions and frames per second by accounts."""

import statistics
import time
from functools import partial
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.logger import configure

from agents.envs.batched import BatchedMarket, PackedMarket, packed
from agents.rl.device.placement import gpu, name_of
from agents.rl.device.ppo import DevicePPO
from agents.rl.device.vec_env import DeviceVecEnv
from benchmarks.bench_env import SETTINGS, market
from market.errors import BadInput

ON_A_GPU, ON_THE_CPU = (1_024, 8_192, 32_768, 65_536), (256, 1_024, 4_096)
SAMPLES = 512 * 1024  # of one update on a GPU; a CPU takes an eighth


def run(
    device: str = "auto", bars: Any = 500_000, features: Any = 20, repeats: Any = 3, n_envs: Any = 0
) -> dict[str, Any]:
    """Measure the market alone and PPO with it (64x64, four epochs, eight minibatches); medians of repeats.

    :param device: cuda, cpu, or auto: the GPU where there is one
    :param n_envs: one number of accounts instead of the usual ones
    :raises BadInput: for another device, or a GPU where there is none
    """
    place = _device(device)
    shared = packed(*market(int(bars), int(features)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = [_at(shared, place, count, int(repeats)) for count in _counts(place, int(n_envs))]
    finally:
        torch.set_num_threads(threads)
    figures = {name: value for part in found for name, value in part.items()}
    return {"device": name_of(place), "bars": int(bars), **figures}


def _at(shared: PackedMarket, device: torch.device, accounts: int, repeats: int) -> dict[str, float]:
    """Return the figures for one number of accounts; the compiled market's beside them on a CPU."""
    steps, samples = 64, SAMPLES if device.type == "cuda" else SAMPLES // 8
    env = DeviceVecEnv(shared, SETTINGS, accounts, 1, device)
    env.reset()
    rng = np.random.default_rng(1)
    actions = torch.as_tensor(rng.integers(0, 3, (steps, accounts)), device=device)
    n_steps = max(2, samples // accounts)
    model = DevicePPO(
        "MlpPolicy", env, n_steps=n_steps, batch_size=max(2, n_steps * accounts // 8), n_epochs=4, seed=1,
        device=device, policy_kwargs={"net_arch": [64, 64]},
    )  # fmt: skip
    model.set_logger(configure(None, []))
    model.learn(n_steps * accounts)  # the first kernels are chosen and memory is taken
    update = partial(model.learn, n_steps * accounts, reset_num_timesteps=False)
    stepped, learned, compiled = [], [], []
    batch = BatchedMarket(shared, SETTINGS, accounts, 1)
    batch.reset()
    on_host = actions.cpu().numpy()
    for _ in range(repeats):
        stepped.append(_rate(lambda: _walk(env, actions), steps * accounts, device))
        env.episodes(0)  # forget them
        learned.append(_rate(update, n_steps * accounts, device))
        if device.type == "cpu":
            compiled.append(_rate(lambda: [batch.step(row) for row in on_host], steps * accounts, device))
    beside = {f"compiled_env_steps_per_s_{accounts}": statistics.median(compiled)} if compiled else {}
    return {
        f"env_steps_per_s_{accounts}": statistics.median(stepped),
        f"frames_per_s_{accounts}": statistics.median(learned),
        **beside,
    }


def _walk(env: DeviceVecEnv, actions: torch.Tensor) -> None:
    for row in actions:
        env.advance(row)


def _rate(work: Any, count: int, device: torch.device) -> float:
    """Return how much of `count` work does per second, once the device has done it."""
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return count / (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _device(asked: str) -> torch.device:
    found = gpu()
    if asked not in ("auto", "cpu", "cuda"):
        raise BadInput(f"device must be auto, cpu or cuda, not {asked!r}", "device")
    if asked == "cuda" and found is None:
        raise BadInput("torch finds no GPU here: take device=cpu", "device")
    return torch.device("cpu") if asked == "cpu" or found is None else found


def _counts(device: torch.device, asked: int) -> tuple[int, ...]:
    if asked:
        return (asked,)
    return ON_A_GPU if device.type == "cuda" else ON_THE_CPU
