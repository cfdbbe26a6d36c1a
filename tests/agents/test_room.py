"""What a run uses of the machine: how many have room, who waits, what is recorded."""

import os
import select
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.utils import timezone

from agents import resources, services, tasks
from agents.models import JobStatus, ResourceSample, TrainingRun
from agents.parallel import TYPICAL_MB, parallel_runs
from agents.progress import MOST_SAMPLES, RunRow
from agents.rl import job
from agents.spec import TrainingSpec
from market import leases
from market.errors import BadInput
from tests import factories
from tests.agents.markets import stored, walk
from tests.agents.test_experiments import TINY, train


@pytest.mark.django_db
def test_another_run_starts_only_where_its_memory_is_free(user, monkeypatch):
    total = psutil.virtual_memory()._replace(total=8 * 2**30, available=2300 * 2**20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: total)
    assert resources.has_room()
    busy = factories.RunFactory(status="running", pid=psutil.Process().pid, resources={"rss_mb": 500})
    leases.acquire(busy.lease_name)
    monkeypatch.setattr(resources, "_size_mb", lambda pid: 500.0)
    assert not resources.has_room()  # 2300 MiB less 850 would leave 15 % of 8 GiB, but it has 350 to grow
    monkeypatch.setattr(resources, "_size_mb", lambda pid: 900.0)
    assert resources.has_room()
    busy.resources = {"rss_mb": 1500}
    busy.save()
    assert not resources.has_room()
    busy.resources = {"rss_mb": 500}
    busy.save()
    assert resources.has_room()
    assert not resources.has_room(1500.0)  # what the next one needs counts as well
    busy.resources = {"rss_mb": 1500}
    busy.save()
    waiting = factories.RunFactory(owner=user)
    tasks.train(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.attempts) == (JobStatus.QUEUED, 0)
    TrainingRun.objects.filter(pk=busy.pk).update(pid=2**22 + 1)  # a process that is no more
    assert resources.has_room()


@pytest.mark.django_db
def test_a_lost_run_whose_number_is_another_process_s_holds_nobody_up(monkeypatch):
    """The machine stopped under the run; after the restart its process's number is an old program's."""
    tight = psutil.virtual_memory()._replace(total=2 * 2**30, available=1200 * 2**20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: tight)
    monkeypatch.setattr(resources, "_size_mb", lambda pid: 50.0)
    lost = factories.RunFactory(status="running", pid=psutil.Process().pid)
    assert resources.has_room(), "nobody holds its lease"
    held = leases.acquire(lost.lease_name)
    assert not resources.has_room()
    assert resources.has_room(asking=lost.pk), "nor does a run hold itself up"
    held.release()
    asked = []
    monkeypatch.setattr(resources, "has_room", lambda *given: asked.append(given) or False)
    tasks.train(lost.pk)
    assert [pk for _, pk in asked] == [lost.pk]


@pytest.mark.django_db
def test_who_asks_for_room_waits_until_the_one_before_has_its_process(settings):
    """Through processes of their own, as workers are."""
    ask = (
        "import os, sys, time; sys.path.insert(0, os.getcwd()); import django; django.setup();"
        "from agents.resources import Door\n"
        "with Door() as door:\n print('in', flush=True); sys.stdin.readline(); door.close();"
        " print('out', flush=True); sys.stdin.readline()"
    )
    environment = {**os.environ, "VAR_DIR": str(settings.VAR_DIR)}
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", ask],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    )
    try:
        ready, _, _ = select.select([first.stdout, second.stdout], [], [], 60)
        one = ready[0]
        assert one.readline() == "in\n"
        inside, waiting = (first, second) if one is first.stdout else (second, first)
        assert select.select([waiting.stdout], [], [], 1.0)[0] == []
        inside.stdin.write("go\n")
        inside.stdin.flush()
        assert inside.stdout.readline() == "out\n"
        assert waiting.stdout.readline() == "in\n"  # while the first lives on
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


