"""A policy's weights as the one flat vector that the compiled loops work on, and back."""

from collections.abc import Callable

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from agents.rl.fast import kernels
from agents.rl.fast.arithmetic import RELU, TANH

LINE = 16  # float32 places of a cache line
ACTIVATIONS = {nn.Tanh: TANH, nn.ReLU: RELU}


class PackedPolicy:
    """Weights of one `ActorCriticPolicy`, copied in at construction and copied back by `write_back`.

    :param policy: one that `agents.rl.fast.checks.require_supported` let pass
    """

    def __init__(self, policy: ActorCriticPolicy) -> None:
        self._policy = policy
        self._places: list[tuple[torch.Tensor, slice, tuple[int, ...]]] = []
        self._size = 0
        extractor = policy.mlp_extractor
        actor = self._tower(extractor.policy_net, policy.action_net)
        critic = self._tower(extractor.value_net, policy.value_net)
        log_std = getattr(policy, "log_std", None)
        at = -1 if log_std is None else self._taken(log_std, (_filled(len(log_std), LINE),))
        activation = next(
            ACTIVATIONS[type(part)] for part in extractor.policy_net if type(part) in ACTIVATIONS
        )
        self.shape = kernels.Shape(actor, critic, at, int(actor[-1, 4]), activation)
        self.is_discrete = log_std is None
        self.weights = self._packed(lambda tensor: tensor)
        layers = max(len(actor), len(critic))
        widest = max(int(tower[:, [3, 5]].max()) for tower in (actor, critic))
        self._signals = _aligned(layers + 1, kernels.CHUNK, widest)
        self._errors = _aligned(layers, kernels.CHUNK, widest)

    def act(self, observations: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw an action for each observation.

        :param observations: float32 (n, D)
        :param noise: float32, uniform (n, 1) for discrete actions, standard normal (n, K) for continuous ones
        :return: actions (int64 (n,) or float32 (n, K)), values (n,), log probabilities (n,)
        """
        actions = np.empty_like(noise)
        values, log_probs = np.empty((2, len(noise)), np.float32)
        kernels.act(
            self.weights,
            self.shape,
            observations,
            noise,
            self._signals,
            self._errors,
            actions,
            values,
            log_probs,
        )
        return (actions[:, 0].astype(np.int64) if self.is_discrete else actions), values, log_probs

    def values(self, observations: np.ndarray) -> np.ndarray:
        """Return the critic's values of observations, float32 (n, D) -> (n,)."""
        values = np.empty(len(observations), np.float32)
        kernels.values_of(self.weights, self.shape, observations, self._signals, values)
        return values

    def load_optimizer(self) -> None:
        """Copy Adam's state in; a fresh optimizer starts from zero."""
        state = self._policy.optimizer.state
        self._first = self._packed(lambda tensor: state[tensor]["exp_avg"] if tensor in state else None)
        self._second = self._packed(lambda tensor: state[tensor]["exp_avg_sq"] if tensor in state else None)
        self._step = int(max((float(state[tensor]["step"]) for tensor in state), default=0))

    def learn(
        self, batch: tuple[np.ndarray, ...], order: np.ndarray, batch_size: int, update: kernels.Update
    ) -> tuple[np.ndarray, bool]:
        """Go once through a rollout; see `kernels.epoch`.

        :return: the minibatches' figures, float64 (m, 5), and whether the KL divergence ended the epoch
        """
        figures = np.empty((-(-len(order) // batch_size), kernels.STATS))
        before = self._step
        seen, self._step = kernels.epoch(
            self.weights, self._first, self._second, before, self.shape, self._signals, self._errors,
            batch, order, batch_size, update, figures,
        )  # fmt: skip
        return figures[:seen], self._step - before < seen

    def write_back(self) -> None:
        """Copy weights and Adam's state to the policy and its optimizer."""
        state = self._policy.optimizer.state
        for parameter, place, filled in self._places:
            _copied(self.weights[place], filled, parameter.data)
            if not self._step:
                continue
            own = state[parameter]
            own["step"] = torch.tensor(float(self._step))
            for name, vector in (("exp_avg", self._first), ("exp_avg_sq", self._second)):
                own[name] = own[name] if name in own else torch.zeros_like(parameter.data)
                _copied(vector[place], filled, own[name])

    def _tower(self, hidden: nn.Module, last: nn.Module) -> np.ndarray:
        layers: list[tuple[int, ...]] = []
        for linear in (layer for layer in (*hidden.children(), last) if isinstance(layer, nn.Linear)):
            rows = _filled(linear.in_features, LINE if layers else 8)
            columns = _filled(linear.out_features, LINE)
            at = self._taken(linear.weight, (rows, columns)), self._taken(linear.bias, (columns,))
            layers.append((*at, linear.in_features, rows, linear.out_features, columns))
        return np.array(layers, dtype=np.int64)

    def _taken(self, parameter: torch.Tensor, filled: tuple[int, ...]) -> int:
        at, self._size = self._size, self._size + int(np.prod(filled))
        self._places.append((parameter, slice(at, self._size), filled))
        return at

    def _packed(self, source: Callable[[torch.Tensor], torch.Tensor | None]) -> np.ndarray:
        vector = _aligned(self._size)
        for parameter, place, filled in self._places:
            found = source(parameter)
            if found is not None:
                array = found.detach().numpy().T
                vector[place].reshape(filled)[tuple(slice(size) for size in array.shape)] = array
        return vector


def _copied(vector: np.ndarray, filled: tuple[int, ...], target: torch.Tensor) -> None:
    array = target.numpy().T
    array[...] = vector.reshape(filled)[tuple(slice(size) for size in array.shape)]


def _filled(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _aligned(*shape: int) -> np.ndarray:
    """Return zeros whose memory starts at a cache line."""
    size = int(np.prod(shape))
    raw = np.zeros(size + LINE, dtype=np.float32)
    shift = -raw.ctypes.data % 64 // 4
    return raw[shift : shift + size].reshape(shape)
