"""Every setting of a training spec can be picked: in the form, in the admin, over REST and by command."""

import io
import json
import re

import pytest
import yaml
from django.core.management import call_command
from django.urls import reverse
from rest_framework.test import APIClient

from agents.models import Experiment, TrainingRun
from agents.setting_fields import MIX
from agents.spec import ALGORITHMS, PRESETS
from agents.spec.algorithms import SECTIONS
from agents.spec.settings import flat, settings
from agents.spec.words import CHOICES, WHEN, WORDS
from market.features import PRESETS as FEATURE_SETS
from tests import factories
from tests.agents.markets import stored, walk

FEATURE_NAMES = {json.dumps(known.to_json(), sort_keys=True): name for name, known in FEATURE_SETS.items()}
BASIC = {"name": "x", "preset": "demo", "steps": 5000, "seed": 1}
LONG_OR_SHORT = {"action.levels": [-1.0, 1.0]}
# What a choice needs beside it.
BESIDE = {
    **{("network.extractor", name): {"window": 4} for name in ("tcn", "lstm", "gru", "transformer")},
    ("action.kind", "continuous"): LONG_OR_SHORT,
    ("action.kind", "hold_buy_sell"): LONG_OR_SHORT,
    ("curriculum.stages", "volatility"): {"curriculum.look_back": 60},
    ("trading.market", "futures"): {"trading.leverage": 3.0, "trading.max_exposure": 2.0},
    **{
        (f"{section}.edges", name): {"algorithm": "q_table"}
        for section in SECTIONS
        for name in ("quantile", "uniform")
    },
    **{
        (f"team.{leaf}", name): {"algorithm": "team_ppo"}
        for leaf, names in {
            "networks": ("own", "shared"),
            "allocator": ("learned", "fixed"),
            "account": ("seen", "unseen"),
        }.items()
        for name in names
    },
}
PICKS = [
    *({"algorithm": name} for name in ALGORITHMS),
    *(
        {row.name: value} | BESIDE.get((row.name, value), {})
        for row in settings().values()
        for value, _ in row.choices
        if value != "weights"  # of several pairs: tests/agents/test_portfolios.py
    ),
    *({name: 0.5} for name in settings() if name.startswith("reward.terms.")),
]


def titled(pick):
    return ",".join(f"{name}={value}" for name, value in pick.items())


@pytest.fixture
def series(ada):
    return stored(walk(6000), ada)


def field_text(value):
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def typed(series, pick):
    """Return what a browser sends for a choice."""
    mixed = {"reward.kind": MIX} if any(name.startswith("reward.terms.") for name in pick) else {}
    given = {name: field_text(value) for name, value in pick.items()} | mixed
    return BASIC | {"series": series.pk} | given


def by_form(client, series, pick):
    answer = client.post(reverse("run-start"), typed(series, pick))
    assert answer.status_code == 302, answer.context["form"].errors
    return TrainingRun.objects.latest("pk")


def nested(pick):
    terms = {
        name.removeprefix("reward.terms."): value for name, value in pick.items() if "reward.terms." in name
    }
    plain = {name: value for name, value in pick.items() if "reward.terms." not in name}
    return plain | ({"reward.terms": terms} if terms else {})


def by_rest(user, series, pick):
    client = APIClient()
    client.force_authenticate(user)
    spec = nested(pick) | {"series": series.pk, "steps": 5000, "seed": 1}
    answer = client.post(
        "/api/v1/training-runs/", {"name": "rest", "preset": "demo", "spec": spec}, format="json"
    )
    assert answer.status_code == 201, answer.json()
    return TrainingRun.objects.latest("pk")


def by_command(user, series, pick):
    given = ["--preset", "demo", "--series", str(series.pk), "--user", user.username, "--name", "command"]
    for name, value in nested(pick).items():
        given += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    call_command("train", *given, "--set", "steps=5000", "--set", "seed=1", stdout=io.StringIO())
    return TrainingRun.objects.latest("pk")


@pytest.mark.parametrize("pick", PICKS, ids=titled)
def test_every_choice_can_be_picked_in_form_rest_and_command(as_ada, ada, series, pick):
    runs = [by_form(as_ada, series, pick), by_rest(ada, series, pick), by_command(ada, series, pick)]
    assert runs[0].spec == runs[1].spec == runs[2].spec
    told = flat(runs[0].spec)
    told["features"] = FEATURE_NAMES[json.dumps(runs[0].spec["features"], sort_keys=True)]
    assert {name: told[name] for name in pick} == pick


def test_the_admin_shows_every_setting(as_boss):
    page = as_boss.get(reverse("admin:agents_trainingrun_add")).content.decode()
    assert all(f'name="{name}"' in page for name in settings())