def test_as_many_runs_as_cores_and_memory_allow(monkeypatch):
    memory = psutil.virtual_memory()
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)), raising=False)
    for gib, runs in ((64, 8), (2, 2), (0.5, 1)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda gib=gib: memory._replace(total=gib * 2**30))
        assert parallel_runs() == runs
    assert parallel_runs(12) == 12


def test_a_run_that_the_machine_could_never_hold_is_refused_before_it_begins(user, monkeypatch):
    series = stored(walk(1600), user)
    memory, gib = psutil.virtual_memory(), [4]
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(total=gib[0] * 2**30))
    large = TINY | {"series": series.pk, "ppo": {"n_envs": 1024, "n_steps": 32_000}}
    with pytest.raises(BadInput, match=r"rollout would take about 2\.7 GiB; of the 4\.0 GiB .* 2\.6 are"):
        services.start_training(owner=user, name="large", spec=large)
    with pytest.raises(BadInput, match=r"lower ppo\.n_envs or n_steps"):
        services.start_experiment(owner=user, name="large", spec=large, seeds=[0, 1])
    assert not TrainingRun.objects.exists()
    gib[0] = 64
    run = services.start_training(owner=user, name="large", spec=large)
    gib[0] = 4
    assert train(run) == job.EXIT_FAILED  # asked for on a larger machine
    assert run.error.startswith("the run's rollout would take about 2.7 GiB")


@pytest.mark.parametrize("gib", [0.5, 4])
def test_an_ordinary_run_and_one_of_a_gpu_are_never_refused_for_want_of_memory(gib, monkeypatch):
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(total=gib * 2**30))
    resources.require_room(TrainingSpec.parse({}))
    monkeypatch.setattr(resources, "DRIVERS", (Path("/"),))
    on_gpu = TrainingSpec.parse({"device": "cuda", "ppo": {"n_envs": 65_536, "n_steps": 512}})
    resources.require_room(on_gpu)
    assert resources.needed_mb(on_gpu) == TYPICAL_MB
    monkeypatch.setattr(resources, "DRIVERS", (Path("/no/driver"),))
    for refuse in (resources.require_room, lambda spec: resources.require_room(spec, is_on_gpu=False)):
        with pytest.raises(BadInput, match=r"rollout .* lower ppo\.n_envs"):
            refuse(on_gpu)  # it would learn on the processor, in this machine's memory
    assert resources.needed_mb(on_gpu) > 2 * TYPICAL_MB
    over = TrainingSpec.parse({"algorithm": "dqn", "window": 10, "dqn": {"buffer_size": 300_000}})
    with pytest.raises(BadInput, match=r"replay memory .* lower dqn\.buffer_size"):
        resources.require_room(over.model_copy(update={"window": 500}))


@pytest.mark.django_db
def test_samples_are_thinned_when_there_are_many():
    run = factories.RunFactory()
    row = RunRow(run, leases.acquire(run.lease_name).fence)
    began = timezone.now() - timedelta(days=1)
    ResourceSample.objects.bulk_create(
        ResourceSample(run=run, at=began + timedelta(seconds=n), values={"cpu": n})
        for n in range(MOST_SAMPLES)
    )
    row.sample({"cpu": 0.5, "rss_mb": 1.0, "queue": 0.0, "fps": 2.0})
    kept = list(run.samples.values_list("values", flat=True))
    assert MOST_SAMPLES / 2 <= len(kept) <= MOST_SAMPLES / 2 + 1
    assert kept[0] == {"cpu": 0}
    run.refresh_from_db()
    assert run.resources["cpu"] == 0.5


@pytest.mark.django_db
def test_a_sample_is_taken_every_few_seconds():
    now = [0.0]
    sampler = resources.Sampler(lambda: {"gpu_mb": 10.0, "gpu_free_mb": 90.0}, clock=lambda: now[0])
    assert sampler.due(5.0) is None
    now[0] = resources.SAMPLE_S
    assert set(sampler.due(5.0)) == {"cpu", "rss_mb", "queue", "fps", "gpu_mb", "gpu_free_mb"}
    assert sampler.due(5.0) is None
