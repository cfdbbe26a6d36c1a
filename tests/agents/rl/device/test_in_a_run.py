"""A training run on a device: resumes exactly, says what it says on the CPU, survives a full GPU."""

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from agents.evaluation.data import prepare
from agents.policies.network import Network
from agents.rl.device.ppo import DevicePPO
from agents.rl.training import Stopped, learn
from agents.spec import TrainingSpec
from market.errors import BadInput
from tests.agents.markets import stored, walk
from tests.agents.rl.device.devices import on_every_device
from tests.agents.rl.test_learning import SMALL, Ear

SPEC = TrainingSpec.parse(
    SMALL | {"algorithm": "fast_ppo", "averaging": 0.5, "reward": {"normalise": "returns"}, "device": "auto"}
)


@pytest.fixture
def ready(db, user):
    return prepare(stored(walk(1200), user), SPEC)


@pytest.fixture
def learned(ready, tmp_path):
    """Learn in a folder of this name."""

    def run(name, device, ear=None, spec=SPEC):
        return learn(spec, ready, tmp_path / name, ear or Ear(), device=torch.device(device))

    return run


@on_every_device
def test_the_same_seed_gives_the_same_weights_and_a_killed_run_ends_with_them(learned, device):
    whole = learned("whole", device)
    assert learned("again", device).network.hash == whole.network.hash
    with pytest.raises(KeyboardInterrupt):
        learned("killed", device, Ear(kill_at=150))
    resumed = learned("killed", device)
    assert resumed.network.hash == whole.network.hash
    assert resumed.metrics == whole.metrics
    assert resumed.normaliser == whole.normaliser


@on_every_device
def test_a_stopped_run_goes_on_from_its_checkpoint(learned, device):
    whole = learned("whole", device)
    with pytest.raises(Stopped):
        learned("stopped", device, Ear(stop_at=100))
    assert learned("stopped", device).network.hash == whole.network.hash


def told(values):
    """Names of figures; those of the judging part depend on what was traded there."""
    return {name for name in values if not name.startswith("valid_")}


@on_every_device
def test_a_run_reports_what_one_on_the_cpu_does(learned, ready, tmp_path, device):
    ours, theirs = Ear(), Ear()
    learned("device", device, ours)
    learn(SPEC, ready, tmp_path / "cpu", theirs)
    assert ours.metrics.keys() == theirs.metrics.keys()
    for step, values in theirs.metrics.items():
        assert told(ours.metrics[step]) == told(values)
    assert ours.saved == theirs.saved
    assert ours.views.keys() == theirs.views.keys()
    first = min(theirs.metrics)
    assert ours.metrics[first]["return_deviation"] == pytest.approx(
        theirs.metrics[first]["return_deviation"], rel=0.2
    )


@on_every_device
def test_the_saved_model_opens_as_plain_ppo_and_thinks_as_the_network_does(learned, tmp_path, device):
    outcome = learned("run", device)
    assert isinstance(outcome.network, Network)
    (tmp_path / "policy.zip").write_bytes(outcome.policy_zip)
    plain = PPO.load(tmp_path / "policy.zip", device="cpu")
    seen = np.random.default_rng(0).normal(size=(50, outcome.network.inputs)).astype(np.float32)
    actions, _ = plain.predict(seen, deterministic=True)
    assert [int(np.argmax(outcome.network.act(row))) for row in seen] == actions.tolist()


@on_every_device
def test_a_gpu_that_runs_out_of_memory_leaves_the_checkpoint_to_go_on_from(learned, device, monkeypatch):
    whole = learned("whole", device)
    order, asked = DevicePPO._order, []

    def full(self, generator):
        asked.append(self.num_timesteps)
        if len(asked) == 5:  # two epochs of each update: the third one's first
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return order(self, generator)

    monkeypatch.setattr(DevicePPO, "_order", full)
    with pytest.raises(torch.OutOfMemoryError):
        learned("full", device)
    monkeypatch.undo()
    ear = Ear()
    assert learned("full", device, ear).network.hash == whole.network.hash
    assert min(ear.metrics) >= asked[-1] - 256  # not from the beginning


def test_a_checkpoint_of_another_device_is_refused(learned, ready, tmp_path):
    with pytest.raises(Stopped):
        learned("here", "cpu", Ear(stop_at=100))
    with pytest.raises(BadInput, match="another device"):
        learn(SPEC, ready, tmp_path / "here", Ear())
