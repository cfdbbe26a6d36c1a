"""Algorithms learn the easy planted market within their budgets; the slow ones are only benchmarked."""

from types import SimpleNamespace

import pytest

from agents.evaluation import planted
from agents.evaluation.data import split_for
from agents.spec import ALGORITHMS, PRESETS, TrainingSpec
from benchmarks import bench_learn, budgets
from benchmarks.bench_learn import run, within_budget
from benchmarks.pool import Took
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


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"algorithm": "sarsa"}, "no algorithm 'sarsa'"),
        ({"algorithm": "all", "markets": "hours"}, "leave markets"),
        ({"algorithm": "all", "first_seed": "100"}, "leave markets, vary, first_seed"),
        ({"first_seed": "-1"}, "first_seed must be a whole number of at least 0, not '-1'"),
        ({"path": "here"}, "path must be a whole number of at least 0, not 'here'"),
        ({"first_seed": "100", "seeds": "2", "path": "102"}, "path 102 is one that a run learns from"),
    ],
)
def test_what_cannot_be_measured_is_refused(wrong, why):
    with pytest.raises(BadInput, match=why):
        run(**wrong)


def test_commas_inside_a_value_do_not_part_it():
    terms, layers = 'reward.terms={"log_return":0.5,"benchmark":0.5}', "network.net_arch=[32,32]"
    assert bench_learn.settings_of(f"{terms},ppo.gamma=0.98,{layers}") == [terms, "ppo.gamma=0.98", layers]
    assert bench_learn.settings_of("") == []


@pytest.mark.parametrize("taught", [10_000, 10_001, 10_002, 525_600])
@pytest.mark.parametrize("shares", [{}, {"validation_share": 0.3, "test_share": 0.15}])
def test_a_year_to_learn_from_is_a_year_without_what_judges(taught, shares):
    spec = TrainingSpec.parse({**PRESETS[bench_learn.PRESET], "test_share": 0.0, **shares})
    parts = split_for(bench_learn.whole(taught, spec), spec)
    assert parts.train_to - parts.train_from == taught
    assert parts.valid_to - parts.valid_from > 0.15 * taught


def test_a_search_has_seeds_and_a_path_of_its_own(monkeypatch):
    asked = []

    def heard(policy, planted_market, settings, *, bars, seed):
        asked.append((planted_market.name, bars, seed))
        return planted.Score(0.5, 1.0, 2.0, 0.1)

    monkeypatch.setattr(bench_learn, "each", lambda function, jobs, processes: map(function, jobs))
    monkeypatch.setattr(
        bench_learn, "trained", lambda *_: (None, SimpleNamespace(steps=1, best_step=1), Took(1.0, 1.0))
    )
    monkeypatch.setattr(planted, "score", heard)
    small = {"markets": "hours", "bars": 30 * DAYS, "test_bars": DAYS}
    searched = run(**small, seeds=2, first_seed="100", path="777000")
    recorded = run(**small, seeds=1)
    assert [row["seed"] for row in searched["rows"] + recorded["rows"]] == [100, 101, 0]
    assert asked == [("hours", DAYS, 777_000)] * 2 + [("hours", DAYS, planted.TEST_SEED)]
