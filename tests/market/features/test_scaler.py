"""Scaling learns from the rows it is given and from nothing else."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from market.errors import BadInput
from market.features import PRESETS, Scaler, compute

from .markets import random_walk

ROWS = np.random.default_rng(0).normal((5, -3, 0), (2, 0.1, 1e-4), (5_000, 3))


@pytest.mark.parametrize("kind", ["robust", "standard"])
def test_scaled_rows_are_centred_with_unit_spread(kind):
    scaled = Scaler.fit(ROWS, kind).transform(ROWS)
    assert scaled.dtype == np.float32
    assert scaled.flags.c_contiguous
    np.testing.assert_allclose(np.median(scaled, axis=0), 0, atol=0.05)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=0.05)


def test_a_robust_scaler_hardly_sees_outliers():
    wild = ROWS.copy()
    wild[::100] = 1e9
    np.testing.assert_allclose(Scaler.fit(wild).scale, Scaler.fit(ROWS).scale, rtol=0.05)


def test_values_beyond_the_clip_are_cut():
    scaler = Scaler.fit(ROWS)
    assert (scaler.transform(np.full(3, 1e300)) == 5).all()
    assert (scaler.transform(np.full(3, -1e300)) == -5).all()
    assert Scaler.fit(ROWS, clip=2.0).transform(np.full(3, 1e9)).tolist() == [2, 2, 2]


def test_constant_and_nearly_constant_columns_are_safe():
    flags = (np.arange(100) == 3) * 1.0
    rows = np.column_stack((np.full(100, 7.3), flags, np.zeros(100)))
    for kind in ("robust", "standard"):
        scaled = Scaler.fit(rows, kind).transform(rows)
        assert np.isfinite(scaled).all()
        np.testing.assert_allclose(scaled[:, (0, 2)], 0, atol=1e-6)
        assert scaled[3, 1] > 1


def test_one_row_scales_as_it_does_among_others():
    scaler = Scaler.fit(ROWS[:100])
    together = scaler.transform(ROWS)
    assert all(
        np.array_equal(scaler.transform(row), out) for row, out in zip(ROWS[:50], together, strict=False)
    )


@given(
    arrays.arrays(
        np.float64, (4, 3), elements=st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf, -0.0])
    )
)
def test_the_compiled_window_is_numpys_bit_for_bit(rows):
    scaler = Scaler.fit(ROWS)
    by_column = np.asfortranarray(rows)
    assert not by_column.flags.carray  # so numpy scales it
    assert scaler.transform(rows).tobytes() == scaler.transform(by_column).tobytes()
    assert [scaler.transform(row).tobytes() for row in rows] == [r.tobytes() for r in scaler.transform(rows)]


def test_the_warm_up_stays_unknown_after_scaling():
    core = PRESETS["core"]
    rows = compute(random_walk(400, seed=1), core)
    scaled = Scaler.fit(rows[core.warmup : 300]).transform(rows)
    assert np.isnan(scaled[: core.warmup]).all()
    assert np.isfinite(scaled[core.warmup :]).all()


def test_later_rows_do_not_reach_a_scaler_of_the_training_part():
    changed = ROWS.copy()
    changed[1_000:] *= 50
    assert Scaler.fit(changed[:1_000]).hash == Scaler.fit(ROWS[:1_000]).hash


@given(
    arrays.arrays(np.float64, (6, 2), elements=st.floats(-1e6, 1e6)), st.sampled_from(("robust", "standard"))
)
def test_a_scaler_survives_json_to_the_last_bit(rows, kind):
    scaler = Scaler.fit(rows, kind)
    again = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    assert again.hash == scaler.hash
    assert np.array_equal(again.transform(rows), scaler.transform(rows))
    assert np.isfinite(scaler.transform(rows)).all()


@pytest.mark.parametrize(
    ("rows", "kind", "message"),
    [
        (np.array([[1.0], [np.nan]]), "robust", "leave out the warm-up"),
        (np.array([[1.0], [np.inf]]), "standard", "missing values"),
        (np.ones((1, 3)), "robust", "at least two rows"),
        (np.ones(3), "robust", "at least two rows"),
        (np.ones((5, 3)), "minmax", "choose one of robust, standard"),
    ],
)
def test_rows_that_teach_nothing_are_refused(rows, kind, message):
    with pytest.raises(BadInput, match=message):
        Scaler.fit(rows, kind)


def test_rows_of_another_width_are_refused():
    with pytest.raises(BadInput, match="knows 3 features, not 4"):
        Scaler.fit(ROWS).transform(np.ones((2, 4)))
    with pytest.raises(BadInput, match="knows 3 features, not 4"):
        Scaler.fit(ROWS).write(np.ones((2, 4)), np.empty(8, np.float32))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "x"},
        {"centre": [1]},
        {"scale": [0, 1, 1]},
        {"scale": None},
        {"clip": "a"},
        {"centre": ["a"] * 3},
    ],
)
def test_a_damaged_scaler_is_refused(change):
    stored = {**Scaler.fit(ROWS).to_json(), **change}
    with pytest.raises(BadInput, match="damaged"):
        Scaler.from_json(stored)
