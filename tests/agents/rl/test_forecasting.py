"""Boosted trees as a feature: out of fold, purged, blind to what comes later, the same live as in a batch."""

import json

import numpy as np
import pytest

from agents import artefacts
from agents.evaluation.folds import folds, outside
from agents.evaluation.score import validation_run
from agents.policies.forecast import Forecasting, Trees
from agents.rl.forecasting import with_forecast
from agents.rl.training import card_part, learn
from agents.spec import TrainingSpec
from market.errors import BadInput
from tests.agents.markets import changed_after, walk, waves
from tests.agents.rl.tasks import BASE, spec_for
from tests.agents.rl.test_algorithms import growth, made_ready, small
from tests.agents.rl.test_learning import Ear

GIVEN = {"kind": "xgboost", "horizon": 5, "folds": 3, "trees": 10, "least_rows": 10}


def ready_of(candles, **changes):
    spec = TrainingSpec.parse({**BASE, "forecast": {**GIVEN, **changes}})
    return spec, with_forecast(made_ready(candles, spec), spec)


def test_no_forecast_comes_from_a_bar_that_overlaps_with_it():
    for first, last in folds(100, 4):
        chosen = outside(95, first, last, horizon=5, gap=12)
        before, after = chosen[chosen < first], chosen[chosen >= first]
        assert (before + 5 <= first).all()
        assert (after >= last + 12).all()
    assert [last - first for first, last in folds(100, 4)] == [25, 25, 25, 25]


def test_later_bars_change_no_forecast():
    candles = waves(2000)
    _, ready = ready_of(candles)
    _, other = ready_of(changed_after(candles, ready.split.train_to - 1))
    assert np.array_equal(ready.folded, other.folded)
    assert ready.forecasting.to_json() == other.forecasting.to_json()
    assert not np.array_equal(ready.rows[-1], other.rows[-1])


def test_a_fold_is_forecast_without_its_own_returns():
    candles = waves(2000)
    _, ready = ready_of(candles)
    first, last = (ready.split.train_from + bound for bound in folds(len(ready.folded), 3)[1])
    bent = changed_after(candles, last - 1)  # what the middle fold is forecast from includes later bars
    _, other = ready_of(bent)
    middle = slice(*folds(len(ready.folded), 3)[1])
    assert not np.array_equal(ready.folded[middle], other.folded[middle])
    seen = ready.forecasting.transform(ready.rows[first:last])[:, -1]
    assert not np.array_equal(seen, ready.folded[middle])  # the whole part's trees have seen these returns


def test_one_row_has_the_bits_of_a_batch_and_survives_being_stored():
    _, ready = ready_of(waves(2000))
    stored = Forecasting.from_json(ready.scaler, json.loads(json.dumps(ready.forecasting.to_json())))
    rows = ready.rows[ready.split.valid_from : ready.split.valid_from + 50]
    batch = ready.forecasting.transform(rows)
    assert batch.shape == (50, rows.shape[1] + 1)
    for row, expected in zip(rows, batch, strict=True):
        assert np.array_equal(stored.transform(row), expected)
        assert np.array_equal(stored.transform(row[None])[0], expected)
    gone = rows[0].copy()
    gone[0] = np.nan
    assert np.isnan(stored.transform(gone)[-1])


def test_an_agent_learns_from_the_forecast_and_its_model_carries_the_trees(tmp_path):
    spec = spec_for("fast_ppo", forecast=GIVEN)
    ready = with_forecast(made_ready(waves(3000), spec), spec)
    outcome = learn(spec, ready, tmp_path, Ear())
    card = json.loads(json.dumps(card_part(spec, ready)))
    policy = artefacts.policy_of(card, outcome.network, name="p", policy_hash="h")
    assert policy.observation.columns == len(spec.feature_set()) + 1
    assert growth(validation_run(policy, ready, spec)) > 1.5


def test_a_table_learns_from_the_forecast_alone(tmp_path):
    own = {"n_steps": 64, "gamma": 0.9, "columns": ["forecast"]}
    spec = spec_for("q_table", steps=20_000, forecast=GIVEN, q_table=own)
    ready = with_forecast(made_ready(waves(3000), spec), spec)
    network = learn(spec, ready, tmp_path, Ear()).network
    assert network.columns[0] == len(spec.feature_set())  # the place behind the features
    policy = artefacts.policy_of(card_part(spec, ready), network, name="p", policy_hash="h")
    assert growth(validation_run(policy, ready, spec)) > 1.3


def test_what_cannot_be_forecast_is_refused():
    with pytest.raises(BadInput, match="too few for a forecast in 20 folds"):
        ready_of(walk(400), folds=20, horizon=100)
    spec = small("ppo", forecast=GIVEN)
    bare = made_ready(walk(1200), spec)
    with pytest.raises(ValueError, match="fitted first"):
        learn(spec, bare, None, Ear())
    with pytest.raises(BadInput, match="damaged"):
        Trees.from_json({"roots": [0]})