@pytest.mark.parametrize("pick", [*PICKS, {"algorithm": "sac", "sac.tau": 0.01}], ids=titled)
def test_every_choice_can_be_picked_in_the_admin(as_boss, boss, pick):
    series = stored(walk(6000), boss)
    answer = as_boss.post(reverse("admin:agents_trainingrun_add"), typed(series, pick))
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    run = TrainingRun.objects.get()
    told = flat(run.spec)
    told["features"] = FEATURE_NAMES[json.dumps(run.spec["features"], sort_keys=True)]
    assert {name: told[name] for name in pick} == pick


def filled(client, **given):
    """Return the form's fields as a browser holds them after a choice."""
    answer = client.post(reverse("run-start"), {"show": "1", **given})
    assert answer.status_code == 200
    form = answer.context["form"]
    return {name: form[name].value() or "" for name in form.fields}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("algorithm", ["ppo", "sac", "q_table"])
def test_a_filled_form_that_nobody_changed_is_the_preset(as_ada, ada, series, preset, algorithm):
    given = filled(as_ada, preset=preset, algorithm=algorithm) | {"name": "x", "series": series.pk}
    if "pairs" in PRESETS[preset]:
        given["others"] = [stored(walk(6000), ada, "ETH/USD").pk]
    answer = as_ada.post(reverse("run-start"), given | {"preview": "1"})
    if "pairs" in PRESETS[preset] and algorithm == "q_table":
        assert "q_table cannot weigh several pairs" in str(answer.context["form"].errors)
        return
    shown = answer.context["preview"]
    assert shown
    asked = {
        "preset": preset,
        "name": "x",
        "series": series.pk,
        "others": given["others"] or [],
        "steps": given["steps"],
        "seed": given["seed"],
    }
    plain = as_ada.post(reverse("run-start"), asked | {"algorithm": algorithm, "preview": "1"}).context[
        "preview"
    ]
    assert yaml.safe_load(shown) == yaml.safe_load(plain)
    assert not TrainingRun.objects.exists()


def test_what_a_person_changed_stays_when_another_preset_fills_the_form(as_ada):
    first = filled(as_ada, preset="demo", algorithm="ppo")
    changed = first | {"network.net_arch": "32, 16", "preset": "default-1h", "algorithm": "dqn"}
    after = filled(as_ada, **changed)
    assert after["network.net_arch"] == "32, 16"
    gamma = str(PRESETS["default-1h"]["ppo"]["gamma"])
    assert (after["dqn.gamma"], after["episode_bars"], after["steps"]) == (gamma, "720", "1000000")
    assert "ppo.lr" not in after


def test_a_preset_brings_its_own_algorithm_unless_a_person_chose_one(as_ada):
    first = filled(as_ada, preset="demo")
    team = filled(as_ada, **first | {"preset": "team-1h"})
    assert (first["algorithm"], team["algorithm"]) == ("ppo", "team_ppo")
    assert team["team.specialists"] == "momentum, mean_reversion, market_making"
    assert filled(as_ada, **team | {"preset": "demo"})["algorithm"] == "ppo"
    chosen = filled(as_ada, **first | {"algorithm": "dqn"})
    assert filled(as_ada, **chosen | {"preset": "team-1h"})["algorithm"] == "dqn"


def test_fixed_weights_of_a_team_have_fields(as_ada, series):
    given = {"algorithm": "team_ppo", "team.allocator": "fixed", "team.weights.momentum": 3}
    answer = as_ada.post(reverse("run-start"), BASIC | {"series": series.pk} | given)
    assert answer.status_code == 302, answer.context["form"].errors
    assert TrainingRun.objects.get().spec["team"]["weights"] == {"momentum": 3.0}


