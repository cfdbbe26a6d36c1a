"""PPO on a device learns what the compiled PPO learns from the same rollouts and minibatches."""

import io

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from torch import nn

from agents.envs.settings import EnvSettings
from agents.rl.device.ppo import DevicePPO
from agents.rl.device.vec_env import DeviceVecEnv
from agents.rl.fast.ppo import FastPPO
from agents.rl.vec_env import TradingVecEnv
from agents.spaces import ActionSpec
from market.errors import BadInput
from tests.agents.fast.helpers import CONTINUOUS, distance, logged, noise_market, parameters
from tests.agents.rl.device.devices import on_every_device

ENVS, STEPS = 16, 32


def drawn(model, envs):
    """A rollout's random numbers, (steps, envs, 1), alike for both."""
    rng = np.random.default_rng((5, model.num_timesteps))
    is_discrete = hasattr(model.action_space, "n")
    return (rng.random if is_discrete else rng.standard_normal)((STEPS, envs, 1), dtype=np.float32)


class SameOrder:
    """Draws the order of minibatches from the updates done."""

    def train(self):
        self.rng = np.random.default_rng((6, self._n_updates))
        super().train()

    def _permutation(self):
        return self.rng.permutation(STEPS * ENVS)


class Compiled(SameOrder, FastPPO):
    def _noise(self, steps, envs):
        return drawn(self, envs)

    def _order(self, generator):
        return self._permutation()


class OnDevice(SameOrder, DevicePPO):
    def _noise(self, accounts, generator):
        if self.rollout_buffer.pos == 0:
            self.numbers = drawn(self, accounts)
        return torch.as_tensor(self.numbers[self.rollout_buffer.pos], device=self.device)

    def _order(self, generator):
        return torch.as_tensor(self._permutation(), device=self.device)


def market(env_cls, action=None, **given):
    chosen = EnvSettings(action=action or ActionSpec(), reward_scale=100.0, episode_bars=40, stop_loss=0.01)
    return env_cls(noise_market(), chosen, ENVS, 1, **given)


def make(cls, env_cls, action=None, activation=nn.Tanh, device=None, steps=STEPS, **given):
    env = market(env_cls, action, **({"device": device} if device else {}))
    kwargs = {"net_arch": [16, 16], "activation_fn": activation}
    given = {"batch_size": 64, "n_epochs": 4, "seed": 3, **given}
    model = cls("MlpPolicy", env, n_steps=steps, policy_kwargs=kwargs, device=device or "cpu", **given)
    model.set_logger(configure(None, []))
    return model


CASES = {
    "defaults": {},
    "gaussian": {"action": CONTINUOUS, "ent_coef": 0.01},
    "levels, relu, clipped values": {
        "action": ActionSpec("levels", (-1, -0.5, 0, 0.5, 1)), "activation": nn.ReLU, "clip_range_vf": 0.2
    },
    "rest batch, plain advantages": {"batch_size": 100, "normalize_advantage": False, "max_grad_norm": 10.0},
    "tight clip that shrinks": {
        "clip_range": lambda left: 0.02 * left, "learning_rate": 1e-3, "ent_coef": 0.02
    },
    "ended by KL": {"target_kl": 0.004, "learning_rate": 3e-3, "n_epochs": 8},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
@on_every_device
@pytest.mark.parametrize("case", CASES)
def test_three_rollouts_and_their_updates_give_the_weights_of_the_compiled_ppo(case, device):
    ours = make(OnDevice, DeviceVecEnv, device=device, **CASES[case])
    theirs = make(Compiled, TradingVecEnv, **CASES[case])
    before = parameters(theirs)
    for model in (ours, theirs):
        model.learn(3 * STEPS * ENVS)
    ours.policy.cpu()
    assert distance(before, parameters(theirs)) > 1e-3
    assert distance(parameters(ours), parameters(theirs)) < 1e-4
    assert ours._n_updates == theirs._n_updates
    assert (ours._n_updates < 3 * ours.n_epochs) == ("KL" in case)
    for name, value in logged(theirs).items():
        assert logged(ours)[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name


class Watch(BaseCallback):
    """Notes what a callback of the library can see."""

    def __init__(self):
        super().__init__()
        self.rewards, self.rollouts = [], 0

    def _on_step(self):
        self.rewards.append(float(self.locals["rewards"].mean()))
        return self.num_timesteps < 5 * ENVS * STEPS

    def _on_rollout_end(self):
        self.rollouts += 1


@on_every_device
def test_callbacks_and_episode_figures_are_those_of_the_compiled_ppo(device):
    ours = make(OnDevice, DeviceVecEnv, device=device)
    theirs = make(Compiled, TradingVecEnv)
    seen = [Watch(), Watch()]
    for model, watch in zip((ours, theirs), seen, strict=True):
        model.learn(10**6, callback=watch)  # ended by the callback
    assert len(seen[0].rewards) == len(seen[1].rewards) == 5 * STEPS
    assert seen[0].rollouts == seen[1].rollouts == 4
    np.testing.assert_allclose(seen[0].rewards, seen[1].rewards, rtol=1e-4, atol=1e-6)
    found, expected = list(ours.ep_info_buffer), list(theirs.ep_info_buffer)
    known = [episode["l"] for episode in found]
    assert known == [episode["l"] for episode in expected[: len(known)]]
    np.testing.assert_allclose(
        [episode["r"] for episode in found], [e["r"] for e in expected[: len(found)]], rtol=1e-4, atol=1e-5
    )


@on_every_device
def test_a_saved_model_opens_as_plain_ppo_and_goes_on_as_its_own(device):
    model = make(DevicePPO, DeviceVecEnv, device=device)
    model.learn(STEPS * ENVS)
    archive = io.BytesIO()
    model.save(archive)
    archive.seek(0)
    plain = PPO.load(archive, device="cpu")
    seen = model.rollout_buffer.observations
    expected, _ = model.predict(seen, deterministic=True)
    assert (plain.predict(seen, deterministic=True)[0] == expected).all()
    archive.seek(0)
    again = DevicePPO.load(archive, env=model.env, device=device)
    again.learn(STEPS * ENVS, reset_num_timesteps=False)
    assert again.num_timesteps == 2 * STEPS * ENVS


@on_every_device
def test_any_algorithm_of_the_library_can_step_the_market_of_tensors(device):
    learned = []
    for env in (market(DeviceVecEnv, device=device), market(TradingVecEnv)):
        model = A2C("MlpPolicy", env, seed=3, device="cpu")  # seeds the library's only generator
        model.learn(20 * model.n_steps * ENVS)
        learned.append(parameters(model))
    assert distance(*learned) < 1e-4


def test_what_it_cannot_learn_is_refused():
    with pytest.raises(BadInput, match="a market there, not TradingVecEnv"):
        make(DevicePPO, TradingVecEnv)
    with pytest.raises(BadInput, match="state-dependent exploration"):
        make(DevicePPO, DeviceVecEnv, action=CONTINUOUS, use_sde=True)
