"""What may be done about learning, and what is refused before anything is stored."""

import sys

import pytest
from django.core.management import CommandError, call_command

from agents import artefacts, process, provenance, selectors, services, tasks
from agents.models import Backtest, JobStatus, ModelStatus, TrainedModel, TrainingMetric, TrainingRun
from agents.progress import RunRow, Superseded
from agents.rl import job
from agents.services.series import find_series
from agents.spec import TrainingSpec
from market import archive, draining, leases
from market.errors import BadInput, Conflict
from market.models import AuditEvent, Lease, Series
from tests import queue
from tests.agents.markets import changed_after, stored, walk
from tests.agents.rl.test_learning import SMALL
from tests.queue import queued

pytestmark = pytest.mark.django_db
DIES = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]


@pytest.fixture
def series(user):
    return stored(walk(1200), user)


@pytest.fixture
def started(user, series, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        return services.start_training(owner=user, name="first", spec={**SMALL, "series": series.pk})


@pytest.fixture
def model(started):
    """A model trained in this process, as the training process would."""
    held = leases.acquire(started.lease_name)
    assert job.run(job.RowListener(RunRow(started, held.fence))) == job.EXIT_DONE
    held.release()
    return TrainedModel.objects.get(run=started)


def test_a_started_run_is_complete_queued_and_audited(started, series, user):
    assert TrainingSpec.parse(started.spec).completed().as_dict() == started.spec
    assert started.spec["to"] == series.last_ms + series.interval_ms
    assert started.steps_total == 2048
    assert [(task["func"], task["args"]) for task in queued()] == [("agents.tasks.train", (started.pk,))]
    assert AuditEvent.objects.get(action="training.start").object_id == str(started.pk)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"series": 999}, "series"),
        ({"pair": "DOGE/USD"}, "pair"),
        ({"interval": "1h"}, "interval"),
        ({"episode_bars": 5000}, "from"),
        ({"to": 1_704_067_200_000 + 60_000 * 200}, "from"),
        ({"series": None}, "series"),
        ({"series": None, "pair": "SIM/USD", "interval": "5m"}, "pair"),
        ({"series": None, "pair": "SIM/USD", "interval": "7m"}, "interval"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_leaves_nothing(user, series, changes, field):
    with pytest.raises(BadInput) as refused:
        services.start_training(owner=user, name="x", spec={**SMALL, "series": series.pk} | changes)
    assert refused.value.field == field
    assert not TrainingRun.objects.exists()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("name", ["", "  ", "x" * 121, "first", " first "])
def test_a_name_that_is_empty_long_or_taken_is_refused(user, started, series, name):
    with pytest.raises(BadInput, match="name"):
        services.start_training(owner=user, name=name, spec={**SMALL, "series": series.pk})


def test_candles_of_somebody_else_do_not_exist(other_user, series):
    with pytest.raises(BadInput, match="there is no series"):
        services.start_training(owner=other_user, name="x", spec={**SMALL, "series": series.pk})


def test_a_series_is_found_by_pair_and_interval_unless_several_fit(user, series):
    asked = {**SMALL, "pair": "sim/usd", "interval": "1m"}
    assert services.start_training(owner=user, name="one", spec=asked).series == series
    stored(walk(1200), user, source="second")
    with pytest.raises(BadInput, match="choose one by its id"):
        services.start_training(owner=user, name="two", spec=asked)
    assert services.start_training(owner=user, name="two", spec={**asked, "source": "test"}).series == series


def test_a_run_leaves_a_model_with_its_lineage(model, started, series, user):
    started.refresh_from_db()
    assert (started.status, started.steps_done, started.error) == (JobStatus.DONE, 2048, "")
    card = artefacts.card_of(model)
    assert card["spec"] == model.spec == started.spec
    assert card["data_fingerprint"] == model.data_fingerprint == started.data_fingerprint
    assert card["code_version"] == model.code_version == provenance.code_version()
    assert model.series == series
    assert model.train_from_ms < model.train_to_ms < model.valid_to_ms == series.last_ms + 60_000
    assert {"numpy", "torch", "stable-baselines3", "python"} <= set(model.versions)
    assert model.metrics["checkpoints_compared"] == 3
    assert 0 < TrainingMetric.objects.filter(run=started).count() <= 300
    assert list(selectors.models(user)) == [model]
    assert set(selectors.curves(started)) >= {"reward", "entropy", "valid_score"}


def test_a_run_whose_candles_have_changed_fails_and_says_so(started, series):
    archive.merge(series, changed_after(walk(1200), 1000), replace=True)
    held = leases.acquire(started.lease_name)
    assert job.run(job.RowListener(RunRow(started, held.fence))) == job.EXIT_FAILED
    started.refresh_from_db()
    assert started.status == JobStatus.FAILED
    sentence, _, trace = started.error.partition("\n")
    assert "have changed since this run began" in sentence
    assert "Traceback" in trace


def test_a_stale_fence_writes_nothing(started):
    first = leases.acquire(started.lease_name)
    Lease.objects.filter(name=started.lease_name).update(until_ms=0)
    leases.acquire(started.lease_name)
    row = RunRow(started, first.fence)
    with pytest.raises(Superseded):
        row.update(steps_done=5)
    with pytest.raises(Superseded):
        row.metric(1, {"reward": 1.0})
    assert not TrainingMetric.objects.exists()
    assert job.run(job.RowListener(row)) == job.EXIT_SUPERSEDED
    started.refresh_from_db()
    assert (started.steps_done, started.status) == (0, JobStatus.QUEUED)


def test_a_queued_run_is_cancelled_at_once_and_can_be_resumed(started, django_capture_on_commit_callbacks):
    assert services.cancel_training(started).status == JobStatus.CANCELLED
    tasks.train(started.pk)  # the delivery that was under way finds nothing to do
    with pytest.raises(Conflict, match="cancelled already"):
        services.cancel_training(started)
    with django_capture_on_commit_callbacks(execute=True):
        assert services.resume_training(started).status == JobStatus.QUEUED
    assert len(queued()) == 2
    with pytest.raises(Conflict, match="only a failed or cancelled run"):
        services.resume_training(started)


def test_a_run_at_work_is_asked_to_stop_and_not_declared_stopped(started):
    held = leases.acquire(started.lease_name)
    assert services.cancel_training(started).status == JobStatus.QUEUED
    held.release()
    services.requeue_lost_runs()  # whoever worked on it died before it could say so
    started.refresh_from_db()
    assert started.status == JobStatus.CANCELLED


def test_a_job_that_keeps_dying_is_given_up_after_three_attempts(started, monkeypatch):
    monkeypatch.setattr(tasks, "training_command", lambda run_id, fence: DIES)
    for attempt in (1, 2):
        tasks.train(started.pk)
        started.refresh_from_db()
        assert (started.status, started.attempts) == (JobStatus.QUEUED, attempt)
    tasks.train(started.pk)
    started.refresh_from_db()
    assert started.status == JobStatus.FAILED
    assert started.error.startswith("given up: its process died 3 times")
    assert "status -9" in started.error
    resumed = services.resume_training(started)
    assert (resumed.attempts, resumed.error) == (0, "")


def test_the_last_words_of_a_dead_process_are_kept(started, monkeypatch):
    words = [sys.executable, "-c", "import sys; sys.exit('out of cheese')"]
    monkeypatch.setattr(tasks, "training_command", lambda run_id, fence: words)
    tasks.train(started.pk)
    started.refresh_from_db()
    assert "out of cheese" in started.error


def test_a_run_that_somebody_drives_is_left_to_them(started, monkeypatch):
    monkeypatch.setattr(tasks, "training_command", lambda run_id, fence: pytest.fail("started twice"))
    held = leases.acquire(started.lease_name)
    tasks.train(started.pk)
    held.release()
    TrainingRun.objects.update(status=JobStatus.DONE)
    tasks.train(started.pk)


def test_a_delivery_for_a_run_that_is_over_starts_the_one_that_has_waited_longest(
    user, series, started, monkeypatch
):
    """As behind an experiment that was cancelled as a whole: hundreds of deliveries for nothing."""
    spec = {**SMALL, "series": series.pk}
    waiting = services.start_training(owner=user, name="waiting", spec=spec)
    newer = services.start_training(owner=user, name="newer", spec=spec)
    services.cancel_training(started)
    begun = []
    monkeypatch.setattr(tasks, "training_command", lambda run_id, fence: begun.append(run_id) or DIES)
    tasks.train(started.pk)
    held = leases.acquire(waiting.lease_name)
    tasks.train(started.pk)
    assert begun == [waiting.pk, newer.pk]
    held.release()


def test_a_run_that_is_resumed_before_its_failed_process_is_gone_is_no_death(started, monkeypatch):
    def fails_and_is_resumed(run_id, fence):
        TrainingRun.objects.update(status=JobStatus.FAILED, error="the disk is full")
        services.resume_training(started)
        return [sys.executable, "-c", "raise SystemExit(1)"]

    monkeypatch.setattr(tasks, "training_command", fails_and_is_resumed)
    tasks.train(started.pk)
    started.refresh_from_db()
    assert (started.status, started.attempts, started.error) == (JobStatus.QUEUED, 0, "")


SAVES = "import signal,sys,time; signal.signal(15, lambda *a: sys.exit(75)); time.sleep(60)"


def test_a_cancelled_run_is_asked_to_save_and_go(started, monkeypatch):
    def cancelled_meanwhile(run_id, fence):
        services.cancel_training(started)
        return [sys.executable, "-c", SAVES]

    monkeypatch.setattr(tasks, "training_command", cancelled_meanwhile)
    tasks.train(started.pk)
    started.refresh_from_db()
    assert (started.status, started.error) == (JobStatus.CANCELLED, "")
    assert not leases.is_held(started.lease_name)


def test_a_draining_host_starts_nothing_and_stops_what_runs(started, monkeypatch):
    sleeper = [sys.executable, "-c", SAVES]
    monkeypatch.setattr(tasks, "training_command", lambda run_id, fence: sleeper)
    answers = iter([False, False, False])
    monkeypatch.setattr(draining, "is_on", lambda: next(answers, True))
    monkeypatch.setattr(tasks, "POLL_S", 0.5)
    tasks.train(started.pk)
    started.refresh_from_db()
    assert (started.status, started.attempts) == (JobStatus.QUEUED, 0)
    tasks.train(started.pk)
    started.refresh_from_db()
    assert started.attempts == 0


def test_forgotten_jobs_are_asked_for_again_but_not_piled_up(started):
    queue.empty()
    assert services.requeue_lost_runs() == 0  # asked for a moment ago
    Lease.objects.update(enqueued_ms=0)
    assert services.requeue_lost_runs() == 1
    Lease.objects.update(enqueued_ms=0)
    services.requeue_lost_runs()
    assert len(queued()) == 1
    queue.empty()
    held = leases.acquire(started.lease_name)
    assert services.requeue_lost_runs() == 0
    held.release()
    assert services.requeue_lost_runs() == 1


def test_a_killed_child_leaves_nothing_behind(tmp_path):
    spawns = "import os, time; os.fork(); time.sleep(60)"
    child = process.Child([sys.executable, "-c", spawns], tmp_path / "log.txt")
    assert child.kill() == -9
    with pytest.raises(ProcessLookupError):
        process.os.killpg(child.pid, 0)


def test_a_model_is_promoted_only_while_its_files_are_intact(model, user, private_var_dir):
    call_command("promote", "first", user="ada")
    model.refresh_from_db()
    assert model.status == ModelStatus.PROMOTED
    (private_var_dir / model.path / "policy.zip").write_bytes(b"x")
    with pytest.raises(CommandError, match="have changed"):
        call_command("promote", str(model.pk), user="ada")


def test_models_are_invisible_to_others(model, other_user):
    with pytest.raises(CommandError, match="there is no model"):
        call_command("promote", str(model.pk), user="bob")


def test_a_backtest_of_a_model_says_what_the_model_has_seen(model, user, series):
    whole = services.backtest_now(owner=user, model=model, series=series)
    assert whole.status == JobStatus.DONE
    assert "WARNING: the model has learned from" in whole.assumptions[0]
    assert whole.policy_hash == model.file_hash
    later = services.backtest_now(owner=user, model=model, series=series, from_ms=model.train_to_ms)
    assert "chose which checkpoint" in later.assumptions[0]
    fresh = stored(walk(800, seed=9), user, source="fresh")
    assert (
        "not on these candles" in services.backtest_now(owner=user, model=model, series=fresh).assumptions[0]
    )


def test_a_backtest_uses_earlier_candles_to_warm_up(user, series):
    start = series.first_ms + 60_000 * 500
    made = services.backtest_now(owner=user, baseline="sma_crossover", series=series, from_ms=start)
    assert made.from_ms == start
    assert made.metrics["bars"] == 700


def test_candles_replaced_while_a_backtest_begins_meet_no_features_of_the_old(user, series, monkeypatch):
    services.backtest_now(owner=user, baseline="momentum", series=series)  # features of the old are kept
    waiting, load = services.start_backtest(owner=user, baseline="momentum", series=series), archive.load
    other = changed_after(walk(1200), 300, factor=1.5)

    def late(row, *stretch):
        archive.merge(Series.objects.get(pk=row.pk), other, replace=True)  # an import ends in this moment
        return load(row, *stretch)

    with monkeypatch.context() as patched:
        patched.setattr(archive, "load", late)
        found = services.run_backtest(waiting.pk)
    again = services.backtest_now(owner=user, baseline="momentum", series=Series.objects.get(pk=series.pk))
    assert (found.data_fingerprint, found.metrics) == (again.data_fingerprint, again.metrics)


@pytest.mark.parametrize("name", ["momentum", "random"])
def test_a_backtest_is_not_said_to_be_drawn_where_nothing_draws(user, series, name):
    with pytest.raises(BadInput, match=f"{name} draws no action by its probability") as refused:
        services.start_backtest(
            owner=user, baseline=name, series=series, settings={"sample": True, "seed": 1}
        )
    assert refused.value.field == "sample"
    assert not Backtest.objects.exists()


def test_a_worker_computes_a_queued_backtest_once(user, series, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        made = services.start_backtest(
            owner=user, baseline="momentum", series=series, settings={"fee_rate": 0.0, "period": 30}
        )
    assert queued()[0]["args"] == (made.pk,)
    tasks.backtest(made.pk)
    made.refresh_from_db()
    finished = made.finished_at
    tasks.backtest(made.pk)
    made.refresh_from_db()
    assert (made.status, made.finished_at) == (JobStatus.DONE, finished)
    assert made.settings["params"] == {"period": 30}
    assert made.metrics["fees"] == 0.0


def test_a_backtest_that_cannot_be_computed_fails_with_its_reason(user, series, private_var_dir):
    made = services.start_backtest(owner=user, baseline="momentum", series=series)
    for path in (private_var_dir / "archive").rglob("*.parquet"):
        path.unlink()
    tasks.backtest(made.pk)
    made.refresh_from_db()
    assert made.status == JobStatus.FAILED
    assert "missing from the disk" in made.error.partition("\n")[0]


def test_a_backtest_that_keeps_killing_its_worker_is_given_up(user, series):
    made = services.start_backtest(owner=user, baseline="momentum", series=series)
    Lease.objects.update_or_create(name=f"backtest:{made.pk}", defaults={"fence": 3})
    tasks.backtest(made.pk)
    made.refresh_from_db()
    assert made.error == "given up after 3 starts: its process died or ran out of time"


@pytest.mark.parametrize(
    "asked",
    [
        {"baseline": ""},
        {"baseline": "astrology"},
        {"baseline": "momentum", "settings": {"speed": 2}},
        {"baseline": "momentum", "settings": {"fee_rate": -1}},
        {"baseline": "momentum", "from_ms": 2, "to_ms": 1},
        {"baseline": "sma_crossover", "to_ms": 1_704_067_200_000 + 60_000 * 100},
    ],
)
def test_a_backtest_that_cannot_be_is_refused_and_leaves_nothing(user, series, asked):
    with pytest.raises(BadInput):
        services.start_backtest(owner=user, series=series, **asked)
    assert not Backtest.objects.exists()


def test_an_empty_series_is_refused(user):
    empty = Series.objects.create(owner=user, source="none", pair="SIM/USD", interval_ms=60_000)
    with pytest.raises(BadInput, match="no candles yet"):
        services.start_backtest(owner=user, baseline="cash", series=empty)
    with pytest.raises(BadInput, match="no candles yet"):
        services.start_training(owner=user, name="x", spec={**SMALL, "series": empty.pk})


def test_the_backtest_command_prints_its_result_as_json(user, series, capsys):
    call_command(
        "backtest", "baseline:momentum", "--pair=SIM/USD", "--interval=1m", "--json", "--set=period=30"
    )
    assert f'"id": {Backtest.objects.get().pk}' in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("backtest", "nobody", "--series=1"), "there is no model 'nobody'"),
        (("backtest", "baseline:cash", "--pair=X/USD", "--interval=1m"), "known: SIM/USD 1m"),
        (("backtest", "baseline:cash", "--series=1", "--from=yesterday"), "is no date"),
        (("train", "--pair=SIM/USD", "--interval=1m", "--preset=best"), "there is no preset"),
        (("train", "--pair=SIM/USD", "--interval=1m", "--set=lrr=1"), "did you mean 'lr'"),
        (("train", "--agent=alchemy", "--pair=SIM/USD", "--interval=1m"), "algorithm"),
        (("train", "--pair=SIM/USD", "--interval=1m", "--user=eve"), "no user named 'eve'"),
        (("run_training", "99", "--fence=1"), "there is no training run 99"),
    ],
)
def test_commands_answer_bad_input_with_one_line(series, arguments, words):
    given = [f"--series={series.pk}" if argument == "--series=1" else argument for argument in arguments]
    with pytest.raises(CommandError, match=words) as refused:
        call_command(*given)
    assert refused.value.returncode == 2


