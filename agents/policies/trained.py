"""A trained network behind the policy protocol."""

import math
from statistics import NormalDist

import numpy as np

from agents.observation import observation_size
from agents.policies.network import Network
from agents.policies.port import ObservationNeeds, Opinion
from agents.spaces import ActionSpec
from market.errors import BadInput
from market.kernel.rebalance import is_kept

NORMAL = NormalDist()


class NetworkPolicy:
    """Opinions of a `Network`: categorical over discrete actions, or a Gaussian exposure."""

    def __init__(
        self,
        name: str,
        policy_hash: str,
        network: Network,
        observation: ObservationNeeds,
        action_spec: ActionSpec,
        decision_every: int,
    ) -> None:
        """:raises BadInput: when the network does not fit the observation or the actions"""
        self.name, self.policy_hash, self.network = name, policy_hash, network
        self.observation, self.action_spec, self.decision_every = observation, action_spec, decision_every
        size = observation_size(observation.window, len(observation.feature_set))
        if network.inputs != size or network.outputs != len(action_spec.names):
            raise BadInput(
                f"the network of {name} takes {network.inputs} numbers and knows {network.outputs} actions, "
                f"but its observation has {size} and its action {len(action_spec.names)}",
                "model",
            )
        self._names = action_spec.names
        self._asked: list[float | None] | None = None  # the exposure each discrete action asks for
        if action_spec.kind != "continuous":
            self._asked = [action_spec.asked(action) for action in range(len(self._names))]
        if (network.log_std is not None) != (action_spec.kind == "continuous"):
            raise BadInput(f"the network of {name} and its kind of action do not fit together", "model")

    def opine(self, observation: np.ndarray, current_exposure: float, draw: float | None = None) -> Opinion:
        value = float(self.network.value(observation)[0])
        return self.opinion(self.network.act(observation), value, current_exposure, draw)

    def opinion(
        self, output: np.ndarray, value: float, current_exposure: float, draw: float | None = None
    ) -> Opinion:
        """Return what the network's answer to one observation means: output (outputs,), and the value."""
        if self._asked is None:
            return self._continuous(float(output[0]), value, current_exposure, draw)
        probabilities = softmax(output.tolist())
        action = probabilities.index(max(probabilities)) if draw is None else drawn(probabilities, draw)
        wished = self._asked[action]
        if wished is not None and is_kept(wished, current_exposure, self.action_spec.band):
            wished = None
        return Opinion(
            action, self._names[action], tuple(probabilities), value, probabilities[action], wished
        )

    def _continuous(self, mean: float, value: float, current: float, draw: float | None) -> Opinion:
        action = mean
        if draw is not None and self.network.log_std is not None:
            chance = min(max(draw, 1e-12), 1 - 1e-12)
            action += math.exp(float(self.network.log_std[0])) * NORMAL.inv_cdf(chance)
        action = min(max(action, -1.0), 1.0)
        target = self.action_spec.target(action, current)
        return Opinion(action, self._names[0], (), value, None, target)

    def reset(self, seed: int) -> None:
        """Chance comes in with each draw; nothing to choose here."""


def softmax(logits: list[float]) -> list[float]:
    """Return the probabilities of logits; they sum to 1."""
    top = max(logits)
    weights = [math.exp(logit - top) for logit in logits]
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
