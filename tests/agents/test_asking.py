"""What is asked for is done as asked or refused: names, sources, bounds, room, and how waiting ends."""

from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command

from agents import resources, selectors, services
from agents.models import JobStatus, TrainedModel, TrainingRun
from agents.models.run import Desired
from agents.rl import job
from agents.services import queue
from market import archive
from market.errors import BadInput
from market.models import Lease, Series
from tests import factories
from tests.agents.markets import START, stored, walk
from tests.agents.rl.test_learning import SMALL

pytestmark = pytest.mark.django_db
TINY = SMALL | {"steps": 512, "checkpoint_every": 256, "validate_every": 256}


@pytest.fixture
def series(user):
    return stored(walk(1600), user)


@pytest.fixture
def run(user, series):
    return services.start_training(owner=user, name="one", spec=TINY | {"series": series.pk})


def test_older_candles_imported_later_are_not_those_of_the_run(user):
    candles = walk(2000)
    series = stored(candles[400:], user)
    run = services.start_training(owner=user, name="one", spec=TINY | {"series": series.pk, "from": START})
    assert run.spec["from"] == series.first_ms
    archive.merge(Series.objects.get(pk=series.pk), candles[:400])
    assert archive.fingerprint(archive.load(series, run.spec["from"], run.spec["to"])) == run.data_fingerprint


@pytest.mark.parametrize("text", ["\N{SUPERSCRIPT TWO}", "9" * 40, "nobody"])
def test_a_model_of_no_such_name_is_told(user, text):
    with pytest.raises(BadInput, match="there is no model"):
        selectors.model_named(user, text)


def test_a_numbered_name_fits_its_column(user, run):
    longest = TrainedModel._meta.get_field("name").max_length
    run.name = "x" * longest
    for _ in range(3):
        name = job.free_name(run)
        assert len(name) <= longest
        factories.ModelFactory(owner=user, name=name)


def test_a_series_of_another_source_is_refused(user, series):
    with pytest.raises(BadInput, match="comes from test, not from binance"):
        services.start_training(owner=user, name="x", spec=TINY | {"series": series.pk, "source": "binance"})


def test_a_forgotten_cancelled_run_ends_whole(run):
    TrainingRun.objects.filter(pk=run.pk).update(desired=Desired.CANCEL, eta_s=99.0)
    Lease.objects.filter(name=run.lease_name).update(enqueued_ms=0)
    queue.requeue_lost_runs()
    run.refresh_from_db()
    assert (run.status, run.finished_at is not None, run.eta_s) == ("cancelled", True, None)


def test_a_run_that_is_resumed_meanwhile_is_not_cancelled(run, monkeypatch):
    TrainingRun.objects.filter(pk=run.pk).update(desired=Desired.CANCEL)

    def between(name):
        TrainingRun.objects.filter(pk=run.pk).update(status="cancelled")  # its worker ends it
        services.resume_training(run=TrainingRun.objects.get(pk=run.pk))  # and a person resumes it
        return True

    monkeypatch.setattr(queue, "_is_forgotten", between)
    queue.requeue_lost_runs()
    run.refresh_from_db()
    assert (run.status, run.desired) == ("queued", "run")


def test_a_card_too_large_for_the_machine_is_refused_at_once(user, run, monkeypatch):
    card = {"spec": run.spec, "data_fingerprint": run.data_fingerprint, "weights_hash": "0" * 64}
    card["spec"]["ppo"].update(n_envs=4096, n_steps=4096)
    small = SimpleNamespace(total=2 * 2**30, available=2**30)
    monkeypatch.setattr(resources.psutil, "virtual_memory", lambda: small)
    monkeypatch.setattr("agents.services.cards.require_card", lambda given: given)
    with pytest.raises(BadInput, match="lower ppo"):
        services.reproduce(owner=user, card=card)


def test_waiting_for_an_experiment_whose_runs_fail_is_no_success(user, series, monkeypatch):
    real = services.start_experiment

    def failed(**given):
        made = real(**given | {"spec": TINY | {"series": series.pk}})
        made.runs.update(status=JobStatus.FAILED, error="the disk is full\nTraceback")
        return made

    monkeypatch.setattr(services, "start_experiment", failed)
    asked = ["train", "--series", str(series.pk), "--steps", "512", "--user", user.username, "--wait"]
    with pytest.raises(CommandError, match=r"2 of 2 runs made no model; run \d+ is failed: the disk is full"):
        call_command(*asked, "--seeds", "0,1")
    with pytest.raises(CommandError, match="either --seed or --seeds"):
        call_command(*asked, "--seeds", "0,1", "--seed", "3")
