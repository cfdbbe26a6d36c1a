"""A trained network behind the policy protocol."""

import math
from math import exp
from statistics import NormalDist

import numpy as np

from agents.observation import observation_size
from agents.policies.network import GAUSSIAN, GREEDY, MASKED, SQUASHED, Network
from agents.policies.port import ObservationNeeds, Opinion
from agents.policies.table import Table
from agents.spaces import ActionSpec
from market.errors import BadInput
from market.kernel.rebalance import is_kept

NORMAL = NormalDist()
LOG_STD_RANGE = -20.0, 2.0  # of a squashed Gaussian, as the learning library cuts it


class NetworkPolicy:
    """Opinions of a `Network`: over discrete actions, or a continuous exposure."""

    def __init__(
        self,
        name: str,
        policy_hash: str,
        network: Network | Table,
        observation: ObservationNeeds,
        action_spec: ActionSpec,
        decision_every: int,
    ) -> None:
        """:raises BadInput: when the network does not fit the observation or the actions"""
        self.name, self.policy_hash, self.network = name, policy_hash, network
        self.observation, self.action_spec, self.decision_every = observation, action_spec, decision_every
        size = observation_size(observation.window, observation.columns)
        if network.inputs != size or network.outputs != len(action_spec.names):
            raise BadInput(
                f"the network of {name} takes {network.inputs} numbers and knows {network.outputs} actions, "
                f"but its observation has {size} and its action {len(action_spec.names)}",
                "model",
            )
        self._names, self._band, self._head = action_spec.names, action_spec.band, network.head
        self.can_draw = network.head not in (GREEDY, SQUASHED)
        self._asked: list[float | None] | None = None  # the exposure each discrete action asks for
        if action_spec.kind != "continuous":
            self._asked = [action_spec.asked(action) for action in range(len(self._names))]
        if network.is_continuous != (action_spec.kind == "continuous"):
            raise BadInput(f"the network of {name} and its kind of action do not fit together", "model")

    def opine(self, observation: np.ndarray, current_exposure: float, draw: float | None = None) -> Opinion:
        output, value = self.network.answer(observation)
        return self.opinion(output, value, current_exposure, draw)

    def opinion(
        self, output: list[float], value: float, current_exposure: float, draw: float | None = None
    ) -> Opinion:
        """Return what the network's answer to one observation means: output (outputs,), and the value."""
        if self._asked is None:
            return self._continuous(output, value, current_exposure, draw)
        logits = output
        if self._head == GREEDY:
            return self._greedy(self._asked, output, value, current_exposure)
        if self._head == MASKED:
            legal = self.action_spec.legal(current_exposure)
            logits = [logit if fits else -math.inf for logit, fits in zip(logits, legal, strict=True)]
        probabilities = softmax(logits)
        action = probabilities.index(max(probabilities)) if draw is None else drawn(probabilities, draw)
        wished = self._asked[action]
        if wished is not None and is_kept(wished, current_exposure, self._band):
            wished = None
        return tuple.__new__(  # `Opinion(...)` costs a call of Python more
            Opinion,
            (action, self._names[action], tuple(probabilities), value, probabilities[action], wished, None),
        )

    def _greedy(
        self, asked: list[float | None], output: list[float], value: float, current_exposure: float
    ) -> Opinion:
        """Take the action of the highest value; values are no probabilities, so there are none."""
        action = int(np.argmax(output))
        wished = asked[action]
        if wished is not None and is_kept(wished, current_exposure, self.action_spec.band):
            wished = None
        return Opinion(action, self._names[action], (), value, None, wished)

    def _continuous(self, output: list[float], value: float, current: float, draw: float | None) -> Opinion:
        action, log_std = float(output[0]), self._log_std(output)
        if draw is not None and log_std is not None:
            chance = min(max(draw, 1e-12), 1 - 1e-12)
            action += math.exp(log_std) * NORMAL.inv_cdf(chance)
        action = min(max(action, -1.0), 1.0) if self.network.head == GAUSSIAN else math.tanh(action)
        target = self.action_spec.target(action, current)
        return Opinion(action, self._names[0], (), value, None, target)

    def _log_std(self, output: list[float]) -> float | None:
        if self.network.log_std is not None:
            return float(self.network.log_std[0])
        if self.network.head == SQUASHED:
            return None
        return min(max(float(output[1]), LOG_STD_RANGE[0]), LOG_STD_RANGE[1])

    def reset(self, seed: int) -> None:
        """Chance comes in with each draw; nothing to choose here."""


def softmax(logits: list[float]) -> list[float]:
    """Return the probabilities of logits; they sum to 1."""
    top = max(logits)
    if len(logits) == 3:  # to hold, buy or sell: loops take as long as their arithmetic
        one, two, three = logits
        one, two, three = exp(one - top), exp(two - top), exp(three - top)
        total = sum((one, two, three))  # not `+`: from Python 3.12 on it sums floats more exactly
        return [one / total, two / total, three / total]
    weights = [exp(logit - top) for logit in logits]
    total = sum(weights)
    return [weight / total for weight in weights]


def drawn(probabilities: list[float], draw: float) -> int:
    """Return the index whose share of [0, 1) holds `draw`."""
    reached = 0.0
    for index, probability in enumerate(probabilities):
        reached += probability
        if draw < reached:
            return index
    return len(probabilities) - 1