def test_a_choice_brings_its_settings(as_ada):
    before = filled(as_ada, preset="demo", algorithm="ppo")
    after = filled(as_ada, **before | {"network.extractor": "transformer", "trading.market": "futures",
                                       "forecast.kind": "xgboost", "reward.kind": MIX})  # fmt: skip
    new = {"network.heads", "trading.leverage", "forecast.horizon", "reward.terms.sharpe"}
    assert new <= set(after)
    assert not new & set(before)
    assert "reward.drawdown_penalty" not in after


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"ppo.lr": "7"}, "ppo.lr", "less than or equal to 1"),
        ({"ppo.batch_size": "1000000"}, "ppo.batch_size", "n_envs * n_steps"),
        ({"network.net_arch": "wide"}, "network.net_arch", "whole numbers"),
        ({"network.net_arch": "0"}, "network.net_arch", "greater than or equal to 1"),
        ({"network.extractor": "gru"}, "window", "set window to 2 or more"),
        ({"algorithm": "fast_ppo", "network.extractor": "gru"}, "network.extractor", "bare observation"),
        ({"action.levels": "1, 0"}, "action.levels", "increasing"),
        (
            {"trading.size_fraction": "1", "trading.dca_lots": "3"},
            "trading.size_fraction",
            "switch size_fraction off",
        ),
        ({"reward.kind": MIX}, "reward.terms.log_return", "needs one above 0"),
        (
            {"reward.kind": MIX, "reward.terms.sharpe": "-1"},
            "reward.terms.sharpe",
            "greater than or equal to 0",
        ),
        ({"scaler": "magic"}, "scaler", "not one of the available choices"),
        ({"overrides": "ppo.lrr=1"}, "overrides", "did you mean"),
    ],
)
def test_a_mistake_stands_beside_its_field_and_nothing_is_started(as_ada, series, given, field, words):
    answer = as_ada.post(reverse("run-start"), BASIC | {"series": series.pk} | given)
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert words in str(errors.get(field)), errors
    assert not TrainingRun.objects.exists()


def test_choices_come_as_a_part_of_the_page_and_an_experiment_has_them_too(as_ada, series):
    part = as_ada.post(
        reverse("experiment-start"), {"show": "1", "algorithm": "td3"}, headers={"HX-Request": "true"}
    )
    text = part.content.decode()
    assert "<html" not in text
    assert 'name="td3.policy_delay"' in text
    given = {"name": "x", "series": series.pk, "preset": "demo", "steps": 5000, "seeds": "0,1", "windows": 1,
             "algorithm": "td3", "td3.policy_delay": 3, "grid": "td3.lr=0.001,0.01"}  # fmt: skip
    assert as_ada.post(reverse("experiment-start"), given).status_code == 302
    assert Experiment.objects.get().runs.count() == 4
    assert {run.spec["td3"]["policy_delay"] for run in TrainingRun.objects.all()} == {3}


def test_every_setting_is_defined_on_hover_and_tells_its_range(as_ada):
    shown = set()
    for algorithm in ALGORITHMS:
        page = as_ada.get(reverse("run-start"), {"algorithm": algorithm}).content.decode()
        shown |= set(re.findall(r'for="id_[^"]+" title="(?:[^"]+ )?In files and lines: ([^"]+)"', page))
    assert shown == {name for name, row in settings().items() if not row.when and "terms" not in name}
    for row in settings().values():
        assert row.about, row.name
        assert row.range or row.choices, row.name


def test_words_and_rules_are_about_settings_that_there_are():
    leaves = {name.rpartition(".")[2] for name in settings()}
    assert not set(WORDS) - set(settings()) - leaves
    assert not set(WHEN) - set(settings())
    for rule in WHEN.values():
        name, value = rule.replace("!", "").split("=")
        assert value in dict(settings()[name].choices), rule
    for name, words in CHOICES.items():
        assert not set(words) - {value for value, _ in settings()[name].choices}


def test_one_changed_weight_of_a_team_leaves_the_others_as_the_form_shows_them(as_ada, ada, series):
    given = BASIC | {"series": series.pk, "algorithm": "team_ppo", "team.allocator": "fixed", "basis": ""}
    chosen = {"team.weights.momentum": "2", "team.weights.mean_reversion": "3"}
    answer = as_ada.post(reverse("run-start"), given | chosen | {"preview": "1"})
    spec = yaml.safe_load(answer.context["preview"])
    assert spec["team"]["weights"] == {"momentum": 2.0, "mean_reversion": 3.0}


def test_a_preview_says_whose_horizon_the_settings_have(as_ada, ada, series):
    given = {"series": series.pk, "basis": "", "preview": "1"}
    page = as_ada.post(reverse("run-start"), BASIC | given | {"preset": "default-1h"}).content.decode()
    assert "those of the preset default-1h, made for candles of 1h: these are of 1m" in page
    page = as_ada.post(reverse("run-start"), BASIC | given | {"preset": "default-1m"}).content.decode()
    assert "made for candles of" not in page


def test_the_only_account_and_the_only_candles_are_chosen_already(as_ada, ada, series):
    account = factories.AccountFactory(owner=ada)
    assert as_ada.get(reverse("run-start")).context["form"]["series"].value() == series.pk
    for page in ("session-start", "plans"):
        assert as_ada.get(reverse(page)).context["form"]["account"].value() == account.pk
    factories.AccountFactory(owner=ada)
    for page in ("session-start", "plans"):
        assert as_ada.get(reverse(page)).context["form"]["account"].value() is None
