"""Many runs as one job, reproductions, comparisons, and what a run uses of the machine."""

import json
import os
import select
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from agents import comparing, provenance, resources, services, tasks
from agents.commands import run_row, told
from agents.models import Experiment, JobStatus, ResourceSample, TrainedModel, TrainingRun
from agents.parallel import TYPICAL_MB, parallel_runs
from agents.progress import MOST_SAMPLES, RunRow
from agents.rl import checkpoints, job
from agents.services import experiments
from agents.services.experiments import grid_of, windows_of
from agents.spec import TrainingSpec, over_preset
from market import leases
from market.errors import BadInput, Conflict
from market.models import Series
from tests import factories
from tests.agents.markets import MINUTE, START, changed_after, stored, walk
from tests.agents.rl.test_learning import SMALL
from tests.queue import queued

TINY = SMALL | {"steps": 512, "checkpoint_every": 256, "validate_every": 256}


@pytest.fixture
def series(user):
    return stored(walk(1600), user)


@pytest.fixture
def made(user, series, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        return services.start_experiment(
            owner=user, name="many", spec=TINY | {"series": series.pk}, seeds=[0, 1],
            grid={"ppo.lr": [1e-3, 3e-3]}, windows=2,
        )  # fmt: skip


def train(run, stop=False):
    """Do what the training process does; `stop` asks it to end before its first step."""
    held = leases.acquire(run.lease_name)
    listener = job.RowListener(RunRow(run, held.fence))
    listener.stop = stop
    status = job.run(listener)
    held.release()
    run.refresh_from_db()
    return status


@given(
    st.integers(1, 12), st.floats(0.05, 0.4), st.just(0.0) | st.floats(1e-6, 0.3), st.integers(2000, 100_000)
)
def test_windows_follow_one_another_and_judge_no_candle_twice(count, share, test_share, bars):
    spec = TrainingSpec.parse({"from": START, "to": START + bars * MINUTE, "validation_share": share,
                               "test_share": test_share})  # fmt: skip
    windows = windows_of(spec, Series(interval_ms=MINUTE), count)
    lengths = {end - start for start, end in windows}
    assert windows[0][0] == START
    assert START + bars * MINUTE - 2 * MINUTE <= windows[-1][1] <= START + bars * MINUTE
    assert max(lengths) - min(lengths) <= MINUTE
    for (_, end), (later, later_end) in pairwise(windows):
        judged = (later_end - later) * (share + test_share)
        assert later_end - judged >= end - 2 * MINUTE


def test_every_seed_window_and_setting_is_one_queued_run(made, series):
    runs = list(made.runs.order_by("pk"))
    cells = {(run.cell["seed"], run.cell["window"], run.cell["settings"]["ppo.lr"]) for run in runs}
    assert len(runs) == len(cells) == 8
    for run in runs:
        assert run.spec["seed"] == run.cell["seed"]
        assert run.spec["ppo"]["lr"] == run.cell["settings"]["ppo.lr"]
        assert TrainingSpec.parse(run.spec).completed().as_dict() == run.spec
    first, second = (sorted({run.spec["from"] for run in runs}), sorted({run.spec["to"] for run in runs}))
    assert first[0] == series.first_ms
    assert second[-1] <= series.last_ms + MINUTE
    assert [task["args"] for task in queued("train")] == [(run.pk,) for run in runs]


@pytest.mark.parametrize("grid", [{"trading.step": [0, 1000]}, {"trading.tick": [0, 10**6]}])
def test_every_cell_is_asked_whether_it_can_trade_at_all(user, series, grid):
    with pytest.raises(BadInput):
        services.start_experiment(
            owner=user, name="steps", spec=TINY | {"series": series.pk}, seeds=[0], grid=grid
        )
    assert not TrainingRun.objects.exists()


def test_cells_that_differ_in_costs_are_prepared_together(user, series, monkeypatch):
    prepared, real = [], experiments.prepare
    monkeypatch.setattr(experiments, "prepare", lambda *given: prepared.append(1) or real(*given))
    made = services.start_experiment(
        owner=user, name="costs", spec=TINY | {"series": series.pk}, seeds=[0], windows=2,
        grid={"trading.slippage": [0, 0.001], "trading.step": [0, 0.01], "limits.max_position": [0, 9000]},
    )  # fmt: skip
    assert (made.runs.count(), len(prepared)) == (16, 2)
    assert len(set(made.runs.values_list("data_fingerprint", flat=True))) == 2


def test_runs_of_an_experiment_say_whose_horizon_they_have(user, series):
    bars = {"decision_every": 1, "bars_scale": 24.0}
    made = services.start_experiment(
        owner=user, name="hours", spec=TINY | bars | {"series": series.pk}, seeds=[0],
        grid={"episode_bars": [720, 100]},
    )  # fmt: skip
    hours, own = made.runs.order_by("pk")
    assert "of the preset default-1h, made for candles of 1h: these are of 1m" in hours.notes[0]
    assert own.notes == []


def test_algorithms_of_other_sections_share_an_experiment(user, series):
    algorithms = ["ppo", "fast_ppo", "dqn", "sac", "q_table"]
    made = services.start_experiment(
        owner=user, name="rivals", seeds=[0], grid={"algorithm": algorithms},
        spec=over_preset("default-1m", TINY | {"series": series.pk, "steps": 5000}),
    )  # fmt: skip
    specs = {run.spec["algorithm"]: run.spec for run in made.runs.all()}
    assert sorted(specs) == sorted(algorithms)
    gammas = {specs["ppo"]["ppo"]["gamma"], specs["dqn"]["dqn"]["gamma"], specs["sac"]["sac"]["gamma"]}
    assert gammas == {made.spec["ppo"]["gamma"]}  # the horizon is everybody's
    assert specs["sac"]["action"]["kind"] != specs["dqn"]["action"]["kind"] == made.spec["action"]["kind"]
    assert {spec["window"] for spec in specs.values()} == {made.spec["window"]}
    for spec in specs.values():
        assert TrainingSpec.parse(spec).completed().as_dict() == spec


def test_a_kind_of_action_in_the_grid_stays_what_was_chosen(user, series):
    with pytest.raises(BadInput, match="sac"):
        services.start_experiment(
            owner=user, name="rivals", seeds=[0], spec=TINY | {"series": series.pk},
            grid={"algorithm": ["ppo", "sac"], "action.kind": ["levels"]},
        )  # fmt: skip


def test_one_run_or_all_are_cancelled_and_nothing_is_left_to_cancel(made):
    services.cancel_training(made.runs.first())
    assert services.cancel_experiment(made) == 7
    assert set(made.runs.values_list("status", flat=True)) == {"cancelled"}
    with pytest.raises(Conflict, match="have ended already"):
        services.cancel_experiment(made)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"windows": 0}, "windows"),
        ({"windows": 90}, "from"),
        ({"grid": {"ppo.lrr": [1]}}, "set"),
        ({"grid": {"ppo.lr": []}}, "grid"),
        ({"grid": {"ppo.lr": [-1]}}, "ppo.lr"),
        ({"grid": {"seed": [1, 2]}}, "grid"),
        ({"seeds": list(range(400)), "windows": 2}, "grid"),
        ({"name": " "}, "name"),
    ],
)
def test_an_experiment_of_which_one_run_cannot_be_is_refused_whole(user, series, changes, field):
    asked = {"name": "x", "seeds": [0, 1], "grid": {}, "windows": 1} | changes
    with pytest.raises(BadInput) as refused:
        services.start_experiment(owner=user, spec=TINY | {"series": series.pk}, **asked)
    assert refused.value.field == field
    assert not TrainingRun.objects.exists()
    assert not Experiment.objects.exists()


