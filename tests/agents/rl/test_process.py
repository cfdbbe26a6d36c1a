"""The real thing: worker, training process, kill -9, take-over. Its own database, its own processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.evaluation.data import prepare
from agents.rl.training import learn
from agents.spec import TrainingSpec
from market import services
from tests.agents.rl.test_learning import Ear

ROOT = Path(__file__).resolve().parents[3]
SERIES = {"name": "kill", "bars": 3000, "seed": 1, "pair": "SIM/USD"}
SPEC = {
    "features": "price",
    "episode_bars": 200,
    "steps": 20480,
    "seed": 5,
    "ppo": {"n_envs": 16, "n_steps": 64, "batch_size": 256, "epochs": 5},
    "checkpoint_every": 2048,
    "validate_every": 4096,
}
PREPARE = f"""
from django.contrib.auth import get_user_model
from agents import services
from market import services as markets
ada = get_user_model().objects.create_user("ada")
series = markets.synthesize(**{SERIES!r})
services.start_training(owner=ada, name="killed", spec={SPEC!r} | {{"series": series.pk}})
"""
TELL = """
import json
from agents.artefacts import card_of
from agents.models import TrainingRun
run = TrainingRun.objects.get()
model = getattr(run, "model", None)
print(json.dumps({"status": run.status, "steps": run.steps_done, "error": run.error,
                  "weights": card_of(model)["weights_hash"] if model else None}))
"""


class World:
    """A product with state of its own, driven through its commands."""

    def __init__(self, var):
        self.var = var
        left_out = {"DATABASE_URL", "REDIS_URL"}
        changed = {"VAR_DIR": str(var), "LEASE_TTL_S": "1.5", "LOG_LEVEL": "ERROR"}
        self.environment = {k: v for k, v in os.environ.items() if k not in left_out} | changed

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def shell(self, code):
        process = self.start("shell", "--no-imports", "-c", code)
        output = process.communicate(timeout=120)[0]
        assert process.returncode == 0, output
        return output

    def worker(self):
        """Start what a `train` worker does with a delivery."""
        return self.start("shell", "--no-imports", "-c", "from agents import tasks; tasks.train(1)")

    def run(self):
        return json.loads(self.shell(TELL).splitlines()[-1])

    def wait_for(self, path, process):
        until = time.monotonic() + 60
        while not path.exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < until
            passes(process)


def passes(process):
    """Let a moment pass; say whether the process still runs."""
    try:
        process.wait(0.05)
    except subprocess.TimeoutExpired:
        return True
    return False


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ended(pid):
    """Say whether a process is gone, or a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.cluster
@pytest.mark.django_db
def test_a_run_survives_kill_9_of_training_and_of_worker_and_ends_with_the_same_weights(tmp_path):
    world = World(tmp_path / "world")
    world.start("migrate", "-v0").communicate(timeout=60)
    world.shell(PREPARE)
    checkpoint = world.var / "runs" / "1" / "checkpoint.pt"

    worker = world.worker()
    world.wait_for(checkpoint, worker)
    (training,) = children_of(worker.pid)
    os.kill(training, signal.SIGKILL)  # nothing is saved; its worker notes it and gives the run back
    worker.communicate(timeout=60)

    first = checkpoint.stat().st_mtime_ns
    worker = world.worker()
    while checkpoint.stat().st_mtime_ns == first:
        assert passes(worker)
    (training,) = children_of(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)  # its training process saves and goes by itself
    worker.communicate()
    whole = uninterrupted(tmp_path)
    until = time.monotonic() + 60  # a busy machine takes its time to save
    while not ended(training):
        assert time.monotonic() < until
        time.sleep(0.05)

    until = time.monotonic() + 120
    while (run := world.run())["status"] != "done":  # a worker that comes too early finds the lease taken
        assert run["status"] != "failed", run
        assert time.monotonic() < until, run
        world.worker().communicate(timeout=120)
    assert run["steps"] == SPEC["steps"], run
    assert run["weights"] == whole.network.hash


def uninterrupted(tmp_path):
    """Train the same in this process."""
    series = services.synthesize(**SERIES)
    spec = TrainingSpec.parse(SPEC)
    return learn(spec, prepare(series, spec), tmp_path / "whole", Ear())
