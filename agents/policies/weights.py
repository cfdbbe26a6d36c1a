"""Policies that share an account out between several pairs."""

import math
from typing import NamedTuple, Protocol

import numpy as np

from agents.observation import observation_size
from agents.policies.network import GAUSSIAN, Network
from agents.policies.port import ObservationNeeds
from agents.spaces import WEIGHTS, ActionSpec
from market.errors import BadInput


class Weighed(NamedTuple):
    """What a policy thinks at one close."""

    wishes: tuple[float, ...]  # the raw action, -1..1 per pair
    weights: tuple[float, ...]  # shares of equity wanted, per pair; the rest is cash
    value: float | None  # the critic's estimate, in units of the training reward


class BasketPolicy(Protocol):
    """Opinions on several pairs. Equal observations give equal opinions, always."""

    name: str
    policy_hash: str  # SHA-256 (hex) of everything that shapes an opinion
    observation: ObservationNeeds
    action_spec: ActionSpec  # of the kind weights
    decision_every: int  # bars between two decisions

    def weigh(self, observation: np.ndarray) -> Weighed:
        """Return the opinion on one observation of `agents.observation.observe_basket`."""


class NetworkWeights:
    """The weights that a trained `Network` wants."""

    def __init__(
        self,
        name: str,
        policy_hash: str,
        network: Network,
        observation: ObservationNeeds,
        action_spec: ActionSpec,
        decision_every: int,
    ) -> None:
        """:raises BadInput: when the network does not fit the observation or the pairs"""
        self.name, self.policy_hash, self.network = name, policy_hash, network
        self.observation, self.action_spec, self.decision_every = observation, action_spec, decision_every
        pairs = len(action_spec.pairs)
        size = observation_size(observation.window, observation.columns, pairs)
        fits = network.inputs == size and network.outputs == pairs and network.is_continuous
        if action_spec.kind != WEIGHTS or not fits:
            raise BadInput(
                f"the network of {name} takes {network.inputs} numbers and weighs {network.outputs} pairs, "
                f"but its observation has {size} and its action {pairs}",
                "model",
            )

    def weigh(self, observation: np.ndarray) -> Weighed:
        outputs, values = self.network.forward(observation[np.newaxis])
        output = outputs[0, : len(self.action_spec.pairs)].tolist()
        if self.network.head == GAUSSIAN:
            wishes = [min(max(mean, -1.0), 1.0) for mean in output]
        else:
            wishes = [math.tanh(mean) for mean in output]
        return Weighed(tuple(wishes), tuple(self.action_spec.weights(wishes)), float(values[0]))


class EqualWeights:
    """Every pair the same share of equity, whatever happens: what a portfolio is compared with."""

    def __init__(self, needs: ObservationNeeds, action_spec: ActionSpec, decision_every: int) -> None:
        self.name, self.policy_hash = "equal weights", ""
        self.observation, self.action_spec, self.decision_every = needs, action_spec, decision_every

    def weigh(self, observation: np.ndarray) -> Weighed:
        wishes = (1.0,) * len(self.action_spec.pairs)
        return Weighed(wishes, tuple(self.action_spec.weights(wishes)), None)
