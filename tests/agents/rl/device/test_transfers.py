"""Nothing is read back between two updates: what would wait for a GPU is counted, and does not grow."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from agents.envs.batched import packed
from agents.envs.settings import EnvSettings
from agents.rl.device import thinking
from agents.rl.device.ppo import DevicePPO
from agents.rl.device.vec_env import DeviceVecEnv
from tests.agents.envs.markets import random_market
from tests.agents.fast.helpers import CONTINUOUS
from tests.agents.rl.device.devices import on_every_device
from tests.agents.rl.device.test_market import LIVELY
from tests.agents.rl.device.test_ppo import ENVS, make

SIZED = EnvSettings(
    episode_bars=30, stop_atr=2.0, risk_per_trade=0.01, volatility_target=0.01, size_fraction=0.5, step=0.001,
    break_even=0.01, max_bars=8, trailing=0.02, trail_step=0.004,
)  # fmt: skip
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "item", "equal", "is_nonzero")


class Waiting(TorchDispatchMode):
    """Counts the operations whose answer the host must wait for."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITS or (name == "_to_copy" and "device" in (kwargs or {})):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def rollout(model):
    """Fill the buffer once more."""
    _, callback = model._setup_learn(10**9, reset_num_timesteps=False)
    assert model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)


@on_every_device
@pytest.mark.parametrize("action", [None, CONTINUOUS], ids=["discrete", "gaussian"])
def test_a_rollout_waits_as_often_however_long_it_is(device, action):
    waited = []
    for steps in (8, 32):
        model = make(DevicePPO, DeviceVecEnv, action=action, device=device, steps=steps, batch_size=ENVS)
        model.env.normalise(0.99)
        rollout(model)  # first of all, room is made
        with Waiting() as waiting:
            rollout(model)
        waited.append(waiting.found)
    assert 0 < len(waited[0]) == len(waited[1]) <= 4  # cut episodes, figures of the last ones


@on_every_device
def test_a_minibatch_waits_for_nothing_and_an_update_for_its_figures(device):
    model = make(DevicePPO, DeviceVecEnv, device=device)
    rollout(model)
    order = model._order(model._generator(1))
    with Waiting() as waiting:
        for places in order.split(model.batch_size):
            loss, _ = model._loss(places, model._clips())
            loss.backward()
    assert waiting.found == []
    model.train()
    assert math.isfinite(model.logger.name_to_value["train/loss"])
    assert torch.isfinite(loss)


def on_meta(found):
    """Every tensor among an object's attributes, and whether it is where the device's are."""
    values = [value for one in vars(found).values() for value in (one if isinstance(one, tuple) else (one,))]
    return [value.device.type == "meta" for value in values if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize("chosen", [LIVELY, SIZED], ids=["exits", "sizes"])
def test_decisions_and_updates_need_no_number_and_no_tensor_of_the_host(chosen):
    """Tensors of torch's `meta` device have no values, and mix with no other device's in arithmetic."""
    env = DeviceVecEnv(packed(*random_market(bars=600)), chosen, ENVS, 1, "meta")
    env.normalise(0.99)
    model = DevicePPO("MlpPolicy", env, n_steps=4, batch_size=32, seed=1, device="meta")
    rollout = model._rollout(env)
    with torch.no_grad():
        while not rollout.full:
            seen = env.batch.observed(env.batch.at, env.batch.portfolios)
            noise = torch.rand((ENVS, 1), device="meta")
            actions, values, log_probs = thinking.act(model.policy, seen, noise)
            rollout.keep(actions, values, log_probs, torch.zeros(ENVS, device="meta"))
            rollout.earn(env.advance(actions))
        rollout.estimate(values, 0.99, 0.95)
    loss, figures = model._loss(torch.arange(32, device="meta"), model._clips())
    loss.backward()
    model.policy.optimizer.step()
    assert loss.is_meta
    assert figures.is_meta
    for found in (env, env.batch, rollout):
        assert on_meta(found)
        assert all(on_meta(found))
