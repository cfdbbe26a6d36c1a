"""The one decision path."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.decide import DECISION_KEYS, Decider, DecisionSettings, require_draws
from agents.observation import observe, observe_raw
from agents.policies import BASELINES, baseline
from agents.policies.chance import uniform
from agents.policies.network import GAUSSIAN, GREEDY, MASKED, SQUASHED
from agents.policies.trained import NetworkPolicy, drawn, softmax
from agents.spaces import ActionSpec
from market.errors import BadInput
from market.features import compute
from tests.agents.markets import network_policy, walk

FLAT = (0.0, 0.0, 0.0, 0.0, 1.0)


def decided(policy, row=300, **given):
    candles = walk()
    rows = compute(candles, policy.observation.feature_set)
    window = rows[row + 1 - policy.observation.window : row + 1]
    decider = Decider(policy, DecisionSettings.from_dict(given))
    return decider.decide(window, candles.close[: row + 1], FLAT, 0.0)


def test_equal_inputs_give_an_equal_decision():
    policy = network_policy(walk())
    first, second = decided(policy), decided(policy)
    assert first.observation_hash == second.observation_hash
    assert first.opinion == second.opinion


def test_the_observation_is_scaled_rows_then_portfolio():
    policy = network_policy(walk())
    made = decided(policy)
    rows = compute(walk(), policy.observation.feature_set)[299:301]
    expected = observe(policy.observation.scaler.transform(rows), FLAT)
    np.testing.assert_array_equal(made.observation, expected)


@pytest.mark.parametrize("ahead", [0, 1])
@given(scale=st.sampled_from([1e-9, 1.0, 1e9]), missing=st.booleans(), seed=st.integers(0, 99))
def test_rows_of_a_live_feed_and_of_a_backtest_give_the_same_observation(ahead, scale, missing, seed):
    """One lie row after row in memory, the others column after column; a later row changes nothing."""
    scaler = network_policy(walk()).observation.scaler
    rows = np.random.default_rng(seed).normal(0, scale, (3 + ahead, len(scaler.centre)))
    rows[1, 0] = np.nan if missing else rows[1, 0]
    live, whole = observe_raw(rows[:3], FLAT, scaler)
    replayed, also = observe_raw(np.asfortranarray(rows)[:3], FLAT, scaler)
    assert live.tobytes() == replayed.tobytes() == observe(scaler.transform(rows[:3]), FLAT).tobytes()
    assert whole == also == (not missing)


def test_without_sampling_the_most_probable_action_wins():
    made = decided(network_policy(walk()))
    assert made.opinion.probabilities[made.opinion.action] == max(made.opinion.probabilities)
    assert made.opinion.confidence == max(made.opinion.probabilities)
    assert sum(made.opinion.probabilities) == pytest.approx(1)


def test_a_sampled_action_depends_on_seed_and_observation_only():
    policy = network_policy(walk())
    by_seed = [decided(policy, sample=True, seed=seed).opinion.action for seed in range(40)]
    again = [decided(policy, sample=True, seed=seed).opinion.action for seed in range(40)]
    assert by_seed == again
    assert len(set(by_seed)) > 1


@pytest.mark.parametrize("head", ["", MASKED, GREEDY, GAUSSIAN, SQUASHED])
def test_who_has_no_chances_refuses_to_draw_by_them(head):
    action = ActionSpec("continuous", (-1.0, 1.0), 0.0) if head in (GAUSSIAN, SQUASHED) else None
    made = network_policy(walk(), action=action)
    log_std = made.network.log_std if head == GAUSSIAN else None
    network = replace(made.network, head=head, log_std=log_std)
    policy = NetworkPolicy(made.name, made.policy_hash, network, made.observation, made.action_spec, 1)
    output = [0.1] * network.outputs
    seen = {policy.opinion(output, 0.0, 0.0, draw).action for draw in (0.05, 0.5, 0.95)}
    assert policy.can_draw == (len(seen) > 1)
    require_draws(policy, DecisionSettings())
    if policy.can_draw:
        return require_draws(policy, DecisionSettings(sample=True))
    with pytest.raises(BadInput, match="random weights draws no action by its probability"):
        require_draws(policy, DecisionSettings(sample=True))


@pytest.mark.parametrize("name", BASELINES)
def test_no_fixed_rule_is_changed_by_a_draw(name):
    by_seed = [decided(baseline(name), row=350, sample=is_drawn).target for is_drawn in (False, True)]
    assert by_seed[0] == by_seed[1]
    assert not baseline(name).can_draw


def test_sampled_actions_are_as_frequent_as_they_are_probable():
    observation, chances = np.zeros(3, np.float32), [0.5, 0.3, 0.2]
    draws = [uniform(seed.to_bytes(8, "little"), observation) for seed in range(4000)]
    counts = np.bincount([drawn(chances, draw) for draw in draws]) / 4000
    np.testing.assert_allclose(counts, chances, atol=0.03)


@given(st.lists(st.floats(-80, 80), min_size=1, max_size=9), st.floats(0, 1, exclude_max=True))
@settings(max_examples=200, deadline=None)
def test_probabilities_sum_to_one_and_every_draw_hits_an_action(logits, draw):
    probabilities = softmax(logits)
    weights = [math.exp(logit - max(logits)) for logit in logits]
    assert probabilities == [weight / sum(weights) for weight in weights]
    assert sum(probabilities) == pytest.approx(1)
    assert probabilities[drawn(probabilities, draw)] > 0 or draw >= sum(probabilities) - 1e-9


def test_a_continuous_policy_asks_for_exposures_within_its_range():
    policy = network_policy(walk(), action=ActionSpec("continuous", (-0.5, 0.5), 0.0))
    targets = [decided(policy, sample=True, seed=seed).target for seed in range(30)]
    assert all(-0.5 <= target <= 0.5 for target in targets)
    assert len(set(targets)) > 10


def test_a_window_with_a_missing_value_is_refused():
    with pytest.raises(BadInput, match="too few candles for the warm-up"):
        decided(network_policy(walk()), row=10)


def test_a_policy_that_acts_every_k_bars_does_so_at_the_same_clock_times_everywhere():
    decider = Decider(network_policy(walk(), decision_every=15))
    due = [minute for minute in range(120) if decider.is_due(minute * 60_000, 60_000)]
    assert due == [14, 29, 44, 59, 74, 89, 104, 119]  # their closes are at :15, :30, :45, :00


def test_settings_survive_being_stored():
    made = DecisionSettings.from_dict({"confidence": 0.4, "sample": True, "seed": 7})
    assert DecisionSettings.from_dict(made.to_dict()) == made
    assert set(made.to_dict()) == set(DECISION_KEYS)


@pytest.mark.parametrize("values", [{"sample": 1}, {"seed": -1}, {"seed": 1.5}, {"surprise": 1}])
def test_settings_that_make_no_sense_are_refused(values):
    with pytest.raises(BadInput):
        DecisionSettings.from_dict(values)


def test_the_random_rule_switches_as_often_as_asked_and_alike_in_a_replay():
    rule = baseline("random", turnover=0.25)
    rule.reset(5)
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(2000, 6)).astype(np.float32)
    first = [rule.opine(row, 0.0).target for row in seen]
    assert first == [rule.opine(row, 0.0).target for row in seen]
    assert np.mean([target is not None for target in first]) == pytest.approx(0.25, abs=0.03)
