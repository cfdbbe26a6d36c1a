"""Nothing is read back between two updates: what would wait for a GPU is counted, and does not grow."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from agents.rl.device.ppo import DevicePPO
from agents.rl.device.vec_env import DeviceVecEnv
from tests.agents.fast.helpers import CONTINUOUS
from tests.agents.rl.device.devices import on_every_device
from tests.agents.rl.device.test_ppo import ENVS, make

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