def test_a_taken_name_is_refused(made, user, series):
    with pytest.raises(BadInput, match="already"):
        services.start_experiment(owner=user, name="many", spec=TINY | {"series": series.pk}, seeds=[9])


@pytest.mark.parametrize(
    ("text", "found"), [("0..3", [0, 1, 2, 3]), ("1,2,7", [1, 2, 7]), ("5", [5]), ("3..1", [])]
)
def test_seeds_are_a_range_or_a_list(text, found):
    assert services.seed_list(text) == found


@pytest.mark.parametrize("text", ["", "a", "1..", "0..9999", "1,,2"])
def test_seeds_that_cannot_be_read_are_refused(text):
    with pytest.raises(BadInput):
        services.seed_list(text)


def test_a_grid_is_read_as_numbers_texts_or_lists():
    read = grid_of(["ppo.lr=1e-4,3e-4", "net_arch=[[8],[16,16]]", "features=core,price", "steps=5"])
    assert read == {"ppo.lr": [1e-4, 3e-4], "net_arch": [[8], [16, 16]], "features": ["core", "price"],
                    "steps": [5]}  # fmt: skip


def test_the_command_starts_an_experiment(series, capsys):
    call_command(
        "train", "--pair=SIM/USD", "--interval=1m", "--preset=demo", "--steps=1000", "--name=by command",
        "--seeds=0..1", "--grid=ppo.lr=1e-4,3e-4", "--set=episode_bars=100", "--set=features=price", "--json",
    )  # fmt: skip
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["status"] for row in said["runs"]] == ["queued"] * 4
    assert said["runs"][0] == run_row(TrainingRun.objects.order_by("pk").first())


