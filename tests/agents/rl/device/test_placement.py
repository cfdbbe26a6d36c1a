"""Where a run learns: what a GPU can learn, what happens without one, and who is told."""

import re

import numpy as np
import pynvml
import pytest
import torch

from agents.evaluation.data import prepare
from agents.models import TrainingRun
from agents.progress import RunRow
from agents.rl import job
from agents.rl.device import placement
from agents.rl.device.placement import placed
from agents.rl.device.ppo import DevicePPO
from agents.rl.training import learn
from agents.services import card_of, reproduce, start_training
from agents.spec import TrainingSpec
from market import leases
from market.errors import BadInput
from tests.agents.markets import stored, walk
from tests.agents.rl.test_learning import SMALL, Ear

TENSORS = torch.device("cpu")  # stands in the GPU's place: the same code on another device
UNFIT = {
    "algorithm": ({"algorithm": "a2c", "ppo": {}}, "a2c learns on the CPU"),
    "futures": ({"trading": {"market": "futures", "leverage": 2}}, "spot market"),
    "cycles": ({"trading": {"dca_lots": 4}}, "averaging cycles"),
    "guards": ({"limits": {"exit_cooldown_s": 60}}, r"entry guards \(limits.exit_cooldown_s\)"),
    "stages": ({"curriculum": {"stages": "volatility"}}, "curriculum stages"),
}


def spec(**changes):
    return TrainingSpec.parse(SMALL | changes)


@pytest.fixture
def with_gpu(monkeypatch):
    monkeypatch.setattr(placement, "gpu", lambda: TENSORS)


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(placement, "gpu", lambda: None)


def test_the_cpu_is_where_runs_learn_that_ask_for_nothing(with_gpu):
    assert spec().device == "cpu"
    assert placed(spec()) == (None, "CPU", "")


@pytest.mark.parametrize("device", ["auto", "cuda"])
@pytest.mark.parametrize("algorithm", ["ppo", "fast_ppo"])
def test_who_asks_for_a_gpu_gets_the_one_that_is_there(with_gpu, device, algorithm):
    place = placed(spec(device=device, algorithm=algorithm))
    assert (place.device, place.note) == (TENSORS, "")


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_without_a_gpu_a_run_learns_on_the_cpu_and_says_so(without_gpu, device):
    place = placed(spec(device=device))
    assert (place.device, place.name) == (None, "CPU")
    assert place.note == f"Learns on the CPU: device={device} asks for a GPU, and torch finds none here."


@pytest.mark.parametrize("case", UNFIT)
def test_what_a_gpu_cannot_learn_is_refused_or_learned_on_the_cpu_by_choice(with_gpu, case):
    changes, words = UNFIT[case]
    with pytest.raises(BadInput, match=words) as refused:
        spec(device="cuda", **changes)
    assert refused.value.field == "device"
    place = placed(spec(device="auto", **changes))
    assert place.device is None
    assert re.search(words, place.note)


def test_an_unknown_device_is_refused():
    with pytest.raises(BadInput, match="'cpu', 'auto' or 'cuda'"):
        spec(device="tpu")


def test_a_run_goes_on_where_it_began(with_gpu):
    place = placed(spec(device="auto"), begun_on="CPU")
    assert place.device is None
    assert "where its checkpoint began" in place.note
    assert placed(spec(device="auto"), begun_on="tensors on the CPU") == (TENSORS, "tensors on the CPU", "")
    moved = placed(spec(device="auto"), begun_on="NVIDIA H200")
    assert moved.device == TENSORS
    assert "began on NVIDIA H200 and goes on on tensors on the CPU" in moved.note


def test_a_run_that_began_on_a_gpu_waits_for_one(without_gpu):
    with pytest.raises(BadInput, match=r"began on a GPU \(NVIDIA H200\)"):
        placed(spec(device="auto"), begun_on="NVIDIA H200")


@pytest.fixture
def started(db, user, django_capture_on_commit_callbacks):
    def start(**changes):
        series = stored(walk(1200), user)
        return start_training(owner=user, name="mine", spec=SMALL | {"series": series.pk, **changes})

    return start


def trained(run):
    """Do the run's job in this process; return its exit status and its row."""
    held = leases.acquire(run.lease_name)
    status = job.run(job.RowListener(RunRow(run, held.fence)))
    held.release()
    return status, TrainingRun.objects.get(pk=run.pk)


def test_a_run_that_asked_in_vain_is_that_of_the_cpu_and_its_row_says_why(started, without_gpu, tmp_path):
    status, run = trained(started(device="cuda"))
    assert status == job.EXIT_DONE
    assert run.device == "CPU"
    assert run.notes == ["Learns on the CPU: device=cuda asks for a GPU, and torch finds none here."]
    plain = TrainingSpec.parse(run.spec | {"device": "cpu"})
    outcome = learn(plain, prepare(run.series, plain), tmp_path, Ear())
    assert outcome.network.hash == run.weights_hash


def test_a_run_on_a_device_leaves_a_model_and_its_card_names_the_device(started, with_gpu):
    status, run = trained(started(device="auto"))
    assert status == job.EXIT_DONE
    assert (run.device, run.notes) == ("tensors on the CPU", [])
    assert card_of(run.model)["device"] == "tensors on the CPU"


def test_a_reproduction_on_another_device_says_so(started, without_gpu, monkeypatch):
    _, first = trained(started(device="auto"))
    assert first.device == "CPU"
    monkeypatch.setattr(placement, "gpu", lambda: TENSORS)
    again = reproduce(owner=first.owner, model=first.model)
    assert again.notes == []
    _, moved = trained(again)
    assert moved.notes == ["The card's run learned on CPU, this one does on tensors on the CPU."]
    _, same = trained(reproduce(owner=first.owner, card=card_of(first.model) | {"device": moved.device}))
    assert (same.device, same.notes) == (moved.device, [])


@pytest.fixture
def cuda(monkeypatch):
    """A GPU as torch speaks of it; what tells its load is set by the test."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2**30, 2**31))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 2**29)
    return lambda told: monkeypatch.setattr(torch.cuda, "utilization", told)


def test_a_gpu_tells_how_much_of_the_time_it_is_at_work(cuda):
    cuda(lambda: 37)
    assert job.gpu_use() == {"gpu_mb": 512.0, "gpu_free_mb": 1024.0, "gpu": 0.37}


def test_a_driver_that_does_not_tell_its_load_ends_no_run(cuda):
    def refuse():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    cuda(refuse)
    assert job.gpu_use() == {"gpu_mb": 512.0, "gpu_free_mb": 1024.0}


def test_a_full_gpu_fails_the_run_with_one_sentence_and_it_can_be_resumed(started, with_gpu, monkeypatch):
    asked, order = [], DevicePPO._order

    def full(self, generator):
        asked.append(1)
        if len(asked) == 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return order(self, generator)

    with monkeypatch.context() as patched:
        patched.setattr(DevicePPO, "_order", full)
        status, run = trained(started(device="cuda"))
    assert status == job.EXIT_FAILED
    said = run.error.partition("\n")[0]
    assert said.startswith("the GPU ran out of memory: use fewer environments")
    assert (job.run_folder(run.pk) / "checkpoint.pt").exists()
    status, run = trained(run)
    assert status == job.EXIT_DONE
    assert np.isfinite(run.fps)
