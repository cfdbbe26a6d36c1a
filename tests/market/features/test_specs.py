"""Feature sets as data."""

import json
import pickle

import pytest

from market.errors import BadInput
from market.features import CATALOGUE, PRESETS, FeatureSet, FeatureSpec, preset
from market.features.kinds import fade


def functions(feature_set):
    return {call.function for spec in feature_set.specs for call in spec.plan.calls}


def test_the_full_set_holds_over_44_indicators_of_talib_even_without_volume():
    assert len(functions(PRESETS["full"])) >= 44
    assert len(functions(PRESETS["full"].without_volume())) >= 44


def test_core_is_small_needs_no_volume_and_warms_up_on_one_request_for_candles():
    core = PRESETS["core"]
    assert 18 <= len(core) <= 24
    assert not core.needs_volume
    assert core.warmup < core.memory < 500


def test_only_sets_that_read_volume_say_so():
    assert PRESETS["full"].needs_volume
    assert not PRESETS["full"].without_volume().needs_volume
    assert not PRESETS["price"].needs_volume


@pytest.mark.parametrize("name", PRESETS)
def test_a_set_survives_json(name):
    stored = json.loads(json.dumps(PRESETS[name].to_json()))
    assert FeatureSet.from_json(stored) == PRESETS[name]
    assert FeatureSet.from_json(stored).hash == PRESETS[name].hash


def test_a_set_in_use_can_be_sent_to_another_process():
    core = PRESETS["core"]
    assert core.memory > 0
    assert pickle.loads(pickle.dumps(core)).hash == core.hash  # noqa: S301 - our own bytes


def test_the_hash_sees_meaning_not_spelling():
    plain, spelled, other = (
        FeatureSet((FeatureSpec("x", "rsi", params),)) for params in ({}, {"period": 14.0}, {"period": 15})
    )
    assert plain.hash == spelled.hash
    assert plain.hash != other.hash
    assert len(plain.hash) == 64


def test_the_order_of_columns_is_part_of_the_set():
    one, two = FeatureSpec("a", "rsi"), FeatureSpec("b", "adx")
    assert FeatureSet((one, two)).hash != FeatureSet((two, one)).hash


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("nonsense", {}, "no kind 'nonsense'"),
        ("rsi", {"length": 3}, "no parameter 'length'; it has: period"),
        ("bop", {"period": 3}, "no parameter 'period'; it has: none"),
        ("rsi", {"period": 1}, "between 2 and 400, not 1"),
        ("rsi", {"period": 2.5}, "whole number"),
        ("rsi", {"period": "14"}, "must be a number, not '14'"),
        ("rsi", {"period": True}, "must be a number"),
        ("rsi", {"period": float("nan")}, "must be a number"),
        ("rsi", {"period": float("inf")}, "must be a number"),
        ("rsi", [14], "params must be an object"),
        ("macd", {"fast": 30}, "fast must be smaller than slow"),
    ],
)
def test_a_feature_that_makes_no_sense_is_refused_in_one_sentence(kind, params, message):
    with pytest.raises(BadInput, match=message):
        FeatureSpec("x", kind, params)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"features": []},
        {"features": "rsi"},
        {"features": ["rsi"]},
        {"features": [{"name": "x"}]},
        {"features": [{"name": "x", "kind": ["rsi"]}]},
        {"features": [{"name": "", "kind": "rsi"}]},
        {"features": [{"name": "x", "kind": "rsi", "extra": 1}]},
        {"features": [{"name": "x", "kind": "rsi"}, {"name": "x", "kind": "adx"}]},
    ],
)
def test_a_malformed_set_is_refused(data):
    with pytest.raises(BadInput):
        FeatureSet.from_json(data)


def test_a_set_of_other_feature_code_is_refused():
    stored = {**PRESETS["core"].to_json(), "implementation": 999}
    with pytest.raises(BadInput, match="train the model again"):
        FeatureSet.from_json(stored)


def test_an_unknown_preset_is_refused_with_the_choice():
    assert preset("core") is PRESETS["core"]
    with pytest.raises(BadInput, match="price, core, swing, slow, wide, full"):
        preset("everything")


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_kind_accepts_the_ends_of_its_bounds_and_says_what_it_is(name):
    kind = CATALOGUE[name]
    assert kind.about
    for end in ("low", "high"):
        for param in set(kind.params) - set(kind.ordered):
            spec = FeatureSpec("x", name, {param: getattr(kind.params[param], end)})
            assert spec.plan.memory > spec.plan.lookback >= 0


def test_a_chain_of_averages_forgets_later_than_one():
    once, thrice = fade(0.1), fade(0.1, 3)
    assert 0.9**once <= 1e-8 < 0.9 ** (once - 1)
    assert thrice > once