@pytest.fixture
def model(user, series):
    run = services.start_training(owner=user, name="first", spec=TINY | {"series": series.pk})
    assert train(run) == job.EXIT_DONE
    return TrainedModel.objects.get(run=run)


def test_a_card_trained_again_gives_the_same_weights_and_another_one_does_not(model, user, tmp_path):
    call_command("export_card", "first", "--out", str(tmp_path / "card.json"), stdout=StringIO())
    card = services.read_card((tmp_path / "card.json").read_bytes())
    assert card["weights_hash"] == model.run.weights_hash
    again = services.reproduce(owner=user, card=card)
    assert train(again) == job.EXIT_DONE
    assert (again.is_reproduced, again.status) == (True, "done")
    assert TrainedModel.objects.count() == 1
    other = services.reproduce(owner=user, card={**card, "spec": {**card["spec"], "seed": 8}})
    train(other)
    assert other.is_reproduced is False


def test_what_is_not_as_it_was_is_noted(model, user):
    card = services.card_of(model)
    card["versions"] = {**card["versions"], "numpy": "1.0"}
    run = services.reproduce(owner=user, card={**card, "code_version": "old+0"})
    assert [note for note in run.notes if "numpy is" in note and "it was 1.0" in note]
    assert "The code that shapes models has changed since." in run.notes


def test_a_run_that_other_versions_resumed_says_with_what_it_began(user, series, monkeypatch):
    here = provenance.here()
    older = {"code_version": "old+0", "versions": {**here["versions"], "numpy": "1.0"}}
    run = services.start_training(owner=user, name="moved", spec=TINY | {"series": series.pk})
    monkeypatch.setattr(provenance, "here", lambda: older)
    assert train(run, stop=True) == job.EXIT_STOPPED
    monkeypatch.undo()
    assert train(run) == job.EXIT_DONE
    assert (run.code_version, run.versions) == ("old+0", older["versions"])
    assert run.notes[0].startswith("Resumed at step 0 by other versions. numpy is")
    card = services.card_of(run.model)
    assert (card["code_version"], card["resumed_by"]) == ("old+0", [here])
    again = services.reproduce(owner=user, card=card)
    assert [note for note in again.notes if "no one version trains it again" in note]


def test_a_checkpoint_of_another_format_fails_the_run_and_is_kept(user, series):
    run = services.start_training(owner=user, name="kept", spec=TINY | {"series": series.pk})
    assert train(run, stop=True) == job.EXIT_STOPPED
    path = job.run_folder(run.pk) / "checkpoint.pt"
    checkpoints.save(path, checkpoints.load(path) | {"format": 1})
    before = path.read_bytes()
    assert train(run) == job.EXIT_FAILED
    assert run.error.startswith("the checkpoint is of format 1, this version of the program reads")
    assert path.read_bytes() == before


