import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.kernel.reward import deepening, differential_sharpe, log_return

worths = st.floats(100, 1_000_000)


@given(worths, st.floats(-0.5, 0.5))
def test_the_log_return_is_the_logarithm_of_the_ratio(before, move):
    assert log_return(before, before * (1 + move)) == pytest.approx(math.log1p(move), rel=1e-9, abs=1e-15)


def test_nothing_left_costs_a_finite_reward():
    assert log_return(100.0, 0.0) == log_return(100.0, -50.0) == math.log(1 / 1000)


@given(st.lists(worths, min_size=2, max_size=30))
def test_deepenings_add_up_to_every_fall_from_the_peak_once(path):
    peak, total, shares = path[0], 0.0, [0.0]
    for before, after in pairwise(path):
        total += deepening(before, after, peak, max(peak, after))
        peak = max(peak, after)
        shares.append(1 - after / peak)
    assert total == pytest.approx(sum(max(b - a, 0.0) for a, b in pairwise(shares)))


def test_the_differential_sharpe_is_the_derivative_of_the_moving_sharpe():
    rates = np.random.default_rng(1).normal(0.001, 0.01, 300)
    mean, square, decay = 0.0, 0.0, 1e-6
    mean, square = float(np.mean(rates)), float(np.mean(rates**2))

    def sharpe(m, s):
        return m / math.sqrt(s - m * m)

    for rate in rates[:20]:
        reward, mean_, square_ = differential_sharpe(rate, mean, square, decay)
        assert reward == pytest.approx(
            (sharpe(mean_, square_) - sharpe(mean, square)) / decay, rel=1e-3, abs=1e-3
        )


def test_the_first_rewards_wait_for_a_variance():
    assert differential_sharpe(0.01, 0.0, 0.0, 0.01)[0] == 0.0
