"""Runs beside each other: bands, groups, and which of them is the best."""

from types import SimpleNamespace

import pytest
from django.urls import reverse

from agents import comparing
from agents.commands import told
from agents.models import TrainingRun
from tests import factories
from tests.agents.markets import MINUTE, START


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


def judged(user, name, score, valid_from=START, newest=0.0, candles="", **row):
    """Return a run whose model was kept with this score; its newest checkpoint has another one."""
    run = factories.RunFactory(owner=user, name=name, latest={"valid_score": newest}, **row)
    curve = {"t_ms": [valid_from, START + 900 * MINUTE], "equity": [1, 1], "benchmark": [1, 1]}
    run.validations.create(step=512, curve=curve, actions={}, probes=[])
    figures = {"score": score, "total_return": score / 10, "benchmark_return": 0.01}
    valid_to = START + 900 * MINUTE
    factories.ModelFactory(
        owner=user, run=run, series=run.series, metrics=figures, valid_to_ms=valid_to,
        judged_fingerprint=candles,
    )  # fmt: skip
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
        {"candles": "replaced"},
    ],
    ids=["other bars", "other costs", "other limits", "other pairs", "other candles", "replaced candles"],
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


def test_settings_that_only_one_run_has_in_a_section_of_both_are_compared():
    terms = ({}, {"log_return": 1.0, "turnover": 5.0})
    found = comparing.differing([SimpleNamespace(spec={"reward": {"terms": one}}) for one in terms])
    assert found == [("reward.terms.log_return", ["-", "1.0"]), ("reward.terms.turnover", ["-", "5.0"])]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("seeds", "label", "counted"),
    [
        ([3], "a", 1),
        ([3, 3], "a and 1 rerun", 1),
        ([3, 4], "a and 1 more seed", 2),
        ([3, 4, 5, 4, 3], "a and 2 more seeds and 2 reruns", 3),
    ],
)
def test_a_seed_that_ran_twice_counts_once(client, seeds, label, counted):
    user = factories.UserFactory()
    runs = [factories.RunFactory(owner=user, name="a", spec={"seed": seed}) for seed in seeds]
    for run in runs:
        run.metrics.create(step=1, values={"reward": 1.0})
    client.force_login(user)
    answer = client.get(reverse("compare-curves"), {"runs": [run.pk for run in runs]}).json()
    lines = [line for figure in answer["figures"] for line in figure["lines"]]
    assert {(line["label"], line["seeds"]) for line in lines} == {(label, counted)}


def test_settings_of_an_algorithm_that_only_one_run_has_are_not_compared():
    specs = [{"algorithm": "ppo", "ppo": {"lr": 1}}, {"algorithm": "dqn", "dqn": {"lr": 1}}]
    rows = comparing.differing([SimpleNamespace(spec=spec) for spec in specs])
    assert rows == [("algorithm", ["ppo", "dqn"])]
