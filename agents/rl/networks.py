"""From torch weights to the numpy network that trades, and the proof that both think alike."""

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from agents.policies.network import Network
from agents.policies.trained import softmax

TOLERANCE = 1e-6
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

    Compared are probabilities (or means) absolutely and values relative to their size.

    :raises RuntimeError: when it is above 1e-6
    """
    with torch.no_grad():
        features = policy.extract_features(torch.as_tensor(observations))
        hidden, value_hidden = policy.mlp_extractor(features)
        output = policy.action_net(hidden).numpy()
        values = policy.value_net(value_hidden).numpy()
    ours = network.act(observations)
    if network.log_std is None:
        output, ours = (np.array([softmax(row) for row in rows.tolist()]) for rows in (output, ours))
    gap = float(np.abs(output - ours).max())
    size = np.maximum(np.abs(values), 1.0)
    gap = max(gap, float((np.abs(values - network.value(observations)) / size).max()))
    if not gap <= TOLERANCE:
        raise RuntimeError(f"the numpy network differs from the trained one by {gap:.2e}: it is not used")
    return gap


def _layers(hidden: nn.Module, last: nn.Module) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    linear = [layer for layer in (*hidden.children(), last) if isinstance(layer, nn.Linear)]
    return tuple((_array(layer.weight.T), _array(layer.bias)) for layer in linear)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return np.array(tensor.detach().numpy(), dtype=np.float32, order="C", copy=True)
