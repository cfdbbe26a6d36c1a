"""A trained team: specialists that each see their own features, and an allocator that weighs their wishes."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from agents.observation import observation_size
from agents.policies.council.votes import SIDES, Tally, Vote, vote_of
from agents.policies.network import CATEGORICAL, Network, hash_of
from agents.policies.port import ObservationNeeds, Opinion
from agents.policies.table import Table
from agents.policies.trained import softmax
from agents.spaces import BUY, HOLD, SELL, ActionSpec
from market.errors import BadInput
from market.kernel.rebalance import is_kept
from market.kernel.team import joint_target

TEAM = "team"  # the head of a `TeamMind`
PREFIX = "team."


@dataclass(frozen=True)
class TeamMind:
    """Networks of M specialists and of the allocator behind the face of one network.

    `masks` float32 (M, dim) is 1 where a specialist sees the observation. `minds` are M networks of discrete
    actions, or a single one that is told behind the observation who it speaks for, (dim + M,). `allocator`
    has M logits; where it is None, `weights`, float64 (M,), are the shares of the account.
    """

    names: tuple[str, ...]
    masks: np.ndarray
    minds: tuple[Network, ...]
    allocator: Network | None
    weights: np.ndarray
    head: str = TEAM
    is_continuous: bool = False
    log_std: None = None

    def __post_init__(self) -> None:
        """:raises BadInput: when the parts do not fit together"""
        size, inputs = len(self.names), self.inputs
        told = len(self.minds) == 1
        fits = self.masks.shape == (size, inputs) and self.weights.shape == (size,) and size >= 2
        fits = fits and len(self.minds) in (1, size)
        fits = fits and all(mind.inputs == inputs + size * told for mind in self.minds)
        fits = fits and len({mind.outputs for mind in self.minds}) == 1
        if self.allocator is not None:
            fits = fits and (self.allocator.inputs, self.allocator.outputs) == (inputs, size)
        if not fits:
            raise BadInput("the model's team does not fit together: train it again", "model")

    @property
    def inputs(self) -> int:
        return int(self.masks.shape[-1])

    @property
    def actions(self) -> int:
        """How many discrete actions each specialist has."""
        return self.minds[0].outputs

    @property
    def outputs(self) -> int:
        """How many numbers `act` returns."""
        return len(self.names) * (self.actions + (self.allocator is not None))

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return logits of all actions, then of learned weights: (..., dim) -> (..., outputs)."""
        if observation.ndim > 1:
            return np.array([self.act(row) for row in observation])
        found = [mind.act(seen) for mind, seen in self._told(observation)]
        return np.concatenate([*found, *self._scores(observation)])

    def value(self, observation: np.ndarray) -> np.ndarray:
        """Return the weighted mean of the specialists' estimates: (..., dim) -> (..., 1)."""
        if observation.ndim > 1:
            return np.array([self.value(row) for row in observation])
        values = [float(mind.value(seen)[0]) for mind, seen in self._told(observation)]
        shares = self._shares([score for own in self._scores(observation) for score in own.tolist()])
        return np.array([sum(share * value for share, value in zip(shares, values, strict=True))], np.float32)

    def forward(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `act` and `value` of many observations, (n, dim) -> (n, outputs), (n,)."""
        return self.act(observations), self.value(observations)[:, 0]

    def read(self, outputs: np.ndarray) -> tuple[list[list[float]], list[float]]:
        """Return the probabilities of every specialist's actions, and the weights, of one answer of `act`."""
        size, logits = len(self.names), outputs.tolist()
        spoken = [logits[i * self.actions : (i + 1) * self.actions] for i in range(size)]
        return [softmax(own) for own in spoken], self._shares(logits[size * self.actions :])

    def meant(self, outputs: np.ndarray) -> np.ndarray:
        """Return what many answers of `act` amount to, probabilities and weights: (n, outputs) alike."""
        read = [self.read(row) for row in outputs]
        return np.array([[*chain.from_iterable(spoken), *weights] for spoken, weights in read])

    def _told(self, observation: np.ndarray) -> list[tuple[Network, np.ndarray]]:
        """Return every specialist's network with what it is given to see."""
        seen = observation * self.masks  # (M, dim)
        if len(self.minds) > 1:
            return list(zip(self.minds, seen, strict=True))
        who = np.eye(len(self.names), dtype=np.float32)
        return [(self.minds[0], row) for row in np.concatenate([seen, who], axis=1)]

    def _scores(self, observation: np.ndarray) -> list[np.ndarray]:
        return [] if self.allocator is None else [self.allocator.act(observation)]

    def _shares(self, scores: list[float]) -> list[float]:
        return softmax(scores) if scores else self.weights.tolist()

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of every weight's bits."""
        return hash_of(TEAM, self.to_arrays())

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what `weights.npz` holds."""
        arrays = {
            f"{PREFIX}names": np.array(self.names),
            f"{PREFIX}masks": self.masks,
            f"{PREFIX}weights": self.weights,
        }
        parts = {str(at): mind for at, mind in enumerate(self.minds)}
        if self.allocator is not None:
            parts["allocator"] = self.allocator
        for part, network in parts.items():
            arrays |= {f"{PREFIX}{part}.{name}": array for name, array in network.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "TeamMind":
        """Return the team that `to_arrays` described. :raises BadInput: when it does not fit together"""
        parts: dict[str, dict[str, np.ndarray]] = {}
        for key, array in arrays.items():
            part, _, name = key.removeprefix(PREFIX).partition(".")
            if name:
                parts.setdefault(part, {})[name] = array
        try:
            names = tuple(str(name) for name in arrays[f"{PREFIX}names"])
            masks = np.asarray(arrays[f"{PREFIX}masks"], np.float32)
            weights = np.asarray(arrays[f"{PREFIX}weights"], np.float64)
        except (KeyError, ValueError, TypeError) as error:
            raise BadInput("the model's team is incomplete: train it again", "model") from error
        allocator = parts.pop("allocator", None)
        minds = tuple(
            Network.from_arrays(parts[part]) for part in sorted(parts, key=lambda part: (len(part), part))
        )
        if not minds or any(mind.head != CATEGORICAL for mind in minds):
            raise BadInput("the model's team is incomplete: train it again", "model")
        return cls(
            names, masks, minds, None if allocator is None else Network.from_arrays(allocator), weights
        )


Mind = Network | Table | TeamMind  # what a trained model thinks with


class TeamPolicy:
    """Opinions of a team, with every specialist's vote.

    Its target is the weighted mean of the exposures that the specialists ask for, as in training. Each takes
    its most probable level, or one drawn by `draw`.
    """

    can_draw = True

    def __init__(
        self,
        name: str,
        policy_hash: str,
        network: TeamMind,
        observation: ObservationNeeds,
        spoken: ActionSpec,
        decision_every: int,
    ) -> None:
        """:param spoken: the actions of each specialist

        :raises BadInput: when the networks do not fit the observation or the actions
        """
        self.name, self.policy_hash, self.network = name, policy_hash, network
        self.observation, self.spoken, self.decision_every = observation, spoken, decision_every
        size = observation_size(observation.window, observation.columns)
        if network.inputs != size or spoken.kind != "levels" or network.actions != len(spoken.names):
            raise BadInput(
                f"the team of {name} takes {network.inputs} numbers and knows {network.actions} actions, but "
                f"its observation has {size} and its actions are {', '.join(spoken.names)}",
                "model",
            )
        lowest, highest = min(0.0, spoken.levels[0]), spoken.levels[-1]
        self.action_spec = ActionSpec("hold_buy_sell", (lowest, highest), spoken.band)

    @property
    def specialists(self) -> tuple[str, ...]:
        """Return the names of the specialists, in the order of a tally's votes."""
        return self.network.names

    def opine(self, observation: np.ndarray, current_exposure: float, draw: float | None = None) -> Opinion:
        spoken, weights = self.network.read(self.network.act(observation))
        votes, wishes = [], []
        for name, weight, probabilities in zip(self.network.names, weights, spoken, strict=True):
            action, draw = chosen(probabilities, draw)
            wishes.append(self.spoken.levels[action])
            votes.append(self._vote(name, weight, action, probabilities, current_exposure))
        wished = joint_target(wishes, weights)
        is_held = wished == current_exposure or is_kept(wished, current_exposure, self.spoken.band)
        target = None if is_held else wished
        side = HOLD if target is None else BUY if target > current_exposure else SELL
        pairs = list(zip(weights, votes, strict=True))
        shares = tuple(sum(weight * vote.shares[at] for weight, vote in pairs) for at in (HOLD, BUY, SELL))
        value = float(self.network.value(observation)[0])
        return Opinion(side, SIDES[side], shares, value, shares[side], target, Tally(tuple(votes), ""))

    def _vote(
        self, name: str, weight: float, action: int, probabilities: list[float], exposure: float
    ) -> Vote:
        """Return what a specialist says as a vote; `target` is what it asks for, within the band too."""
        wish, spoken = self.spoken.levels[action], self.spoken.names[action]
        opinion = Opinion(action, spoken, tuple(probabilities), None, None, wish)
        return vote_of(name, weight, opinion, self.spoken, exposure)

    def reset(self, seed: int) -> None:
        """Chance comes in with each draw; nothing to choose here."""


def chosen(probabilities: list[float], draw: float | None) -> tuple[int, float | None]:
    """Return (action, draw for the next one): the most probable one, or that whose share holds the draw.

    Where in its share a draw lies is as evenly spread as the draw was: one number serves a whole team.
    """
    if draw is None:
        return probabilities.index(max(probabilities)), None
    reached = 0.0
    for action, probability in enumerate(probabilities):
        if draw < reached + probability:
            return action, min((draw - reached) / probability, 1.0 - 1e-12)
        reached += probability
    return len(probabilities) - 1, 0.0


def in_team(policy: Any) -> tuple[str, ...]:
    """Return the specialists of a policy that is a team's; empty of any other."""
    return policy.specialists if isinstance(policy, TeamPolicy) else ()
