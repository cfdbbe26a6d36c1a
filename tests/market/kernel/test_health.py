"""Measures of whether a model is used within what it has seen."""

import numpy as np
import pytest

from market.kernel import health


@pytest.fixture(scope="module")
def trained():
    rows = np.random.default_rng(1).normal(size=(20_000, 3))
    return health.quantile_bins(rows)


def test_inputs_like_those_of_training_hardly_differ(trained):
    found = health.shares_of(np.random.default_rng(2).normal(size=(2000, 3)), trained[0])
    assert (health.psi(trained[1], found) < 0.05).all()
    assert (health.ks(trained[1], found) < 0.05).all()


def test_a_shifted_feature_is_seen_and_only_that_one(trained):
    rows = np.random.default_rng(3).normal(size=(2000, 3))
    rows[:, 1] += 1.5
    found = health.shares_of(rows, trained[0])
    assert [bool(value > 0.25) for value in health.psi(trained[1], found)] == [False, True, False]
    assert health.ks(trained[1], found)[1] > 0.4


def test_a_constant_feature_is_no_shift_when_it_stays_constant():
    edges, shares = health.quantile_bins(np.ones((100, 1)))
    assert health.psi(shares, health.shares_of(np.ones((50, 1)), edges)) == pytest.approx([0.0])


def test_shares_are_of_whole_rows(trained):
    assert trained[1].sum(axis=0) == pytest.approx(np.ones(3))
    assert trained[0].shape == (9, 3)


def test_later_rows_never_change_the_bins_of_the_training_part():
    rows = np.random.default_rng(4).normal(size=(1000, 2))
    before = health.quantile_bins(rows[:600])
    rows[600:] *= 50
    after = health.quantile_bins(rows[:600])
    assert (before[0] == after[0]).all()


def test_entropy_reads_one_for_chance_and_none_for_certainty():
    assert health.entropy_share([(0.25, 0.25, 0.25, 0.25)]) == pytest.approx(1.0)
    assert health.entropy_share([(1.0, 0.0, 0.0)]) == 0.0
    assert health.entropy_share([(), ()]) == -1.0