def test_other_candles_and_other_files_are_refused(model, user, other_user, tmp_path):
    card = services.card_of(model)
    different = stored(changed_after(walk(1600), 500), other_user)
    with pytest.raises(BadInput, match="are not those of the card"):
        services.reproduce(owner=other_user, card=card, series=different.pk)
    for text in ("{", "[]", "{}", json.dumps({**card, "spec": 1}), json.dumps({**card, "weights_hash": ""})):
        with pytest.raises(BadInput):
            services.read_card(text)
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(CommandError, match="holds no spec"):
        call_command("reproduce", str(tmp_path / "c.json"), "--user=ada")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("reproduce", str(tmp_path / "none.json"), "--user=ada")


def test_pages_of_cards_reproductions_and_comparisons(client, user, model, made):
    user.is_superuser = True
    user.save()
    client.force_login(user)
    card = client.get(reverse("model-card", args=[model.pk])).json()
    assert card["weights_hash"] == model.run.weights_hash
    answer = client.post(reverse("model-reproduce", args=[model.pk]))
    run = TrainingRun.objects.get(reproduces=model)
    assert answer.url == reverse("run", args=[run.pk])
    assert "A reproduction" in client.get(answer.url).content.decode()
    assert client.get(reverse("run-insight", args=[model.run_id])).json()["validations"]
    assert client.get(reverse("run-log", args=[model.run_id])).status_code == 200
    page = client.get(reverse("compare"), {"experiment": made.pk}).content.decode()
    assert "ppo.lr" in page
    assert "seed</code>" in page
    figures = client.get(reverse("compare-curves"), {"runs": f"{model.run_id},{run.pk}"}).json()["figures"]
    assert {figure["name"] for figure in figures} >= {"entropy", "kl", "valid_score"}
    live = client.get(reverse("experiment", args=[made.pk])).content.decode()
    assert live.count("many #") >= 8
    assert client.post(reverse("experiment-cancel", args=[made.pk])).url == reverse(
        "experiment", args=[made.pk]
    )
    assert not made.runs.unfinished().exists()


def test_bands_hold_every_seed_from_its_first_report_on():
    lines = [
        {"reward": {"steps": [10, 20, 30], "values": [1.0, 2.0, 3.0]}},
        {"reward": {"steps": [20, 40], "values": [5.0, 0.0]}},
    ]
    assert comparing.bands(lines, "reward") == {
        "steps": [10, 20, 30, 40], "low": [1.0, 2.0, 3.0, 0.0], "mid": [1.0, 3.5, 4.0, 1.5],
        "high": [1.0, 5.0, 5.0, 3.0],
    }  # fmt: skip


@pytest.mark.django_db
def test_runs_are_grouped_by_everything_but_their_seed():
    runs = [factories.RunFactory(spec={"seed": seed, "ppo": {"lr": lr}}) for lr in (1, 2) for seed in (0, 1)]
    assert [len(group) for group in comparing.groups(runs)] == [2, 2]
    assert comparing.differing(runs) == [
        ("seed", ["0", "1", "0", "1"]),
        ("ppo.lr", ["1", "1", "2", "2"]),
    ]


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


def test_a_run_that_the_machine_could_never_hold_is_refused_before_it_begins(user, series, monkeypatch):
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


def judged(user, name, score, valid_from=START, newest=0.0, **row):
    """Return a run whose model was kept with this score; its newest checkpoint has another one."""
    run = factories.RunFactory(owner=user, name=name, latest={"valid_score": newest}, **row)
    curve = {"t_ms": [valid_from, START + 900 * MINUTE], "equity": [1, 1], "benchmark": [1, 1]}
    run.validations.create(step=512, curve=curve, actions={}, probes=[])
    figures = {"score": score, "total_return": score / 10, "benchmark_return": 0.01}
    valid_to = START + 900 * MINUTE
    factories.ModelFactory(owner=user, run=run, series=run.series, metrics=figures, valid_to_ms=valid_to)
    return TrainingRun.objects.select_related("model").get(pk=run.pk)


