"""Other people's candles, models and councils, whatever names them: no run and no backtest reaches them."""

import pytest

from agents import services
from agents.models import Backtest, CouncilReview, JobStatus, TrainingRun
from agents.rl import job
from market.errors import BadInput
from tests import factories
from tests.agents.markets import stored, walk
from tests.agents.portfolios import TINY, stored_pairs, trained
from tests.agents.test_experiments import TINY as ALONE
from tests.agents.test_experiments import train
from tests.api.conftest import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine(user):
    return stored_pairs(user)


@pytest.fixture
def theirs(other_user):
    return stored(walk(1200, seed=9), other_user, "ZZZ/USD", "secret")


@pytest.fixture
def operator(user, django_user_model):
    user.groups.add(factories.Group.objects.get(name=factories.Role.OPERATOR.group))
    return client_of(user)


def specs(mine, theirs):
    """Return every way in which a spec may name candles, each meaning somebody else's."""
    pair = {"pairs": ["AAA/USD", "ZZZ/USD"]}
    return {
        "series": ALONE | {"series": theirs.pk},
        "pair": ALONE | {"pair": "ZZZ/USD", "interval": "1m"},
        "source": ALONE | {"pair": "ZZZ/USD", "source": "secret"},
        "basket": TINY | {"pairs": [], "basket": [mine[0].pk, theirs.pk]},
        "pairs": TINY | pair,
        "pairs of a source": TINY | pair | {"source": "secret"},
        "pairs and basket": TINY | pair | {"basket": [mine[0].pk, theirs.pk]},
    }


WAYS = ["series", "pair", "source", "basket", "pairs", "pairs of a source", "pairs and basket"]


@pytest.mark.parametrize("way", WAYS)
def test_no_spec_reaches_candles_of_others(operator, mine, theirs, way):
    spec = specs(mine, theirs)[way]
    card = {"spec": spec, "data_fingerprint": theirs.fingerprint, "weights_hash": "b" * 64}
    bodies = {
        "training-runs": {"name": "x", "spec": spec},
        "experiments": {"name": "x", "spec": spec, "seeds": [0], "windows": 2},
        "training-runs/reproduce": {"card": card},
    }
    for path, body in bodies.items():
        answer = operator.post(f"/api/v1/{path}/", body, format="json")
        assert answer.status_code == 400, (path, answer.json())
    assert not TrainingRun.objects.exists()


@pytest.mark.parametrize("windows", [1, 2])
@pytest.mark.parametrize(
    "key", ["basket", "pairs", "pair", "series", "source", "interval", "from", "to", " basket "]
)
def test_a_grid_cannot_name_candles(operator, mine, theirs, key, windows):
    values = {"pairs": [["AAA/USD", "ZZZ/USD"]], "pair": ["ZZZ/USD"], "series": [theirs.pk],
              "source": ["secret"], "interval": ["1m"], "from": [mine[0].first_ms],
              "to": [mine[0].last_ms]}  # fmt: skip
    body = {"name": "x", "spec": TINY, "seeds": [0], "windows": windows}
    body["grid"] = {key: values.get(key, [[mine[0].pk, theirs.pk]])}
    answer = operator.post("/api/v1/experiments/", body, format="json")
    assert answer.status_code == 400
    assert "choose them outside the grid" in answer.json()["detail"]
    assert not TrainingRun.objects.exists()


def test_baskets_of_ones_own_are_chosen_outside_the_grid_as_well(user, mine):
    grid = {"basket": [[one.pk for one in mine], [one.pk for one in reversed(mine)]]}
    with pytest.raises(BadInput, match="basket cannot be in the grid"):
        services.start_experiment(owner=user, name="x", spec=TINY, seeds=[0], grid=grid)
    with pytest.raises(BadInput, match="version cannot be in the grid"):
        services.start_experiment(owner=user, name="x", spec=TINY, seeds=[0], grid={"version": [2]})


def test_a_run_stored_with_candles_of_others_ends_before_it_reads_them(user, mine, theirs):
    run = services.start_training(owner=user, name="stored", spec=TINY)
    spec = run.spec | {"basket": [mine[0].pk, theirs.pk]}
    TrainingRun.objects.filter(pk=run.pk).update(spec=spec, data_fingerprint="")
    assert train(run) == job.EXIT_FAILED
    assert run.error.startswith(f"there is no series {theirs.pk} among your candles")
    assert not hasattr(TrainingRun.objects.get(pk=run.pk), "model")
    services.resume_training(run)
    assert train(run) == job.EXIT_FAILED, "resumed, it is asked again"


def test_a_model_stored_with_candles_of_others_is_neither_tested_nor_trained_again(user, mine, theirs):
    model = trained(user)
    model.spec["basket"] = [mine[0].pk, theirs.pk]
    model.save(update_fields=["spec"])
    with pytest.raises(BadInput, match="among your candles"):
        services.start_backtest(owner=user, model=model, series=mine[0])
    backtest = factories.BacktestFactory(
        owner=user, model=model, baseline="", series=mine[0], status="queued"
    )
    assert services.run_backtest(backtest.pk).status == JobStatus.FAILED
    assert "among your candles" in Backtest.objects.get(pk=backtest.pk).error


def test_models_and_councils_of_others_are_asked_nothing(operator, mine, other_user):
    model = factories.ModelFactory(owner=other_user)
    council = factories.CouncilFactory(owner=other_user)
    own = factories.CouncilFactory(owner=operator.handler._force_user)
    foreign = factories.SeriesFactory(owner=other_user)
    asked = [
        ("backtests", {"model": model.pk, "series": mine[0].pk}),
        ("backtests", {"council": council.pk, "series": mine[0].pk}),
        ("backtests", {"council": own.pk, "series": foreign.pk}),
        ("council-reviews", {"council": council.pk, "series": mine[0].pk}),
        ("council-reviews", {"council": own.pk, "series": foreign.pk}),
        ("council", {"name": "x", "members": [{"model": model.pk}]}),
        (f"models/{model.pk}/promote", {}),
        (f"models/{model.pk}/reproduce", {}),
        (f"models/{model.pk}/open-test", {"reason": "x"}),
    ]
    for path, body in asked:
        assert operator.post(f"/api/v1/{path}/", body, format="json").status_code == 404, path
    assert not Backtest.objects.exists()
    assert not CouncilReview.objects.exists()
