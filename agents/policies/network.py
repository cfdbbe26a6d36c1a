"""A trained network without torch: what live trading and backtests run."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agents.policies.forward import packed, packed_pair, think, think_alone
from agents.policies.sight import Sight
from market.errors import BadInput

ACTIVATIONS = ("tanh", "relu")
CATEGORICAL, MASKED, GREEDY = "categorical", "masked", "greedy"
GAUSSIAN, SQUASHED, SQUASHED_GAUSSIAN = "gaussian", "squashed", "squashed_gaussian"
HEADS = (CATEGORICAL, MASKED, GREEDY, GAUSSIAN, SQUASHED, SQUASHED_GAUSSIAN)
ACTOR_SIGHT, CRITIC_SIGHT = "sight.actor.", "sight.critic."
CONTINUOUS = (GAUSSIAN, SQUASHED, SQUASHED_GAUSSIAN)
NO_TOWER = packed(())
F = np.dtype(np.float32)


@dataclass(frozen=True)
class Network:
    """Two towers of dense layers, one for the action, one for the value.

    A layer is (weight float32 (inputs, outputs), bias float32 (outputs,)); the last of a tower is linear.
    What the action tower's outputs mean is the `head`:

    - `categorical`: logits of the discrete actions
    - `masked`: the same, of which only those that are legal at the exposure held may be taken
    - `greedy`: values of the discrete actions; the best one is taken, and there is no value tower
    - `gaussian`: means of a continuous action, `log_std` float32 (outputs,) beside them
    - `squashed`: continuous actions before tanh; the value tower reads observation and action
    - `squashed_gaussian`: the same, with the logarithms of the deviations behind the means
    """

    actor: tuple[tuple[np.ndarray, np.ndarray], ...]
    critic: tuple[tuple[np.ndarray, np.ndarray], ...]
    activation: str
    log_std: np.ndarray | None = None
    head: str = ""  # empty: categorical, or gaussian where there is a log_std
    actor_sight: Sight | None = None  # what the towers see instead of the bare observation
    critic_sight: Sight | None = None

    def __post_init__(self) -> None:
        if not self.head:
            object.__setattr__(self, "head", CATEGORICAL if self.log_std is None else GAUSSIAN)

    @property
    def inputs(self) -> int:
        return len(self.actor[0][0]) if self.actor_sight is None else self.actor_sight.inputs

    @property
    def outputs(self) -> int:
        """How many discrete actions there are, or numbers in a continuous one."""
        return len(self.actor[-1][1]) // (2 if self.head == SQUASHED_GAUSSIAN else 1)

    @property
    def is_continuous(self) -> bool:
        return self.head in CONTINUOUS

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Return what the head describes: (..., dim) -> (..., outputs of the tower)."""
        return self._answers(_seen(self.actor_sight, observation), actor=True)

    def value(self, observation: np.ndarray) -> np.ndarray:
        """Return the estimate of what is to come: (..., dim) -> (..., 1)."""
        if self.head == GREEDY:
            return self.act(observation).max(axis=-1, keepdims=True)
        seen = _seen(self.critic_sight, observation)
        if self.head in (SQUASHED, SQUASHED_GAUSSIAN):
            action = np.tanh(self.act(observation)[..., : self.outputs])
            seen = np.concatenate([seen, action], axis=-1)
        return self._answers(seen, actor=False)

    def forward(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `act` and `value` of many observations, (n, dim) -> (n, outputs), (n,).

        Row for row the bits of one observation alone.
        """
        if not self._is_plain:
            return self.act(observations), self.value(observations)[:, 0]
        inputs, outputs = self._ends
        rows, count = _rows(observations, inputs), len(observations)
        acts, values = np.empty((count, outputs), np.float32), np.empty((count, 1), np.float32)
        think(*self._towers, self.activation == "relu", rows, acts, values)
        return acts, values[:, 0]

    def answer(self, observation: np.ndarray) -> tuple[list[float], float]:
        """Return `act` and `value` of one observation, (dim,), as plain numbers; the bits of `forward`."""
        if self._alone is not None and observation.dtype == F:
            count, numbers, plan = self._alone
            found = np.empty(count, F)
            if think_alone(numbers, plan, observation, found):
                output: list[float] = found.tolist()
                value = output.pop()
                return output, value
        outputs, values = self.forward(observation[np.newaxis])
        return outputs[0].tolist(), float(values[0])

    @cached_property
    def _is_plain(self) -> bool:
        """Say whether both towers read the observation as it is."""
        bare = self.actor_sight is None and self.critic_sight is None
        return bare and self.head in (CATEGORICAL, MASKED, GAUSSIAN)

    @cached_property
    def _ends(self) -> tuple[int, int]:
        """Return how many numbers go into the action tower and come out of it."""
        return len(self.actor[0][0]), len(self.actor[-1][1])

    @cached_property
    def _towers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return (*packed(self.actor), *packed(self.critic))

    @cached_property
    def _alone(self) -> tuple[int, np.ndarray, np.ndarray] | None:
        """Return how many numbers an answer has, and both towers as `think_alone` reads them."""
        if not self._is_plain:
            return None
        return self._ends[1] + 1, *packed_pair(self.actor, self.critic, self.activation == "relu")

    def _answers(self, seen: np.ndarray, *, actor: bool) -> np.ndarray:
        """Return one tower's answers: (..., what it sees) -> (..., its outputs)."""
        layers = self.actor if actor else self.critic
        rows = _rows(seen, len(layers[0][0]))
        found = np.empty((len(rows), len(layers[-1][1])), np.float32)
        towers = (*self._towers[:2], *NO_TOWER) if actor else (*NO_TOWER, *self._towers[2:])
        think(*towers, self.activation == "relu", rows, found, found)
        return found.reshape(*seen.shape[:-1], found.shape[1])

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of every weight's bits; what "the same weights" means."""
        return hash_of(self.activation, self.to_arrays())

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what `weights.npz` holds."""
        arrays = {"activation": np.array(self.activation)}
        for tower, layers in (("actor", self.actor), ("critic", self.critic)):
            for index, (weight, bias) in enumerate(layers):
                arrays[f"{tower}.{index}.weight"], arrays[f"{tower}.{index}.bias"] = weight, bias
        if self.log_std is not None:
            arrays["log_std"] = self.log_std
        if self.head not in (CATEGORICAL, GAUSSIAN):
            arrays["head"] = np.array(self.head)
        for prefix, sight in ((ACTOR_SIGHT, self.actor_sight), (CRITIC_SIGHT, self.critic_sight)):
            arrays |= {} if sight is None else sight.to_arrays(prefix)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Network":
        """Return the network that `to_arrays` described.

        :raises BadInput: when arrays are missing or do not fit together
        """
        try:
            head = str(arrays["head"]) if "head" in arrays else ""
            actor = _tower(arrays, "actor")
            critic = () if head == GREEDY else _tower(arrays, "critic")
            activation = str(arrays["activation"])
            log_std = np.asarray(arrays["log_std"], np.float32) if "log_std" in arrays else None
        except (KeyError, ValueError) as error:
            raise BadInput("the model's weights are incomplete: train it again", "model") from error
        if activation not in ACTIVATIONS:
            raise BadInput(f"the model uses the activation {activation!r}, which is unknown here", "model")
        if head and head not in HEADS:
            raise BadInput(f"the model's output is of the kind {head!r}, which is unknown here", "model")
        sights = (Sight.from_arrays(arrays, prefix) for prefix in (ACTOR_SIGHT, CRITIC_SIGHT))
        made = cls(actor, critic, activation, log_std, head, *sights)
        if made._is_plain and len(actor[0][0]) != len(critic[0][0]):  # compiled code reads one row for both
            raise BadInput("the model's weights do not fit together: train it again", "model")
        return made


def _seen(sight: Sight | None, observation: np.ndarray) -> np.ndarray:
    return observation if sight is None else sight(observation)


def _rows(seen: np.ndarray, width: int) -> np.ndarray:
    """Return what a tower sees as float32 (n, width). :raises ValueError: where it is not that wide"""
    if seen.shape[-1] != width:
        raise ValueError(f"the network takes {width} numbers, not {seen.shape[-1]}")
    if seen.ndim == 2 and seen.dtype == np.float32 and seen.flags.c_contiguous:
        return seen
    return np.ascontiguousarray(seen.reshape(-1, width), np.float32)


def hash_of(label: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 (hex) of a label and of every array's name, shape and bits."""
    digest = hashlib.sha256(label.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _tower(arrays: Mapping[str, np.ndarray], name: str) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    count, odd = divmod(sum(key.startswith(f"{name}.") for key in arrays), 2)
    if odd:
        raise KeyError(name)
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    for index in range(count):
        weight, bias = arrays[f"{name}.{index}.weight"], arrays[f"{name}.{index}.bias"]
        if (
            weight.ndim != 2
            or bias.shape != weight.shape[1:]
            or (layers and len(weight) != len(layers[-1][1]))
        ):
            raise ValueError(f"layer {index} of the {name} does not fit")
        layers.append((np.ascontiguousarray(weight, np.float32), np.ascontiguousarray(bias, np.float32)))
    if not layers:
        raise KeyError(name)
    return tuple(layers)