def test_a_command_without_a_user_needs_one_to_be_there(series, other_user):
    with pytest.raises(CommandError, match="name one with --user"):
        call_command("backtest", "baseline:cash", f"--series={series.pk}")


def test_waiting_without_workers_ends_with_a_word_about_it(series, monkeypatch):
    from agents import commands

    monkeypatch.setattr(commands, "NO_WORKER_S", 0.0)
    with pytest.raises(CommandError, match="no worker is running"):
        call_command("train", "--series", str(series.pk), "--preset=demo", "--wait", "--set=episode_bars=100")
    assert TrainingRun.objects.get().status == JobStatus.QUEUED


def test_the_train_command_queues_a_run_and_says_its_id(series, capsys):
    call_command("train", "--pair=SIM/USD", "--interval=1m", "--preset=demo", "--json", "--steps=1000",
                 "--set=episode_bars=100", "--set=features=price", "--name=by command")  # fmt: skip
    run = TrainingRun.objects.get(name="by command")
    assert f'"id": {run.pk}' in capsys.readouterr().out.splitlines()[-1]


def test_a_pair_alone_names_its_candles_where_it_has_but_one_series(user, series):
    assert find_series(user, pair="sim/usd") == series
    Series.objects.create(owner=user, source="test", pair="SIM/USD", interval_ms=3_600_000, rows=1)
    with pytest.raises(BadInput, match=rf"several series hold SIM/USD: .*{series.pk} \(1m, test\)"):
        find_series(user, pair="SIM/USD")
    assert find_series(user, pair="SIM/USD", interval="1m") == series
    with pytest.raises(BadInput, match="no candles of BTC/USD; import"):
        find_series(user, pair="BTC/USD")
