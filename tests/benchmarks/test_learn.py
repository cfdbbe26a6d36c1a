"""Algorithms learn the easy planted market within their budgets; the slow ones are only benchmarked."""

import pytest

from agents.spec import ALGORITHMS
from benchmarks import budgets
from benchmarks.bench_learn import run, within_budget
from market.errors import BadInput

# Decisions; seconds each. The others take up to minutes (fast PPO: tests/agents/rl/test_planted_learning.py).
QUICK = {"a2c": 80_000, "reinforce": 60_000, "q_table": 100_000}
DAYS = 1440


def test_every_algorithm_has_a_budget():
    assert set(budgets.BUDGETS) == set(ALGORITHMS)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_budget_is_a_spec_that_can_be_trained(algorithm):
    spec = budgets.spec_of(algorithm, seed=3)
    assert (spec.algorithm, spec.seed, spec.decision_every) == (algorithm, 3, 15)
    assert spec.learning.gamma == 0.98


@pytest.mark.parametrize("algorithm", QUICK)
def test_it_beats_cash_and_chance_on_the_easy_market(algorithm, monkeypatch):
    monkeypatch.setattr(budgets, "TEST_BARS", 20 * DAYS)
    row = within_budget((algorithm, 0, QUICK[algorithm], 60 * DAYS))
    assert row["random"] < 0
    assert row["share_of_optimum"] > 0.3


@pytest.mark.parametrize("wrong", [{"algorithm": "sarsa"}, {"algorithm": "all", "markets": "hours"}])
def test_what_cannot_be_measured_is_refused(wrong):
    with pytest.raises(BadInput, match=r"no algorithm 'sarsa'|leave markets"):
        run(**wrong)
