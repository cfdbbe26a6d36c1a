"""Sessions of one model that think at the same time share a forward; nobody could tell from the answers."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.policies import baseline
from agents.policies.network import Network
from tests.agents.markets import network_policy, walk
from trading.deciding import Foreseen
from trading.feeds import Feeds
from trading.runner.shared import KEPT, Minds, SharedPolicy


def tower(random, *sizes):
    shapes = pairwise(sizes)
    return tuple(
        (random.normal(0, 0.3, shape).astype(np.float32), random.normal(0, 0.3, shape[1]).astype(np.float32))
        for shape in shapes
    )


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    inputs=st.integers(1, 200),
    hidden=st.sampled_from([3, 16, 64, 100]),
    outputs=st.integers(1, 5),
    rows=st.integers(1, 40),
    activation=st.sampled_from(["tanh", "relu"]),
)
def test_many_rows_at_once_are_each_row_alone_bit_for_bit(seed, inputs, hidden, outputs, rows, activation):
    random = np.random.default_rng(seed)
    sizes = (inputs, hidden, hidden)
    network = Network(tower(random, *sizes, outputs), tower(random, *sizes, 1), activation)
    observations = random.normal(0, 2, (rows, inputs)).astype(np.float32)
    acts, values = network.forward(observations)
    for row, act, value in zip(observations, acts, values, strict=True):
        assert act.tobytes() == network.act(row).tobytes()
        assert value.tobytes() == network.value(row)[0].tobytes()


class Seen:
    """A session that will ask with one observation, as told by its foresight once."""

    def __init__(self, observation):
        self.observation, self.left = observation, 1

    def __call__(self):
        self.left -= 1
        return Foreseen(self.observation, self.hear) if self.left >= 0 else None

    def hear(self, output, value):
        self.answer = output, value


@pytest.fixture
def alone():
    return network_policy(walk())


@pytest.fixture
def observations(alone):
    random = np.random.default_rng(3)
    return random.normal(size=(12, alone.network.inputs)).astype(np.float32)


@pytest.fixture
def shared(alone, observations):
    made = SharedPolicy(alone, Feeds())
    for number, observation in enumerate(observations[1:]):
        made.expect(number, Seen(observation))
    return made


def test_one_forward_answers_all_that_are_going_to_ask_as_each_alone(shared, alone, observations):
    answers = [shared.opine(row, 0.0) for row in observations]
    assert answers == [alone.opine(row, 0.0) for row in observations]
    assert (shared.questions, shared.forwards) == (12, 1)


def test_who_asks_something_else_in_the_end_is_answered_alone(shared, alone, observations):
    shared.opine(observations[0], 0.0)
    changed = observations[1] + np.float32(1)
    assert shared.opine(changed, 0.0) == alone.opine(changed, 0.0)
    assert shared.forwards == 2


def test_the_others_are_asked_once_a_bar(shared, alone, observations):
    asked = []
    shared.expect(99, lambda: asked.append(True))
    for _ in range(3):
        shared.opine(observations[0], 0.0)
    assert len(asked) == 1
    shared._feeds.bars += 1
    shared.opine(observations[0], 0.0)
    assert len(asked) == 2
    shared.forget(99)
    shared._feeds.bars += 1
    shared.opine(observations[0], 0.0)
    assert len(asked) == 2


def test_answers_that_nobody_asks_for_do_not_pile_up(alone, observations):
    feeds = Feeds()
    shared = SharedPolicy(alone, feeds)
    for number in range(300):
        feeds.bars += 1
        for k in range(8):
            shared.expect(k, Seen(observations[k] + np.float32(number + 1)))
        shared.opine(observations[11], 0.0)
    assert len(shared._answers) <= KEPT + 8


def test_when_the_shared_forward_fails_only_that_turn_fails(shared, alone, observations, monkeypatch):
    forward = Network.forward
    monkeypatch.setattr(Network, "forward", lambda self, rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        shared.opine(observations[0], 0.0)
    monkeypatch.setattr(Network, "forward", forward)
    assert [shared.opine(row, 0.0) for row in observations] == [alone.opine(row, 0.0) for row in observations]


def test_sessions_of_one_model_get_one_object_and_rules_stay_what_they_are(alone):
    minds, rule = Minds(), baseline("cash")
    one = minds.shared(alone)
    assert one is minds.shared(network_policy(walk()))
    assert (one.policy_hash, one.observation, one.decision_every) == (
        alone.policy_hash,
        alone.observation,
        alone.decision_every,
    )
    assert minds.shared(rule) is rule
