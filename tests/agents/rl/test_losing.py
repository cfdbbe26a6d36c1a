"""A trainer that loses something under way: its lease to another one, or the database for a moment."""

from pathlib import Path

import pytest
from django.db import InterfaceError, OperationalError

from agents import artefacts, services
from agents.models import JobStatus, TrainedModel, TrainingRun
from agents.progress import RunRow
from agents.rl import job
from market import leases
from market.models import Lease
from tests.agents.markets import stored, walk
from tests.agents.test_experiments import TINY, train

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(user):
    series = stored(walk(1600), user)
    return services.start_training(owner=user, name="one", spec=TINY | {"series": series.pk})


def folders(settings):
    return sorted(path.name for path in Path(settings.VAR_DIR, "models").iterdir())


@pytest.mark.parametrize("moment", ["before it writes", "after it wrote"])
def test_a_superseded_trainer_leaves_the_finished_model_alone(run, settings, monkeypatch, moment):
    write, began = artefacts.write, []

    def slowly(path, **given):
        written = write(path, **given) if moment == "after it wrote" else None
        if not began:  # the first one stands still here until a second has taken over and is done
            began.append(path)
            Lease.objects.filter(name=run.lease_name).update(until_ms=0)
            assert train(TrainingRun.objects.get(pk=run.pk)) == job.EXIT_DONE
        return written or write(path, **given)

    monkeypatch.setattr(artefacts, "write", slowly)
    held = leases.acquire(run.lease_name)
    assert job.run(job.RowListener(RunRow(run, held.fence))) == job.EXIT_SUPERSEDED
    model = TrainedModel.objects.get(run=run.pk)
    artefacts.verify(model)
    assert folders(settings) == [Path(model.path).name]
    assert Path(began[0]).name not in folders(settings)


def test_what_an_earlier_trainer_left_half_done_is_removed(run, settings):
    models = Path(settings.VAR_DIR, "models")
    for name in (f"{run.pk}-0", f".{run.pk}-0.abcd", f"{run.pk}1-0"):
        (models / name).mkdir(parents=True)
    assert train(run) == job.EXIT_DONE
    assert set(folders(settings)) == {f"{run.pk}1-0", Path(TrainedModel.objects.get().path).name}


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("closed")])
def test_a_moment_without_the_database_costs_a_run_nothing_but_time(user, run, monkeypatch, error):
    whole = services.start_training(owner=user, name="whole", spec=run.spec)
    assert train(whole) == job.EXIT_DONE
    metric, calls = RunRow.metric, []

    def flaky(row, step, values):
        calls.append(step)
        if len(calls) == 2:
            raise error
        metric(row, step, values)

    monkeypatch.setattr(RunRow, "metric", flaky)
    assert train(run) == job.EXIT_DATABASE
    assert (run.status, run.error) == (JobStatus.RUNNING, "")
    assert train(run) == job.EXIT_DONE
    assert run.weights_hash == whole.weights_hash


MEMORY = {"learning_starts": 64, "buffer_size": 300, "n_envs": 4}


@pytest.mark.parametrize(
    "extra",
    [
        {"algorithm": "dqn", "dqn": MEMORY},
        {"algorithm": "sac", "sac": MEMORY, "action": {"kind": "continuous"},
         "reward": {"normalise": "returns"}},
    ],
    ids=["dqn", "sac"],
)  # fmt: skip
def test_a_resumed_memory_learner_reports_what_an_uninterrupted_one_does(user, extra):
    series = stored(walk(1600), user)
    base = {key: value for key, value in TINY.items() if key != "ppo"}
    spec = base | {"steps": 600, "checkpoint_every": 170, "validate_every": 230, "series": series.pk} | extra
    one, two = (services.start_training(owner=user, name=name, spec=spec) for name in ("one", "two"))
    assert train(one) == job.EXIT_DONE, one.error
    for calls in (2, 1, 3):
        held = leases.acquire(two.lease_name)
        listener, asked = job.RowListener(RunRow(two, held.fence)), iter(range(10**6))
        listener.is_stop_wanted = lambda asked=asked, calls=calls: next(asked) >= calls
        assert job.run(listener) == job.EXIT_STOPPED
        held.release()
    assert train(two) == job.EXIT_DONE
    assert one.weights_hash == two.weights_hash
    rows = [[(row.step, row.values) for row in run.metrics.all()] for run in (one, two)]
    assert rows[0] == rows[1]
    assert len(rows[0]) > 5
