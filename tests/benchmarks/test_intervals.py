"""Intervals of mean daily returns hold what they say, and days are counted in the right place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.intervals import by_day, mean_interval, pooled

DAY = 86_400_000


def test_returns_that_never_vary_leave_no_doubt():
    assert mean_interval(np.full((3, 40), 0.25)) == pytest.approx((0.25, 0.25))


def test_more_days_say_more():
    rng = np.random.default_rng(1)
    short, long = (mean_interval(rng.normal(0, 1, (1, days))) for days in (50, 5_000))
    assert long[1] - long[0] < 0.3 * (short[1] - short[0])


def test_seeds_that_disagree_widen_the_interval():
    same = np.tile(np.random.default_rng(2).normal(0, 0.1, 300), (3, 1))
    apart = same + np.array([[-1.0], [0.0], [1.0]])
    assert mean_interval(same) == pytest.approx((same.mean(), same.mean()), abs=0.03)
    assert mean_interval(apart)[0] < -0.4 < 0.4 < mean_interval(apart)[1]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng, covered = np.random.default_rng(3), 0
    for _ in range(60):
        low, high = mean_interval(rng.normal(0.1, 1, (2, 200)).mean(0, keepdims=True))
        covered += low <= 0.1 <= high
    assert covered >= 50


@given(st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=60), st.integers(0, 10**6))
def test_the_days_of_a_curve_add_up_to_all_it_earned(returns, first):
    open_ms = (first + np.arange(len(returns) + 1)) * 3_600_000
    equity = 1_000 * np.exp(np.cumsum([0.0, *returns]))
    days = by_day(open_ms, equity)
    assert sum(days.values()) == pytest.approx(sum(returns), abs=1e-9)
    assert set(days) == {int(at) // DAY for at in open_ms[1:]}


def test_a_day_is_the_mean_of_the_series_that_have_it():
    days, returns = pooled([(0, {1: 0.2, 2: 0.4}), (0, {2: 0.0, 4: 0.1}), (7, {1: 0.0, 2: 1.0, 4: 0.3})])
    assert days == [1, 2, 4]
    assert returns == pytest.approx(np.array([[0.2, 0.2, 0.1], [0.0, 1.0, 0.3]]))