@pytest.mark.django_db
def test_the_best_of_several_runs_is_the_one_whose_kept_weights_scored_highest(client):
    user = factories.UserFactory(is_superuser=True)
    first = judged(user, "first", 0.5, newest=-1.0)
    worse = judged(user, "worse", 0.1, newest=2.0, series=first.series)
    assert comparing.best([first, worse]) == first
    assert comparing.best([first]) is None
    assert "validation score +0.50" in told(first)
    client.force_login(user)
    page = client.get(reverse("compare"), {"runs": [first.pk, worse.pk]}).content.decode()
    assert page.count('<span class="badge good">best') == 1
    assert f"{reverse('session-start')}?policy=model:{first.model.pk}&pair=" in page
    assert "2.00" not in page, "what a newest checkpoint scored is no model's score"
    assert "+5.0" in page
    page = client.get(reverse("run", args=[worse.pk])).content.decode()
    assert ">0.10<" in page
    assert ">2.00<" not in page
    answer = client.get(f"/api/v1/training-runs/{worse.pk}/").json()
    assert answer["judged"]["score"] == 0.1


@pytest.mark.django_db
def test_an_experiment_shows_what_was_kept(client):
    user = factories.UserFactory(is_superuser=True)
    made = factories.ExperimentFactory(owner=user, seeds=[])
    cell = {"seed": 0, "window": 0, "settings": {}}
    judged(user, "kept", 1.25, newest=2.0, series=made.series, experiment=made, cell=cell)
    newest = {"valid_score": -3.5, "valid_total_return": 0.02}
    factories.RunFactory(
        owner=user, series=made.series, experiment=made, cell=cell, status="running", latest=newest
    )
    client.force_login(user)
    page = client.get(reverse("experiment", args=[made.pk])).content.decode()
    assert "1.25" in page
    assert "12.50" in page
    assert "2.00" not in page.replace("+2.00", ""), "the newest checkpoint's"
    assert "3.50" in page, "a run at work shows its newest checkpoint"
    runs = client.get(f"/api/v1/experiments/{made.pk}/").json()["runs"]
    assert sorted(run["judged"]["score"] for run in runs) == [-3.5, 1.25]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "other",
    [
        {"valid_from": START + MINUTE},
        {"spec": {"trading": {"fee_rate": 0.0}, "limits": {}}},
        {"spec": {"trading": {"fee_rate": 0.001}, "limits": {"daily_loss": 0.1}}},
        {"spec": {"trading": {"fee_rate": 0.001}, "limits": {}, "basket": [1, 2]}},
        {"series": None},
    ],
    ids=["other bars", "other costs", "other limits", "other pairs", "other candles"],
)
def test_no_run_is_the_best_of_runs_that_were_judged_otherwise(other):
    user = factories.UserFactory()
    alike = {"spec": {"trading": {"fee_rate": 0.001}, "limits": {}}}
    first = judged(user, "first", 0.5, **alike)
    own = {"series": first.series}
    same = judged(user, "same", 0.1, **alike | own | {"spec": alike["spec"] | {"seed": 1, "window": 9}})
    if other == {"series": None}:
        other = {"series": factories.SeriesFactory()}
    third = judged(user, "third", 0.9, **alike | own | other)
    assert comparing.best([first, same]) == first
    assert comparing.best([first, same, third]) is None
    assert comparing.best([first, same, factories.RunFactory(status="failed")]) == first


def test_settings_of_an_algorithm_that_only_one_run_has_are_not_compared():
    specs = [{"algorithm": "ppo", "ppo": {"lr": 1}}, {"algorithm": "dqn", "dqn": {"lr": 1}}]
    rows = comparing.differing([SimpleNamespace(spec=spec) for spec in specs])
    assert rows == [("algorithm", ["ppo", "dqn"])]
