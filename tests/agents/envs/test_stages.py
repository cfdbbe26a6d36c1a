import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.envs.stages import CALM, CRASH, UNKNOWN, VOLATILE, classes, measures, starts_of
from market.errors import BadInput


def three_weathers():
    """400 calm bars, 400 volatile ones around a level, then a fall and its bottom."""
    rng = np.random.default_rng(1)
    calm, wild = rng.normal(0, 1e-4, 800), 0.005 * np.resize([1.0, -1.0], 400)
    return 100 * np.exp(np.cumsum(np.concatenate([calm, wild, np.full(60, -0.01), rng.normal(0, 1e-4, 40)])))


@given(st.integers(200, 299), st.integers(0, 1000))
def test_a_bars_measures_do_not_depend_on_later_bars(cut, seed):
    rng = np.random.default_rng(seed)
    close = np.exp(np.cumsum(rng.normal(0, 0.01, 300)))
    other = np.concatenate([close[:cut], close[cut:] * rng.uniform(0.5, 2, 300 - cut)])
    for one, two in zip(measures(close, 20), measures(other, 20), strict=True):
        assert np.array_equal(one[:cut], two[:cut], equal_nan=True)


def test_calm_volatile_and_falling_bars_are_told_apart():
    found = classes(three_weathers(), 50)
    assert (found[:50] == UNKNOWN).all()
    assert (found[60:800] == CALM).mean() > 0.95
    assert (found[860:1200] == VOLATILE).mean() > 0.9
    assert (found[1240:1290] == CRASH).all()


def test_stages_add_up_and_draw_their_classes_about_equally():
    found = classes(three_weathers(), 50)
    for stage in (CALM, VOLATILE, CRASH):
        drawn = found[starts_of(found, stage, 0, 1290)]
        counts = np.bincount(drawn, minlength=3)[: stage + 1]
        assert set(drawn) == set(range(stage + 1))
        assert counts.max() < 1.6 * counts.min()
    assert starts_of(found, CRASH, 0, 1200).max() <= 1200


@pytest.mark.parametrize(("close", "words"), [(np.ones(400), "10 times|500"), (np.ones(600), "no volatile")])
def test_candles_without_weather_are_refused(close, words):
    with pytest.raises(BadInput, match=words):
        classes(close, 50)


def test_episodes_too_long_for_a_stage_are_refused():
    with pytest.raises(BadInput, match="calm"):
        starts_of(np.full(10, UNKNOWN, np.int8), CALM, 0, 9)
