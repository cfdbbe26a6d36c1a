"""Row t depends on bars up to t, and on no more of the past than the set says."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from market.candles import Candles
from market.features import PRESETS, FeatureSet, compute

from .markets import ALL, MINUTE, differing, joined, random_walk, real, ticking


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 399), coarse=st.booleans())
def test_changing_the_future_never_changes_the_past(seed, cut, coarse):
    past = ticking(400, seed) if coarse else random_walk(400, seed)
    other = random_walk(400, seed + 1, volatility=0.2)
    changed = joined(past[:cut], other)
    assert differing(ALL, compute(changed, ALL)[:cut], compute(past, ALL)[:cut]) == []


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 399), coarse=st.booleans())
def test_a_shorter_series_has_the_same_rows(seed, cut, coarse):
    candles = ticking(400, seed) if coarse else random_walk(400, seed)
    assert differing(ALL, compute(candles[:cut], ALL), compute(candles, ALL)[:cut]) == []


def test_removing_the_future_of_real_bars_never_changes_the_past(shared_data):
    candles = real(shared_data, "binance-BTCUSDT-1m-20241001-20241104.parquet", 0, 3_000)
    rows = compute(candles, ALL)
    for cut in (280, 333, 1_000, 1_999, 2_999):
        assert differing(ALL, compute(candles[:cut], ALL), rows[:cut]) == []


def test_the_memory_is_enough_history_on_real_bars(shared_data):
    candles = real(shared_data, "binance-BTCUSDT-1m-20240726-20240825.parquet", 0, 30_000)
    rows = compute(candles, ALL)
    spread = np.nanstd(rows, axis=0)
    for at in np.random.default_rng(1).integers(5_000, 30_000, 40):
        live = compute(candles[at + 1 - ALL.memory : at + 1], ALL)[-1]
        wrong = np.abs(live - rows[at]) > 1e-6 * spread
        assert [name for name, bad in zip(ALL.names, wrong, strict=True) if bad] == []


def test_each_feature_alone_needs_no_more_than_its_own_memory():
    candles = random_walk(5_000, seed=9)
    for spec in ALL.specs:
        alone = FeatureSet((spec,))
        column = compute(candles, alone)[:, 0]
        for at in (3_000, 4_321, 4_999):
            live = compute(candles[at + 1 - alone.memory : at + 1], alone)[-1, 0]
            assert abs(live - column[at]) <= 1e-6 * np.nanstd(column), spec.name


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), power=st.integers(-30, 30))
def test_the_unit_of_price_changes_no_feature(seed, power):
    candles = random_walk(300, seed)
    prices = [getattr(candles, name) * 2.0**power for name in ("open", "high", "low", "close")]
    scaled = Candles(MINUTE, candles.open_ms, *prices, candles.volume)
    np.testing.assert_allclose(compute(scaled, ALL), compute(candles, ALL), rtol=1e-9, atol=1e-9)


def test_core_knows_the_past_only_as_far_as_its_memory_says():
    candles, core = random_walk(2_000, seed=3), PRESETS["core"]
    live = compute(candles[-core.memory :], core)[-1]
    whole = compute(candles, core)
    assert (np.abs(live - whole[-1]) <= 1e-6 * np.nanstd(whole, axis=0)).all()
