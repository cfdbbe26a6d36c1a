"""The compiled loop of a backtest and the plain one come to the same, bit for bit."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agents.backtest import BacktestSettings, report, simulate, walks
from agents.backtest.simulate import COMPILED, PLAIN, TICK_BARS, Simulation, engine_for
from agents.decide import Decider
from agents.policies import BASELINES, baseline, forward, rules
from agents.policies.rules import BAND
from agents.policies.trained import NetworkPolicy
from agents.spaces import ActionSpec
from market.candles import Candles
from market.errors import BadInput
from market.features import compute
from tests.agents.council.members import council_of
from tests.agents.markets import changed_after, network_policy, walk
from tests.agents.teams import team_policy

RULES = {
    "costs": {"fee_rate": 0.002, "slippage": 0.001, "half_spread": 0.0003},
    "free": {"fee_rate": 0.0, "slippage": 0.0, "fee_step": 0.0, "min_notional": 0.0},
    "steps": {"tick": 0.01, "step": 0.01, "min_notional": 50.0},
    "exits": {"stop_loss": 0.01, "take_profit": 0.015},
    "trailing": {"trailing": 0.008, "trail_step": 0.004},
    "atr": {"stop_atr": 2.0, "trailing_atr": 3.0, "atr_bars": 7, "reward_ratio": 2.0},
    "left": {"break_even": 0.004, "max_bars": 40, "take_profit": 0.02},
    "sized": {"stop_loss": 0.01, "risk_per_trade": 0.004, "volatility_target": 0.003, "resize_band": 0.05},
    "kelly": {"kelly_fraction": 0.5, "kelly_min_trades": 3, "kelly_trades": 10, "size_fraction": 0.8},
    "streak": {"streak_losses": 2, "streak_factor": 0.7, "stop_loss": 0.004},
    "lowrider": {"dca_lots": 6, "dca_spacing": 0.002, "dca_growth": 1.37, "dca_profit": 0.003},
    "small": {"max_exposure": 0.4},
    "breakers": {"max_drawdown": 0.06, "daily_loss": 0.03, "weekly_loss": 0.05},
    "careful": {"safe_drawdown": 0.01, "max_loss_streak": 3, "safe_share": 0.2, "safe_cooldown_s": 1800},
    "guards": {"exit_cooldown_s": 600, "loss_cooldown_s": 1800, "max_trades_per_day": 9},
    "caps": {"max_order_share": 0.3, "max_position": 4000.0},
    "gate": {"confidence": 0.37, "min_move": 0.004, "move_bars": 20},
    "sampled": {"sample": True, "seed": 3},
    "futures": {
        "market": "futures", "leverage": 4, "max_exposure": 3, "maintenance": 0.02, "funding_hours": 0.5
    },
}  # fmt: skip
LEVELS = ActionSpec("levels", (-1.0, -0.3, 0.0, 0.6, 1.0), 0.03)
FREELY = ActionSpec("continuous", (-1.0, 1.0))


def changed(policy, **fields):
    """Return a policy whose network is another one in some respects."""
    network = dataclasses.replace(policy.network, **fields)
    needs, action = policy.observation, policy.action_spec
    return NetworkPolicy("changed", network.hash, network, needs, action, policy.decision_every)


def undecided(candles, seed):
    """Return a network for which two actions are always as good as each other."""
    policy = network_policy(candles, seed=seed)
    *below, (weight, bias) = policy.network.actor
    weight, bias = weight.copy(), bias.copy()
    weight[:, 2], bias[2] = weight[:, 1], bias[1]
    return changed(policy, actor=(*below, (weight, bias)))


POLICIES = {
    **{name: lambda candles, seed, name=name: baseline(name) for name in BASELINES},
    "rare target_weight": lambda candles, seed: baseline("target_weight", every=7, band=0.1, share=0.6),
    "eager mean_reversion": lambda candles, seed: baseline("mean_reversion", period=9, entry=0.8, exit=0.4),
    "network": lambda candles, seed: network_policy(candles, seed=seed),
    "levels": lambda candles, seed: network_policy(candles, action=LEVELS, seed=seed, decision_every=3),
    "relu": lambda candles, seed: changed(network_policy(candles, seed=seed), activation="relu"),
    "greedy": lambda candles, seed: changed(network_policy(candles, seed=seed), head="greedy", critic=()),
    "masked": lambda candles, seed: changed(network_policy(candles, seed=seed), head="masked"),
    "undecided": undecided,
    "continuous": lambda candles, seed: network_policy(candles, action=FREELY, seed=seed),
    "council": lambda candles, seed: council_of(network_policy(candles, seed=seed), baseline("momentum")),
}


def gapped(candles, seed):
    """Return the candles without some of their rows."""
    kept = np.random.default_rng(seed).random(len(candles)) > 0.05
    names = ("open_ms", "open", "high", "low", "close", "volume")
    return Candles(candles.interval_ms, *(getattr(candles, name)[kept] for name in names))


def ran(policy, candles, chosen, engine, **more):
    rows = compute(candles, policy.observation.feature_set)
    decider = Decider(policy, chosen.decision_settings())
    env = chosen.env_settings()
    return simulate(candles, rows, decider, env, first=0, limits=chosen.limits, engine=engine, **more)


def assert_same(one, other, chosen):
    """Check everything a simulation holds, order included, and everything a report says of it."""
    for name in Simulation.__dataclass_fields__:
        if name == "engine":
            continue
        first, second = getattr(one, name), getattr(other, name)
        if isinstance(first, np.ndarray):
            np.testing.assert_array_equal(first, second, err_msg=name)
        else:
            assert first == second, name
    assert (list(one.sized), list(one.cut)) == (list(other.sized), list(other.cut))
    assert report(one, chosen, []) == report(other, chosen, [])


@given(
    st.sampled_from(sorted(POLICIES)),
    st.lists(st.sampled_from(sorted(RULES)), max_size=4, unique=True),
    st.integers(0, 10_000),
    st.sampled_from([0.001, 0.004, 0.02]),
)
@settings(max_examples=60, deadline=None)
def test_both_engines_come_to_the_same(name, chosen, seed, volatility):
    given = {key: value for rule in chosen for key, value in RULES[rule].items()}
    try:
        picked = BacktestSettings.parse(given)
    except BadInput:
        assume(False)
    candles = gapped(walk(700, seed, volatility), seed)
    policy = POLICIES[name](candles, seed)
    plain, compiled = (ran(policy, candles, picked, engine) for engine in (PLAIN, COMPILED))
    assert (plain.engine, compiled.engine) == (PLAIN, COMPILED)
    assert_same(plain, compiled, picked)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_acts_the_same_in_both_engines(rule):
    candles, picked = walk(1500, 5, 0.004), BacktestSettings.parse(RULES[rule])
    for policy in (baseline("mean_reversion", period=9, entry=0.8), network_policy(candles, seed=4)):
        plain, compiled = (ran(policy, candles, picked, engine) for engine in (PLAIN, COMPILED))
        assert plain.fills
        assert_same(plain, compiled, picked)


@pytest.mark.parametrize("name", BASELINES)
def test_a_rule_wishes_for_many_rows_what_it_wishes_for_each(name):
    policy, rng = baseline(name), np.random.default_rng(4)
    columns = len(policy.observation.feature_set)
    values = rng.normal(0, 1.0, (400, columns)).astype(np.float32) * np.float32(rng.choice([0.004, 1.0, 3.0]))
    found = policy.wishes(values)
    assert (found is None) == (name in ("random", "random_long_short"))
    for held in (-1.0, -0.5, 0.0, BAND / 2, BAND, 0.011, 0.3, 0.497, 0.5, 0.93, 1.0) if found else ():
        wished = found[held > BAND]
        for row, value in enumerate(values):
            wish = policy.opinion(policy.wish(value, held), held)
            many = None if np.isnan(wished[row]) or abs(wished[row] - held) <= policy.rest else wished[row]
            assert wish == policy.opinion(many, held)


@pytest.mark.parametrize("name", ["sma_crossover", "network", "random"])
def test_the_compiled_engine_sees_no_later_bar(name):
    candles, picked = walk(900, 6, 0.004), BacktestSettings.parse({"stop_loss": 0.01, "stop_atr": 2.0})
    policy = POLICIES[name](candles, 1)
    one, two = (ran(policy, market, picked, COMPILED) for market in (candles, changed_after(candles, 600)))
    made = 600 - policy.observation.first_row + 1
    np.testing.assert_array_equal(one.equity[:made], two.equity[:made])
    np.testing.assert_array_equal(one.exposure[:made], two.exposure[:made])
    assert not np.array_equal(one.equity[made:], two.equity[made:])


def test_a_watched_run_is_asked_for_every_decision_and_comes_to_the_same():
    candles, picked = walk(600, 2), BacktestSettings.parse({})
    seen, runs = {PLAIN: [], COMPILED: []}, []
    for engine, notes in seen.items():

        def note(row, made, notes=notes):
            notes.append((row, made.observation_hash, made.target))

        runs.append(ran(baseline("momentum"), candles, picked, engine, watch=note))
    assert_same(*runs, picked)
    assert seen[PLAIN] == seen[COMPILED]
    assert len(seen[PLAIN]) == runs[0].decisions


@pytest.mark.parametrize("name", ["sma_crossover", "network"])
def test_progress_is_told_and_may_end_the_run(name):
    candles, picked = walk(3 * TICK_BARS), BacktestSettings.parse({})
    shares = []
    ran(POLICIES[name](candles, 1), candles, picked, COMPILED, tick=shares.append)
    assert shares == sorted(set(shares))
    assert 0 < shares[0] < 0.5 < shares[-1] < 1

    def stop(share):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ran(POLICIES[name](candles, 1), candles, picked, COMPILED, tick=stop)


@pytest.mark.parametrize(
    ("name", "given", "asked"),
    [
        ("sma_crossover", {}, "never"),
        ("network", {}, "never"),
        ("network", RULES["gate"] | RULES["exits"], "never"),
        ("levels", {}, "never"),
        ("relu", {}, "never"),
        ("greedy", RULES["gate"], "never"),
        ("undecided", {}, "sometimes"),
        ("network", RULES["lowrider"], "always"),
        ("network", RULES["sampled"], "always"),
        ("masked", {}, "always"),
        ("continuous", {}, "always"),
        ("random", {}, "always"),
        ("council", {}, "always"),
    ],
)
def test_python_is_asked_only_for_what_the_compiled_loop_cannot_decide(monkeypatch, name, given, asked):
    from agents.backtest.compiled import CompiledRun

    rows, answer = [], CompiledRun._answer

    def counted(run, row, *rest):
        rows.append(row)
        answer(run, row, *rest)

    monkeypatch.setattr(CompiledRun, "_answer", counted)
    candles = walk(700, 3, 0.004)
    run = ran(POLICIES[name](candles, 3), candles, BacktestSettings.parse(given), COMPILED)
    kinds = {0: "never", run.decisions: "always"}
    assert kinds.get(len(rows), "sometimes") == asked


def test_only_a_team_goes_through_the_plain_engine():
    candles = walk(900, seed=4)
    assert engine_for(Decider(team_policy(candles))) == PLAIN
    assert ran(team_policy(candles), candles, BacktestSettings.parse({}), None).engine == PLAIN
    assert {engine_for(Decider(make(candles, 1))) for make in POLICIES.values()} == {COMPILED}
    assert ran(baseline("cash"), candles, BacktestSettings.parse({}), None).engine == COMPILED


def test_a_compiled_loop_is_known_by_all_sources_that_are_compiled_into_it():
    for module in (walks, forward, rules):
        assert module.__file__ in walks.SOURCES
