"""Training by REST: experiments, reproductions, the sealed test part; refusals name their field."""

import pytest

from agents.models import Experiment, TestOpening, TrainingRun
from agents.rl import job
from tests.agents.markets import stored, walk
from tests.agents.test_experiments import TINY, train

pytestmark = pytest.mark.django_db


@pytest.fixture
def series(ada):
    return stored(walk(1600), ada)


def asked(series, **changes):
    body = {"name": "rest", "spec": TINY | {"series": series.pk}, "seeds": [0, 1], "windows": 2}
    return body | {"grid": {"ppo.lr": [0.001, 0.003]}} | changes


def test_an_experiment_is_started_once_watched_and_cancelled(api, series):
    key = {"HTTP_IDEMPOTENCY_KEY": "once"}
    first = api.post("/api/v1/experiments/", asked(series), format="json", **key)
    again = api.post("/api/v1/experiments/", asked(series), format="json", **key)
    assert (first.status_code, again.json()) == (201, first.json())
    made = Experiment.objects.get()
    one = api.get(f"/api/v1/experiments/{made.pk}/").json()
    assert one["run_count"] == len(one["runs"]) == one["statuses"]["queued"] == 8
    assert one["runs"][-1]["cell"] == {"seed": 0, "window": 0, "settings": {"ppo.lr": 0.001}}
    assert api.post(f"/api/v1/experiments/{made.pk}/cancel/").json()["statuses"]["cancelled"] == 8
    assert api.post(f"/api/v1/experiments/{made.pk}/cancel/").status_code == 409


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": []}, "seeds"),
        ({"windows": 0}, "windows"),
        ({"grid": {"ppo.lr": [7]}}, "ppo.lr"),
        ({"grid": {"ppo.lr": 7}}, "grid"),
        ({"spec": {"series": 2**40}}, "series"),
    ],
)
def test_an_experiment_that_cannot_be_names_the_field(api, series, changes, field):
    answer = api.post("/api/v1/experiments/", asked(series, **changes), format="json")
    assert answer.status_code == 400
    assert field in answer.json()["errors"]
    assert not TrainingRun.objects.exists()


def test_candles_of_somebody_else_cannot_be_trained_on(foreign, series):
    answer = foreign.post("/api/v1/experiments/", asked(series), format="json")
    assert answer.status_code == 400
    assert "there is no series" in answer.json()["detail"]


def test_a_model_is_reproduced_by_its_card_and_its_test_part_opened(api, ada, series):
    spec = TINY | {"series": series.pk, "test_share": 0.2}
    started = api.post("/api/v1/training-runs/", {"name": "m", "spec": spec}, format="json").json()
    run = TrainingRun.objects.get(pk=started["id"])
    assert train(run) == job.EXIT_DONE
    model = run.model
    card = api.get(f"/api/v1/models/{model.pk}/card/").json()
    again = api.post("/api/v1/training-runs/reproduce/", {"card": card}, format="json").json()
    twin = TrainingRun.objects.get(pk=again["id"])
    train(twin)
    assert api.get(f"/api/v1/training-runs/{twin.pk}/").json()["is_reproduced"] is True
    views = api.get(f"/api/v1/training-runs/{run.pk}/validations/").json()
    assert [view["step"] for view in views] == [256, 512]
    for wrong in ({}, {"spec": {}}, {**card, "data_fingerprint": "0" * 64}):
        answer = api.post("/api/v1/training-runs/reproduce/", {"card": wrong}, format="json")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["card"])
    path = f"/api/v1/models/{model.pk}"
    assert api.post(f"{path}/open-test/", {"reason": " "}, format="json").status_code == 400
    assert api.post(f"{path}/open-test/", {"reason": "last check"}, format="json").status_code == 201
    assert api.get(f"{path}/").json()["openings"] == TestOpening.objects.count() == 1
    assert api.get(f"{path}/openings/").json()[0]["opened_by"] == "ada"
