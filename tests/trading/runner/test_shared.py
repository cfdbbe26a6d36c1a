"""Sessions of one model that think at the same time share a forward; nobody could tell from the answers."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.policies import baseline
from agents.policies.network import Network
from tests.agents.markets import network_policy, walk
from trading.runner.baton import Baton
from trading.runner.crew import Crew
from trading.runner.shared import Minds, SharedPolicy

pytestmark = pytest.mark.django_db(transaction=True)


def tower(random, *sizes):
    shapes = pairwise(sizes)
    return tuple(
        (random.normal(0, 0.3, shape).astype(np.float32), random.normal(0, 0.3, shape[1]).astype(np.float32))
        for shape in shapes
    )


@settings(max_examples=60, deadline=None)
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


def asked_together(policy, baton, observations):
    """The answers to questions asked by a thread each, all of which want the baton before one may have it."""
    crew, answers = Crew(), [None] * len(observations)

    def ask(k):
        with baton:
            answers[k] = policy.opine(observations[k], 0.0)

    with baton:
        for k in range(len(observations)):
            crew.hand(lambda k=k: ask(k))
            while len(baton._line) <= k:
                pass
    crew.close()
    return answers


@pytest.fixture
def alone():
    return network_policy(walk())


@pytest.fixture
def observations(alone):
    random = np.random.default_rng(3)
    return random.normal(size=(12, alone.network.inputs)).astype(np.float32)


def test_questions_asked_together_share_one_forward_and_get_the_answers_of_each_alone(alone, observations):
    baton = Baton()
    shared = SharedPolicy(alone, baton)
    answers = asked_together(shared, baton, observations)
    assert answers == [alone.opine(row, 0.0) for row in observations]
    assert (shared.questions, shared.forwards) == (12, 1)


def test_when_the_shared_forward_fails_everybody_thinks_alone(alone, observations, monkeypatch):
    baton = Baton()
    shared = SharedPolicy(alone, baton)
    expected = [alone.opine(row, 0.0) for row in observations[1:]]

    def broken(self, rows):
        raise MemoryError

    monkeypatch.setattr(Network, "forward", broken)
    answers = asked_together(shared, baton, observations)
    assert answers[0] is None  # its turn failed, as any turn may
    assert answers[1:] == expected


def test_sessions_of_one_model_get_one_object_and_rules_stay_what_they_are(alone):
    minds, rule = Minds(Baton()), baseline("cash")
    one = minds.shared(alone)
    assert one is minds.shared(network_policy(walk()))
    assert (one.policy_hash, one.observation, one.decision_every) == (
        alone.policy_hash,
        alone.observation,
        alone.decision_every,
    )
    assert minds.shared(rule) is rule
