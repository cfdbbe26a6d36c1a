"""Specs as files: what is read, what is laid over what, what an older version means, what is refused."""

import json
from io import StringIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from agents.models import TrainingRun
from agents.spec import PRESETS, TrainingSpec, over_preset, read_file, read_text, written
from agents.spec.versions import CURRENT
from market.errors import BadInput
from tests.agents.markets import stored, walk


def put(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def test_yaml_and_json_say_the_same(tmp_path):
    yaml = put(tmp_path, "a.yaml", "steps: 5000\nfrom: 2024-01-01\nppo:\n  lr: 1e-4\n  batch_size: 64\n")
    same = {"steps": 5000, "from": "2024-01-01", "ppo": {"lr": 1e-4, "batch_size": 64}}
    plain = put(tmp_path, "a.json", json.dumps(same))
    assert TrainingSpec.parse(read_file(yaml)) == TrainingSpec.parse(read_file(plain))


def test_a_file_extends_files_and_in_the_end_a_preset(tmp_path):
    put(tmp_path, "base.yaml", "extends: default-1h\nppo:\n  lr: 0.001\n  epochs: 4\n")
    (tmp_path / "sub").mkdir()
    child = put(tmp_path / "sub", "child.yaml", "extends: ../base.yaml\nppo.lr: 0.002\nseed: 7\n")
    made = TrainingSpec.parse(over_preset("", read_file(child)))
    assert (made.ppo.lr, made.ppo.epochs, made.seed) == (0.002, 4, 7)
    assert made.ppo.n_envs == PRESETS["default-1h"]["ppo"]["n_envs"]
    assert made.interval == "1h"


def test_a_file_of_version_1_keeps_its_meaning_without_a_test_part(tmp_path):
    old = put(tmp_path, "old.yaml", "version: 1\nextends: default-1m\n")
    new = put(tmp_path, "new.yaml", f"version: {CURRENT}\nextends: default-1m\n")
    assert TrainingSpec.parse(over_preset("", read_file(old))).test_share == 0
    assert TrainingSpec.parse(over_preset("", read_file(new))).test_share == 0.15


def test_a_stored_spec_of_version_1_is_read_as_it_was_meant():
    stored_then = TrainingSpec.parse({}).completed().as_dict() | {"version": 1}
    del stored_then["test_share"]
    assert TrainingSpec.parse(stored_then).test_share == 0


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_what_is_written_is_read_back_as_the_same(tmp_path, name, kind):
    pair = PRESETS[name].get("pairs", ["SIM/USD"])[0]
    spec = TrainingSpec.parse(PRESETS[name]).completed(pair=pair, source="x", from_ms=1, to_ms=10**12)
    path = put(tmp_path, f"out.{kind}", written(spec.as_dict(), kind))
    assert TrainingSpec.parse(read_file(path)) == spec


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_whatever_a_file_holds_is_understood_or_refused_in_one_sentence(text):
    refused = refusal_of(text)
    assert refused is None or refused.message.strip()


def refusal_of(text):
    try:
        TrainingSpec.parse(over_preset("", read_text(text)))
    except BadInput as refused:
        return refused
    return None


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("ppo:\n  learning: 1\n", "ppo.learning", "no training setting 'ppo.learning'"),
        ("stepps: 1\n", "set", "did you mean 'steps'"),
        ("steps: 1\nsteps: 2\n", "steps", "a.yaml: steps: is there twice"),
        ("steps: [1\n", "spec", "in line"),
        ("- 1\n", "spec", "must hold settings"),
        ("", "spec", "must hold settings"),
        ("1: 2\n", "spec", "every key must be a text"),
        ("a: &x [1]\nb: *x\n", "spec", "aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", "spec", "neither YAML nor JSON"),
        ("version: 99\n", "version", "versions 1 to"),
        ("version: '1'\n", "version", "versions 1 to"),
        ("extends: nothing\n", "extends", "which is no preset (demo, "),
        ("extends: a.yaml\n", "extends", "extends itself"),
        ("extends: [demo]\n", "extends", "must be the name"),
        ("#" + "x" * 300_000, "spec", "larger than 256 KiB"),
        ("[" * 5000, "spec", "neither YAML nor JSON"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(tmp_path, text, field, words):
    path = put(tmp_path, "a.yaml", text)
    with pytest.raises(BadInput) as refused:
        TrainingSpec.parse(over_preset("", read_file(path)))
    assert words in refused.value.message
    assert refused.value.field == field


def test_a_missing_file_and_two_presets_are_refused(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        read_file(tmp_path / "none.yaml")
    with pytest.raises(BadInput, match="leave the preset 'demo' out"):
        over_preset("demo", {"extends": "default-1m"})


@pytest.fixture
def series(user):
    return stored(walk(1500), user)


SMALL = "extends: demo\nfeatures: price\nepisode_bars: 100\npair: SIM/USD\ninterval: 1m\nsteps: 9000\n"


def test_a_run_by_file_exported_and_started_again_has_the_same_settings(tmp_path, series):
    path = put(tmp_path, "mine.yaml", SMALL)
    call_command("train", "--spec", str(path), "--name=one", "--seed=3", stdout=StringIO())
    out = tmp_path / "exported.yaml"
    call_command("export_spec", "one", "--out", str(out), stdout=StringIO())
    call_command("train", "--spec", str(out), "--name=two", stdout=StringIO())
    one, two = TrainingRun.objects.order_by("pk")
    assert one.spec == two.spec
    assert (one.spec["seed"], one.spec["steps"]) == (3, 9000)


def test_the_page_starts_a_run_from_a_file_and_gives_its_settings_as_one(client, user, series):
    user.is_superuser = True
    user.save()
    client.force_login(user)
    upload = SimpleUploadedFile("s.yaml", SMALL.replace("SIM/USD", "DOGE/USD").encode())
    given = {"name": "by file", "spec": upload, "series": series.pk}
    answer = client.post(reverse("run-from-file"), given)
    run = TrainingRun.objects.get(name="by file")
    assert answer.url == reverse("run", args=[run.pk])
    text = client.get(reverse("run-spec", args=[run.pk])).content
    assert TrainingSpec.parse({**read_text(text), "series": series.pk}).completed().as_dict() == run.spec
    wrong = {"name": "x", "spec": SimpleUploadedFile("s.yaml", b"ppo:\n  lr: -1\n"), "series": series.pk}
    answer = client.post(reverse("run-from-file"), wrong)
    assert answer.status_code == 422
    assert "ppo.lr" in answer.content.decode()


@pytest.mark.django_db
def test_presets_and_runs_are_exported_by_command_and_unknown_ones_refused(user, capsys):
    call_command("export_spec", "default-1m", "--format=json", "--json")
    spec = json.loads(capsys.readouterr().out.splitlines()[-1])["spec"]
    assert TrainingSpec.parse(spec) == TrainingSpec.parse(PRESETS["default-1m"])
    with pytest.raises(CommandError, match="no training run 'nope'"):
        call_command("export_spec", "nope")
