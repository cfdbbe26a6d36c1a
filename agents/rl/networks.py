"""From torch weights to the numpy network that trades, and the proof that both think alike."""

import copy

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from agents.policies.network import Network
from agents.policies.trained import softmax

TOLERANCE = 1e-6
GRAINS = 4.0  # times torch's own rounding error
NAMES = {nn.Tanh: "tanh", nn.ReLU: "relu"}


def network_of(policy: ActorCriticPolicy) -> Network:
    """Return a copy of a policy's weights as numpy arrays."""
    extractor = policy.mlp_extractor
    activation = next(NAMES[type(layer)] for layer in extractor.policy_net if type(layer) in NAMES)
    log_std = getattr(policy, "log_std", None)
    return Network(
        _layers(extractor.policy_net, policy.action_net),
        _layers(extractor.value_net, policy.value_net),
        activation,
        None if log_std is None else _array(log_std),
    )


def require_equal(policy: ActorCriticPolicy, network: Network, observations: np.ndarray) -> float:
    """Return the largest difference between both on observations, float32 (n, dim).

    Compared are probabilities (or means) absolutely and values relative to their size. Where logits are
    so large that float32 is coarser than 1e-6, numpy may be as far from the exact answer as torch is.

    :raises RuntimeError: when they differ by more
    """
    parts = (policy.mlp_extractor, policy.action_net, policy.value_net)
    theirs = _answers(parts, torch.as_tensor(observations))
    precise = tuple(copy.deepcopy(part).double() for part in parts)
    exact = _answers(precise, torch.as_tensor(observations).double())
    ours = (network.act(observations), network.value(observations))
    gap, grain = (_difference(answers, exact, network) for answers in (ours, theirs))
    if not gap <= max(TOLERANCE, GRAINS * grain):
        raise RuntimeError(f"the numpy network differs from the trained one by {gap:.2e}: it is not used")
    return _difference(ours, theirs, network)


def _answers(parts: tuple[nn.Module, ...], observations: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return (logits or means, values) of the towers and their last layers, at the parts' own precision."""
    towers, action, value = parts
    with torch.no_grad():
        hidden, value_hidden = towers(observations)
        return action(hidden).numpy(), value(value_hidden).numpy()


def _difference(
    found: tuple[np.ndarray, np.ndarray], true: tuple[np.ndarray, np.ndarray], network: Network
) -> float:
    outputs = [found[0], true[0]]
    if network.log_std is None:
        outputs = [np.array([softmax(row) for row in rows.tolist()]) for rows in outputs]
    size = np.maximum(np.abs(true[1]), 1.0)
    return float(max(np.abs(outputs[0] - outputs[1]).max(), (np.abs(found[1] - true[1]) / size).max()))


def _layers(hidden: nn.Module, last: nn.Module) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    linear = [layer for layer in (*hidden.children(), last) if isinstance(layer, nn.Linear)]
    return tuple((_array(layer.weight.T), _array(layer.bias)) for layer in linear)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return np.array(tensor.detach().numpy(), dtype=np.float32, order="C", copy=True)
