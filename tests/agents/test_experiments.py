"""Many runs as one job, and reproductions of them."""

import json
from io import StringIO
from itertools import pairwise

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from agents import provenance, services
from agents.commands import run_row
from agents.evaluation.data import judging_of, split_for
from agents.models import Experiment, TrainedModel, TrainingRun
from agents.progress import RunRow
from agents.rl import checkpoints, job
from agents.services import experiments
from agents.services.experiments import grid_of, windows_of
from agents.spec import TrainingSpec, over_preset
from market import leases
from market.errors import BadInput, Conflict
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


def times_of(bars, hole, missing):
    """Return open times of `bars` minutes, with so many missing in front of row `hole`."""
    return START + (np.arange(bars) + missing * (np.arange(bars) >= hole)) * MINUTE


@given(
    st.integers(1, 12), st.floats(0.05, 0.4), st.just(0.0) | st.floats(1e-6, 0.3),
    st.integers(20_000, 100_000), st.integers(1, 99_999), st.integers(0, 50_000),
)  # fmt: skip
def test_windows_follow_one_another_and_judge_no_candle_twice(count, share, test_share, bars, hole, missing):
    times = times_of(bars, hole, missing)
    end = int(times[-1]) + MINUTE
    spec = TrainingSpec.parse({"from": START, "to": end, "validation_share": share,
                               "test_share": test_share})  # fmt: skip
    windows = windows_of(spec, times, MINUTE, count)
    rows = [np.searchsorted(times, window).tolist() for window in windows]
    (length,) = {last - first for first, last in rows}
    assert (windows[0][0], windows[-1][1]) == (START, end)
    for (_, last), (_, later) in pairwise(rows):
        assert later - judging_of(spec)(length) >= last


@pytest.mark.parametrize("preset", ["default-1h", "default-5m", "default-1m"])
def test_no_candle_judges_two_windows_over_a_gap(preset):
    times = times_of(26_000, 13_000, 600)
    spec = TrainingSpec.parse(over_preset(preset, {"from": START, "to": int(times[-1]) + MINUTE}))
    judged = []
    for window in windows_of(spec, times, MINUTE, 3):
        own = times[slice(*np.searchsorted(times, window))]
        at = split_for(len(own), spec)
        judged += [own[at.valid_from : at.valid_to], own[at.test_from : at.test_to]]
    assert all(map(len, judged))
    assert len(np.unique(np.concatenate(judged))) == sum(map(len, judged))


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


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"ppo.lr": [0.001, 0.002], "lr": [0.005]}, "ppo.lr is in the grid by two names"),
        ({"lr": [0.001], "ppo": [{"lr": 0.002}]}, "ppo.lr is in the grid by two names"),
        ({"ppo.lr": [0.001, 1e-3]}, "makes the same run twice"),
    ],
)
def test_a_grid_asks_for_every_run_once(user, series, grid, said):
    with pytest.raises(BadInput, match=said) as refused:
        services.start_experiment(
            owner=user, name="twice", spec=TINY | {"series": series.pk}, seeds=[0], grid=grid
        )
    assert refused.value.field == "grid"
    assert not TrainingRun.objects.exists()


def test_a_key_that_comes_twice_is_no_grid():
    with pytest.raises(BadInput, match="names a setting twice"):
        grid_of(["ppo.lr=0.001", "ppo.lr=0.002"])


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


def test_all_cells_of_a_grid_have_the_same_windows(user):
    series = stored(walk(26_000), user)
    asked = over_preset("default-1m", {"series": series.pk, "episode_bars": 600})
    grid = {"features": ["swing", "core"]}
    made = services.start_experiment(owner=user, name="g", spec=asked, seeds=[0], grid=grid, windows=2)
    stretches = {(run.cell["window"], run.spec["from"], run.spec["to"]) for run in made.runs.all()}
    assert (made.runs.count(), len(stretches)) == (4, 2)
