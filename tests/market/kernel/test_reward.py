import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.kernel.reward import (
    Moments,
    Terms,
    bar_reward,
    deepening,
    differential_sharpe,
    differential_sortino,
    log_return,
)

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


def test_the_differential_sortino_is_the_derivative_of_the_moving_sortino():
    rates = np.random.default_rng(2).normal(0.001, 0.01, 300)
    mean, below, decay = float(np.mean(rates)), float(np.mean(np.minimum(rates, 0) ** 2)), 1e-6
    for rate in rates[:20]:
        reward, below_ = differential_sortino(rate, mean, below, decay)
        mean_ = mean + decay * (rate - mean)
        change = mean_ / math.sqrt(below_) - mean / math.sqrt(below)
        assert reward == pytest.approx(change / decay, rel=1e-3, abs=1e-3)


def test_the_sortino_waits_for_a_loss():
    assert differential_sortino(0.01, 0.0, 0.0, 0.01) == (0.0, 0.0)
    assert differential_sortino(-0.01, 0.0, 0.0, 0.5) == (0.0, 0.00005)


START = Moments(0.0, 0.0, 0.0)
bars = st.tuples(worths, worths, worths, worths, st.floats(0, 1e6))


def worth(bar, terms, moments=START):
    before, after, past, price, traded = bar
    return bar_reward(before, after, before, max(before, after), past, price, traded, moments, terms)


@given(st.lists(bars, min_size=1, max_size=10), st.lists(st.floats(0.0, 5.0), min_size=7, max_size=7))
def test_a_reward_is_the_weighted_sum_of_its_terms(path, weights):
    every, moments = Terms(*weights, 0.1), START
    alone = dict.fromkeys(Terms._fields[:-1], START)
    for bar in path:
        reward, moments = worth(bar, every, moments)
        total = 0.0
        for name, own in alone.items():
            part, alone[name] = worth(bar, Terms(**{name: getattr(every, name)}, decay=0.1), own)
            total += part
        assert reward == pytest.approx(total, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("term", ["sharpe", "sortino"])
def test_one_return_after_a_quiet_stretch_is_worth_a_bounded_ratio(term):
    quiet = Moments(mean=1e-5, square=1e-10 + 2e-14, below=2e-14)
    assert abs(differential_sortino(-0.01, quiet.mean, quiet.below, 0.01)[0]) > 1e5
    assert worth((100.0, 99.0, 1.0, 1.0, 0.0), Terms(**{term: 2.0}), quiet)[0] == -20.0


def test_each_term_means_what_it_says():
    bar = (100.0, 90.0, 50.0, 40.0, 20.0)
    assert worth(bar, Terms(drawdown=2))[0] == pytest.approx(-0.2)
    assert worth(bar, Terms(holding_risk=3))[0] == pytest.approx(-0.03)
    assert worth(bar, Terms(turnover=1))[0] == pytest.approx(-0.2)
    assert worth(bar, Terms(benchmark=1))[0] == pytest.approx(math.log(0.9) - math.log(0.8))


def test_who_holds_nothing_is_paid_nothing_and_holding_the_asset_is_no_merit():
    flat, held = (100.0, 100.0, 50.0, 40.0, 0.0), (100.0, 80.0, 50.0, 40.0, 0.0)
    assert worth(flat, Terms(1, 1, 1, 1, 1, 1))[0] == 0.0
    assert worth(held, Terms(benchmark=1))[0] == pytest.approx(0.0, abs=1e-15)


@given(bars, worths)
def test_half_the_benchmark_judges_accounts_by_the_same_difference(bar, other):
    halved, plain = Terms(log_return=0.5, benchmark=0.5), Terms(log_return=1)
    rival = (bar[0], other, *bar[2:])
    apart = worth(bar, plain)[0] - worth(rival, plain)[0]
    assert worth(bar, halved)[0] - worth(rival, halved)[0] == pytest.approx(apart, rel=1e-9, abs=1e-12)
    assert worth(bar, halved)[0] == pytest.approx(
        worth(bar, plain)[0] - 0.5 * log_return(bar[2], bar[3]), rel=1e-9, abs=1e-12
    )
