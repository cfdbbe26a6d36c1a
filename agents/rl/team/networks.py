"""The networks of a team in torch: all specialists in one product of matrices, and a small allocator."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import nn

ALLOCATOR_ARCH = (16,)
GAINS = {"hidden": 2**0.5, "action": 0.01, "value": 1.0}  # of first weights, as the library's


class Spoken(NamedTuple):
    """What a team thinks about B observations."""

    logits: torch.Tensor  # (M, B, actions)
    values: torch.Tensor  # (M, B), in units of each specialist's own reward
    scores: torch.Tensor  # (B, M), logits of the weights


class Towers(nn.Module):
    """G towers of dense layers side by side, (G, B, inputs) -> (G, B, outputs); one serves any number."""

    def __init__(self, count: int, sizes: Sequence[int], activation: type[nn.Module], gain: float) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for at, (inputs, outputs) in enumerate(pairwise(sizes)):
            weight = torch.empty(count, inputs, outputs)
            for own in weight:
                nn.init.orthogonal_(own, gain if at == len(sizes) - 2 else GAINS["hidden"])
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(count, 1, outputs)))
        self.activation = activation()

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        last = len(self.weights) - 1
        for at, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            signal = torch.matmul(signal, weight) + bias
            signal = signal if at == last else self.activation(signal)
        return signal

    def layers(self, which: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Return (weight (inputs, outputs), bias) of one tower's layers, float32 copies."""
        pairs = zip(self.weights, self.biases, strict=True)
        return tuple((_array(weight[which]), _array(bias[which, 0])) for weight, bias in pairs)


class TeamNetwork(BasePolicy):
    """Actors and critics of M specialists, and scores that weigh them.

    :param names: of the specialists
    :param visible: places of the observation that each specialist sees
    :param is_shared: one actor and critic for all, told behind the observation who they speak for
    :param weights: shares of a fixed allocator; None for a learned one, which begins with equal shares
    """

    masks: torch.Tensor
    shares: torch.Tensor

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.MultiDiscrete,
        lr_schedule: Any,
        names: Sequence[str],
        visible: Sequence[Sequence[int]],
        is_shared: bool,
        weights: Sequence[float] | None,
        net_arch: Sequence[int],
        activation_fn: type[nn.Module],
        allocator_lr: float,
        **others: Any,
    ) -> None:
        others.pop("use_sde", None)  # exploration by the actions' own chances only
        super().__init__(observation_space, action_space, **others)
        self._given = {
            "names": list(names), "visible": [list(places) for places in visible], "is_shared": is_shared,
            "weights": None if weights is None else list(weights), "net_arch": list(net_arch),
            "activation_fn": activation_fn, "allocator_lr": allocator_lr,
        }  # fmt: skip
        self.names, self.is_shared, self.activation_fn = tuple(names), is_shared, activation_fn
        size, width = len(self.names), int(observation_space.shape[0])  # type: ignore[index]  # a vector
        masks = torch.zeros(size, width)
        for row, places in zip(masks, visible, strict=True):
            row[list(places)] = 1.0
        self.register_buffer("masks", masks)
        self.register_buffer("shares", torch.tensor(weights or [1.0 / size] * size, dtype=torch.float64))
        count, inputs = (1, width + size) if is_shared else (size, width)
        actions = int(action_space.nvec[0])
        self.actor = Towers(count, (inputs, *net_arch, actions), activation_fn, GAINS["action"])
        self.critic = Towers(count, (inputs, *net_arch, 1), activation_fn, GAINS["value"])
        self.allocator = None
        if weights is None:
            self.allocator = Towers(1, (width, *ALLOCATOR_ARCH, size), activation_fn, GAINS["action"])
        groups: list[dict[str, Any]] = [{"params": self.spoken_weights(), "lr": lr_schedule(1)}]
        if self.allocator is not None:
            groups.append({"params": list(self.allocator.parameters()), "lr": allocator_lr})
        self.optimizer = torch.optim.Adam(groups, **{"eps": 1e-5, **self.optimizer_kwargs})

    def spoken_weights(self) -> list[nn.Parameter]:
        """Return the weights of actors and critics, each (G, ...)."""
        return [*self.actor.parameters(), *self.critic.parameters()]

    def speak(self, observations: torch.Tensor) -> Spoken:
        """Return what everybody thinks about observations (B, dim)."""
        seen = observations * self.masks[:, None]  # (M, B, dim)
        if self.is_shared:
            who = torch.eye(len(self.names), dtype=seen.dtype)[:, None].expand(-1, len(observations), -1)
            seen = torch.cat([seen, who], dim=2)
        return Spoken(self.actor(seen), self.critic(seen)[..., 0], self.scores(observations))

    def scores(self, observations: torch.Tensor) -> torch.Tensor:
        """Return the logits of the weights, (B, M); of fixed ones their logarithms."""
        if self.allocator is not None:
            return self.allocator(observations[None])[0]
        return torch.log(self.shares.to(observations.dtype)).expand(len(observations), -1)

    def weigh(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the weights, float64 (B, M), each row summing to 1."""
        if self.allocator is None:
            return self.shares.expand(len(scores), -1)
        return torch.softmax(scores.double(), dim=1)

    def forward(self, observations: torch.Tensor, deterministic: bool = True) -> torch.Tensor:
        return self._predict(observations, deterministic)

    def _predict(self, observation: Any, deterministic: bool = True) -> torch.Tensor:
        """Return the proposals, (B, M)."""
        logits = self.speak(observation).logits.transpose(0, 1)  # (B, M, actions)
        if deterministic:
            return logits.argmax(dim=2)
        return torch.distributions.Categorical(logits=logits).sample()

    def _get_constructor_parameters(self) -> dict[str, Any]:
        given = super()._get_constructor_parameters()
        kept = {name: given[name] for name in ("observation_space", "action_space")}
        return {**kept, "lr_schedule": _no_schedule, **self._given}


def _no_schedule(_: float) -> float:
    return 0.0


def _array(tensor: torch.Tensor) -> np.ndarray:
    return np.array(tensor.detach().numpy(), dtype=np.float32, order="C", copy=True)
