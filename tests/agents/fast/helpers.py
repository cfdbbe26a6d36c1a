"""Small markets, and the library's own update of the same minibatches beside ours."""

import copy

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure

from agents.envs.batched import PackedMarket, packed
from agents.envs.settings import EnvSettings
from agents.rl.fast.ppo import FastPPO
from agents.rl.vec_env import TradingVecEnv
from agents.spaces import ActionSpec
from market.candles import Candles

CONTINUOUS = ActionSpec("continuous", (-1.0, 1.0))


class SharedOrder(FastPPO):
    """Fast PPO that takes minibatches in the order in which the library's buffer would give them."""

    def _order(self, generator):
        places = np.random.permutation(self.n_steps * self.n_envs)  # env * steps + step
        return places % self.n_steps * self.n_envs + places // self.n_steps


def noise_market(bars: int = 2_000, features: int = 20, seed: int = 7) -> PackedMarket:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, bars)))
    opens = np.concatenate(([100.0], close[:-1]))
    candles = Candles(
        60_000,
        np.arange(bars) * 60_000,
        opens,
        np.maximum(opens, close),
        np.minimum(opens, close),
        close,
        np.ones(bars),
    )
    return packed(candles, rng.normal(size=(bars, features)).astype(np.float32))


def make(
    cls=FastPPO, *, market=None, envs=16, steps=32, action=None, net_arch=(16, 16), activation=None,
    optimizer=None, **given,
):  # fmt: skip
    settings = EnvSettings(action=action or ActionSpec(), reward_scale=100.0, episode_bars=200)
    env = TradingVecEnv(market or noise_market(), settings, envs, 1)
    arch = net_arch if isinstance(net_arch, dict) else list(net_arch)
    kwargs = {"net_arch": arch, **({"activation_fn": activation} if activation else {})}
    kwargs |= {"optimizer_kwargs": optimizer} if optimizer else {}
    given = {"batch_size": 64, "n_epochs": 2, "seed": 3, **given}
    model = cls("MlpPolicy", env, n_steps=steps, policy_kwargs=kwargs, device="cpu", **given)
    model.set_logger(configure(None, []))
    return model


def rollout(model) -> None:
    """Fill the buffer once more."""
    _, callback = model._setup_learn(10**9, reset_num_timesteps=False)
    assert model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)


def parameters(model) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in model.policy.state_dict().items()}


def distance(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    assert one.keys() == other.keys()
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


def logged(model) -> dict[str, float]:
    return {name: float(value) for name, value in model.logger.name_to_value.items()}


def both_updates(model) -> dict:
    """Update by our `train`, then from the same state and in the same order by the library's."""
    state = copy.deepcopy((model.policy.state_dict(), model.policy.optimizer.state_dict(), model._n_updates))
    before, results = parameters(model), {"moved": 0.0}
    for name, train in (("fast", type(model).train), ("slow", PPO.train)):
        model.policy.load_state_dict(state[0])
        model.policy.optimizer.load_state_dict(copy.deepcopy(state[1]))
        model._n_updates = state[2]
        np.random.seed(5)
        train(model)
        adam = model.policy.optimizer.state_dict()["state"]
        moments = {f"{i}.{k}": torch.as_tensor(v).numpy().copy() for i in adam for k, v in adam[i].items()}
        results[name] = parameters(model), moments, logged(model)
    return results | {"moved": distance(before, results["slow"][0])}
