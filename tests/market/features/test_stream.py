"""The live path gives the bits of the training path, at every bar, for every feature, compiled or not."""

import dataclasses
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import BadInput
from market.features import CATALOGUE, PRESETS, FeatureSet, FeatureSpec, Stream, compute, player
from market.features.plain import Plain
from market.features.player import Player

from .markets import ALL, MINUTE, bars, differing, pathological, random_walk, real, rows_of, ticking

ENGINES = (Player, Plain)


@contextmanager
def engine(kind):
    """Have streams go through one of the two; `Plain` is what they do where TA-Lib's symbols are missing."""
    with pytest.MonkeyPatch.context() as patch:
        if kind is Plain:
            patch.setattr(player, "opened", lambda *_: None)
        yield


def streamed(feature_set, candles, kind):
    stream = Stream(feature_set, MINUTE)
    with engine(kind):
        rows = [stream.push(*row) for row in rows_of(candles)]
    assert type(stream._engine) is kind
    return np.array(rows)


def assert_same_and_finite(feature_set, candles):
    batch = compute(candles, feature_set)
    for kind in ENGINES:
        assert differing(feature_set, streamed(feature_set, candles, kind), batch) == []
    assert np.isnan(batch[: feature_set.warmup]).all()
    assert np.isfinite(batch[feature_set.warmup :]).all()


def test_streaming_equals_batch_on_real_bars(shared_data):
    assert_same_and_finite(ALL, real(shared_data, "binance-BTCUSDT-1m-20241001-20241104.parquet", 0, 3200))


def test_streaming_equals_batch_over_an_outage_with_flat_untraded_bars(shared_data):
    candles = real(shared_data, "binance-ADAUSDT-1m-20230316-20230501.parquet", 10_300, 1_200)
    assert (candles.volume == 0).sum() > 60
    assert np.diff(candles.open_ms).max() > MINUTE
    assert_same_and_finite(ALL, candles)


def test_streaming_equals_batch_on_a_market_full_of_gaps(shared_data):
    candles = real(shared_data, "bitfinex-BTCUSD-1m-20170101-20181231.parquet", 0, 1_500)
    assert (np.diff(candles.open_ms) > MINUTE).sum() > 20
    assert_same_and_finite(ALL, candles)


@pytest.mark.parametrize(
    "candles", [pathological(), bars(np.full(900, 3.5)), bars(np.full(900, 7e-9), volume=0)]
)
def test_streaming_equals_batch_on_bars_that_break_formulas(candles):
    assert_same_and_finite(ALL, candles)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), coarse=st.booleans(), price=st.sampled_from((1e-8, 0.07, 1.0, 1e7)))
def test_streaming_equals_batch_on_random_bars(seed, coarse, price):
    candles = ticking(480, seed) if coarse else random_walk(480, seed, price=price)
    assert_same_and_finite(ALL, candles)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_feature_alone_is_valid_from_its_own_warm_up_on(name):
    assert_same_and_finite(FeatureSet((FeatureSpec(name, name),)), random_walk(130, seed=5))


@pytest.mark.parametrize("kind", ENGINES)
def test_a_bar_whose_numbers_overflow_is_refused_and_changes_nothing(kind):
    candles, full = random_walk(401, seed=4), PRESETS["full"]
    stream = Stream(full, MINUTE)
    with engine(kind):
        stream.start(candles[:400])
    *prices, _ = next(iter(rows_of(candles[400:])))
    with pytest.raises(BadInput, match="too large"):
        stream.push(*prices, 1e308)
    last = list(rows_of(candles))[400]
    assert np.array_equal(stream.push(*last), compute(candles, full)[-1])


@pytest.mark.parametrize("taken", [0, 1, 50, 119, 120, 121, 400])
@pytest.mark.parametrize("kind", ENGINES)
def test_a_stream_started_on_a_history_continues_as_if_it_had_been_pushed(taken, kind):
    candles, core = random_walk(500, seed=2), PRESETS["core"]
    stream = Stream(core, MINUTE)
    with engine(kind):
        first = stream.start(candles[:taken])
        rest = [stream.push(*row) for row in rows_of(candles[taken:])]
    assert differing(core, np.vstack((first, rest)), compute(candles, core)) == []


@pytest.mark.parametrize("kind", ENGINES)
def test_a_row_is_written_where_it_is_asked_for_from_the_warm_up_on(kind):
    candles, core = random_walk(200, seed=2), PRESETS["core"]
    room, stream = np.full((len(candles), len(core)), -1.0), Stream(core, MINUTE)
    with engine(kind):
        rows = [stream.push(*row, out) for row, out in zip(rows_of(candles), room, strict=True)]
    assert differing(core, room, compute(candles, core)) == []
    assert differing(core, np.array(rows), room) == []


@pytest.mark.parametrize(
    "bar",
    [
        (0, 1.0, 1.0, 1.0, 1.0, 1.0),
        (None, 1.0, 1.0, 1.0, float("nan"), 1.0),
        (None, 1.0, float("inf"), 1.0, 1.0, 1.0),
        (None, 1.0, 1.0, 0.0, 1.0, 1.0),
        (None, 1.0, 1.0, 1.0, 1.0, float("nan")),
        (None, 1.0, 1.0, 1.0, 1.0, -1.0),
    ],
)
@pytest.mark.parametrize("taken", [10, 400])
@pytest.mark.parametrize("kind", ENGINES)
def test_a_refused_bar_changes_nothing(bar, taken, kind):
    candles, full = random_walk(401, seed=4), PRESETS["full"]
    stream = Stream(full, MINUTE)
    with engine(kind):
        stream.start(candles[:taken])
    next_row = next(iter(rows_of(candles[taken:])))
    with pytest.raises(BadInput, match=r"not later|missing"):
        stream.push(next_row[0] if bar[0] is None else bar[0], *bar[1:])
    assert np.array_equal(stream.push(*next_row), compute(candles[: taken + 1], full)[-1], equal_nan=True)


def test_a_stream_knows_how_many_bars_it_holds_and_when_it_is_ready():
    stream = Stream(PRESETS["price"], MINUTE)
    candles = random_walk(61, seed=1)
    stream.start(candles[:60])
    assert (stream.bars, stream.is_ready, stream.last_open_ms) == (60, False, int(candles.open_ms[59]))
    stream.push(*list(rows_of(candles))[60])
    assert stream.is_ready


def test_a_history_is_taken_only_first_and_only_of_the_same_interval():
    candles = random_walk(80, seed=1)
    stream = Stream(PRESETS["price"], MINUTE)
    stream.start(candles)
    with pytest.raises(BadInput, match="before its first bar"):
        stream.start(candles)
    with pytest.raises(BadInput, match="interval"):
        Stream(PRESETS["price"], 5 * MINUTE).start(candles)


def test_volume_may_be_missing_where_no_feature_reads_it():
    candles = random_walk(300, seed=3)
    silent = dataclasses.replace(candles, volume=np.full(300, np.nan))
    core = PRESETS["core"]
    for kind in ENGINES:
        assert differing(core, streamed(core, silent, kind), compute(candles, core)) == []
    with pytest.raises(BadInput, match="volume"):
        compute(silent, PRESETS["full"])
