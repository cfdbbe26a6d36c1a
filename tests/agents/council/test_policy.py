"""A council behind the policy protocol: each member sees what it alone would see, and cannot see ahead."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.backtest.simulate import simulate
from agents.decide import Decider
from agents.envs.settings import EnvSettings
from agents.policies import baseline
from agents.policies.council import Absent, Council, Member, Voting
from agents.policies.council.needs import LONG, joined
from agents.policies.network import Network
from agents.policies.trained import NetworkPolicy
from agents.spaces import ActionSpec
from market.errors import BadInput
from market.features import FeatureSet, FeatureSpec, compute
from tests.agents.council.members import council_of
from tests.agents.markets import changed_after, network_policy, walk


def ran(policy, candles, watch=None):
    rows = compute(candles, policy.observation.feature_set)
    first = policy.observation.first_row
    return simulate(candles, rows, Decider(policy), EnvSettings(), first=max(first, 220), watch=watch)


def tallies(policy, candles):
    seen = []
    ran(policy, candles, lambda row, made: seen.append((row, made.opinion)))
    return seen


class Spy:
    """A member that notes what it is shown."""

    def __init__(self, policy):
        self.policy, self.seen = policy, []
        self.name, self.policy_hash, self.observation = policy.name, policy.policy_hash, policy.observation
        self.action_spec, self.decision_every = policy.action_spec, policy.decision_every

    def opine(self, observation, exposure, draw=None):
        self.seen.append(observation.copy())
        return self.policy.opine(observation, exposure, draw)

    def reset(self, seed):
        self.policy.reset(seed)


class Broken(Spy):
    def opine(self, observation, exposure, draw=None):
        raise RuntimeError("out of order")


SPACES = [
    ActionSpec(),
    ActionSpec("levels", (-1.0, 0.0, 0.5, 1.0), 0.02),
    ActionSpec("continuous", (-1.0, 1.0)),
]


@pytest.mark.parametrize("action", SPACES, ids=lambda action: action.kind)
@pytest.mark.parametrize("method", ["majority", "weighted", "unanimity", "veto"])
def test_a_council_of_one_does_what_its_member_does(action, method):
    candles = walk(500, seed=4)
    alone = network_policy(candles, action=action, seed=2)
    run = ran(council_of(alone, method=method), candles)
    np.testing.assert_array_equal(run.equity, ran(alone, candles).equity)
    assert len(run.fills) > 3


def test_a_council_of_one_averaging_probabilities_does_what_its_member_does():
    candles = walk(500, seed=4)
    alone = network_policy(candles, seed=2)
    run = ran(council_of(alone, combine="probabilities"), candles)
    np.testing.assert_array_equal(run.equity, ran(alone, candles).equity)


def test_each_member_sees_bit_for_bit_what_it_alone_would_see():
    candles = walk(500)
    first = Spy(network_policy(candles, "price", window=3))
    second = Spy(network_policy(candles, "core", window=1, seed=1))
    third = Spy(baseline("sma_crossover"))
    council = council_of(first, second, third, method="unanimity", quorum=4)  # it never trades
    ran(council, candles)
    for spy in (first, second, third):
        lonely = Spy(spy.policy)
        ran(Council("alone", [Member("m", lonely, 0.0)], Voting()), candles)  # a watcher: no trades either
        np.testing.assert_array_equal(np.array(spy.seen), np.array(lonely.seen)[-len(spy.seen) :])


def test_equal_features_are_computed_once_and_unequal_ones_of_one_name_kept_apart():
    candles = walk()
    needs = [network_policy(candles, "price").observation, baseline("momentum", period=60).observation]
    clash = FeatureSet((FeatureSpec("log_return_1", "zscore", {"period": 20}),))
    needs.append(dataclasses.replace(needs[1], feature_set=clash))
    union, parts = joined(needs)
    assert union.feature_set.names == (*needs[0].feature_set.names, "log_return_1~2")
    assert [part.columns for part in parts] == [slice(0, 6), slice(6, 7), slice(7, 8)]
    assert union.window == 2


@given(st.integers(0, 10**6), st.floats(1.0, 5000.0))
def test_every_member_gets_its_own_time_in_position(bars, scale):
    policy = baseline("cash")
    needs = [policy.observation, dataclasses.replace(policy.observation, bars_scale=scale)]
    union, parts = joined(needs)
    portfolio = np.array([0, 0, bars / (bars + union.bars_scale), 0, 1], np.float32)
    rows = np.zeros((union.window, 2), np.float32)
    for part, one in zip(parts, needs, strict=True):
        expected = np.float32(bars / (bars + one.bars_scale))
        assert part.take(rows, portfolio, union.bars_scale)[-3] == expected
    assert union.bars_scale in (LONG, scale)


@given(st.integers(0, 50), st.integers(260, 380))
@settings(max_examples=12, deadline=None)
def test_votes_do_not_change_when_the_future_changes(seed, now):
    candles = walk(400, seed=seed)
    council = council_of(
        network_policy(candles, "core", window=2), network_policy(candles, "price", window=4, seed=1),
        baseline("sma_crossover", fast=5, slow=50), baseline("mean_reversion"), method="weighted",
    )  # fmt: skip
    before = [pair for pair in tallies(council, candles) if pair[0] <= now]
    after = [pair for pair in tallies(council, changed_after(candles, now)) if pair[0] <= now]
    assert before == after
    assert len(before) > 30


def test_it_decides_where_all_its_members_would():
    candles = walk(400)
    council = council_of(network_policy(candles, decision_every=4), network_policy(candles, decision_every=6))
    assert council.decision_every == 12
    assert {row % 12 for row, _ in tallies(council, candles)} == {11}


def test_rhythms_that_hardly_ever_meet_are_refused():
    candles = walk()
    with pytest.raises(BadInput, match="only every 9797 bars"):
        council_of(network_policy(candles, decision_every=97), network_policy(candles, decision_every=101))


def nan_policy(candles):
    """A network whose weights have gone bad."""
    good = network_policy(candles)
    bad = [(weight * np.nan, bias) for weight, bias in good.network.actor]
    network = Network(tuple(bad), good.network.critic, "tanh")
    return NetworkPolicy("bad", network.hash, network, good.observation, good.action_spec, 1)


@pytest.mark.parametrize(
    ("broken", "why"), [(lambda c: Broken(network_policy(c)), "out of order"), (nan_policy, "not finite")]
)
def test_a_member_that_fails_is_left_out_and_says_why(broken, why):
    candles = walk(400)
    well = network_policy(candles, seed=3)
    with_it, without_it = council_of(well, broken(candles)), council_of(well)
    for (_, one), (_, other) in zip(tallies(with_it, candles), tallies(without_it, candles), strict=True):
        assert (one.action, one.target) == (other.action, other.target)
        assert why in one.tally.failures["m1"]
        assert one.tally.to_dict()["votes"][1]["vote"] == ""


def test_a_feature_without_value_leaves_only_its_reader_out():
    candles = walk(400)
    council = council_of(network_policy(candles, "price", window=1), baseline("buy_and_hold"))
    width = len(council.observation.feature_set)
    observation = np.zeros(width + 1 + 5, np.float32)
    observation[1] = np.nan  # the network's second feature
    opinion = council.opine(observation, 0.0)
    assert list(opinion.tally.failures) == ["m0"]
    assert opinion.name == "BUY"


def test_a_council_whose_members_are_all_gone_holds():
    gone = Absent("gone", 1.0, "a" * 64, "its files have changed")
    council = Council("test", [], Voting(), [gone])
    for _, opinion in tallies(council, walk(400)):
        assert (opinion.name, opinion.target) == ("HOLD", None)
        assert opinion.tally.failures == {"gone": "its files have changed"}


def test_the_hash_names_voters_and_rules_but_not_their_order():
    candles = walk()
    one, other = network_policy(candles, seed=1), network_policy(candles, seed=2)
    hashes = {
        council_of(one, other).policy_hash,
        council_of(one, other, quorum=2).policy_hash,
        council_of(one, other, method="veto").policy_hash,
        council_of(one, other, combine="probabilities").policy_hash,
        council_of(one, other, weights=[1.0, 2.0]).policy_hash,
        Council(
            "x", [Member("m0", one, 1.0)], Voting(), [Absent("m1", 1.0, other.policy_hash, "x")]
        ).policy_hash,
    }
    assert len(hashes) == 6
    assert council_of(one, other).policy_hash == council_of(other, one).policy_hash


def test_without_a_member_the_rest_decides_as_if_it_had_no_weight():
    candles = walk(500, seed=4)
    policies = [network_policy(candles, seed=seed) for seed in range(3)]
    less = council_of(*policies, method="weighted", quorum=3).without("m1")
    weightless = council_of(*policies, weights=[1.0, 0.0, 1.0], method="weighted", quorum=2)
    assert less.voting.quorum == 2
    assert tallies(less, candles) == tallies(weightless, candles)
