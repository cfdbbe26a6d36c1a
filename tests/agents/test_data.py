"""What a run may learn from, and what may only judge it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluation.data import prepare
from agents.evaluation.score import score_of, validation_run
from agents.evaluation.split import split
from agents.spec import TrainingSpec
from market.errors import BadInput
from tests.agents.markets import changed_after, network_policy, stored, walk

SPEC = TrainingSpec.parse({"features": "price", "window": 2, "episode_bars": 100, "validation_share": 0.2})


@given(st.integers(2000, 100_000), st.integers(0, 300), st.integers(1, 50), st.floats(0.06, 0.5))
def test_the_parts_are_in_order_with_the_gap_between_them(bars, warmup, window, share):
    found = split(bars, warmup=warmup, window=window, episode_bars=100, share=share, embargo=warmup + window)
    assert 0 <= found.train_from == warmup < found.train_to
    assert found.valid_from - found.train_to == warmup + window
    assert found.valid_to == bars
    assert found.valid_to - found.valid_from == round((bars - warmup) * share)


@pytest.mark.parametrize("bars", [0, 10, 300, 380])
def test_too_few_candles_for_the_parts_are_refused_with_the_number_needed(bars):
    with pytest.raises(BadInput, match=r"need about \d+") as refused:
        split(bars, warmup=60, window=2, episode_bars=200, share=0.15, embargo=62)
    needed = int(refused.value.message.split()[-1])
    assert split(needed, warmup=60, window=2, episode_bars=200, share=0.15, embargo=62)


@pytest.mark.django_db
def test_later_bars_never_change_what_is_learned_from(user):
    candles = walk(1000)
    first = prepare(stored(candles, user, source="one"), SPEC)
    changed = changed_after(candles, first.split.train_to - 1)
    second = prepare(stored(changed, user, source="two"), SPEC)
    assert first.split == second.split
    assert first.scaler.hash == second.scaler.hash
    np.testing.assert_array_equal(first.train[1], second.train[1])
    assert first.fingerprint != second.fingerprint


@pytest.mark.django_db
def test_no_observation_of_the_judging_part_holds_a_bar_that_was_learned_from(user):
    candles = walk(1000)
    ready = prepare(stored(candles, user), SPEC)
    policy = network_policy(candles)
    run = validation_run(policy, ready, SPEC)
    assert run.open_ms[0] == candles.open_ms[ready.split.valid_from]
    assert len(run.equity) == ready.split.valid_to - ready.split.valid_from
    reach = policy.observation.first_row  # bars before a decision that its observation depends on
    assert ready.split.valid_from - reach >= ready.split.train_to


@pytest.mark.django_db
def test_times_say_what_was_seen(user):
    candles = walk(1000)
    ready = prepare(stored(candles, user), SPEC)
    start, train, valid = ready.times
    assert start == candles.open_ms[ready.split.train_from]
    assert train == candles.open_ms[ready.split.train_to - 1] + 60_000
    assert valid == candles.open_ms[-1] + 60_000


@pytest.mark.django_db
def test_features_that_need_volume_are_refused_where_there_is_none(user):
    candles = walk(3000)
    candles.volume[:] = 0
    with pytest.raises(BadInput, match="reports none"):
        prepare(stored(candles, user), TrainingSpec.parse({"features": "full", "episode_bars": 100}))


def test_doing_nothing_scores_zero_and_losing_scores_below():
    assert score_of(np.full(100, 10_000.0)) == 0.0
    assert score_of(np.linspace(10_000, 9_000, 100) + np.arange(100) % 2) < 0
    assert score_of(np.linspace(10_000, 11_000, 100) + np.arange(100) % 2) > 0
