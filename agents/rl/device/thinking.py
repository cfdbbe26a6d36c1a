"""What a policy answers to observations on a device, for acting and for learning."""

import math

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def heads(policy: ActorCriticPolicy, observations: Tensor) -> tuple[Tensor, Tensor]:
    """Return (logits or means, values) of observations, (n, D) -> (n, A), (n,)."""
    seen = policy.pi_features_extractor(observations)
    judged = seen if policy.share_features_extractor else policy.vf_features_extractor(observations)
    towers = policy.mlp_extractor
    values = policy.value_net(towers.forward_critic(judged)).flatten()
    return policy.action_net(towers.forward_actor(seen)), values


def values_of(policy: ActorCriticPolicy, observations: Tensor) -> Tensor:
    """Return the critic's values, (n, D) -> (n,)."""
    seen = policy.vf_features_extractor(observations)
    return policy.value_net(policy.mlp_extractor.forward_critic(seen)).flatten()


def act(policy: ActorCriticPolicy, observations: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw an action for each observation.

    :param noise: float32, uniform (n, 1) for discrete actions, standard normal (n, K) for continuous ones
    :return: actions (int64 (n,) or float32 (n, K)), values (n,), log probabilities (n,)
    """
    out, values = heads(policy, observations)
    if is_gaussian(policy):
        actions = out + policy.log_std.exp() * noise
        return actions, values, _normal(policy, out, actions)
    logs = torch.log_softmax(out, dim=1)
    actions = _picked(logs.exp(), noise[:, 0])
    return actions, values, _chosen(logs, actions)


def judge(policy: ActorCriticPolicy, observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (values, log probabilities of actions, entropies), each (n,)."""
    out, values = heads(policy, observations)
    if is_gaussian(policy):
        entropy = (0.5 + HALF_LOG_2PI + policy.log_std).sum()
        return values, _normal(policy, out, actions), entropy.expand(len(values))
    logs = torch.log_softmax(out, dim=1)
    return values, _chosen(logs, actions), -(logs.exp() * logs).sum(1)


def is_gaussian(policy: ActorCriticPolicy) -> bool:
    """Say whether actions are continuous, with a deviation of their own."""
    return hasattr(policy, "log_std")


def _normal(policy: ActorCriticPolicy, means: Tensor, actions: Tensor) -> Tensor:
    scores = (actions - means) * (-policy.log_std).exp()
    return -(0.5 * scores * scores + policy.log_std + HALF_LOG_2PI).sum(1)


def _picked(shares: Tensor, uniform: Tensor) -> Tensor:
    """Return the actions that uniform numbers in [0, 1) fall on; summed in one order on every device."""
    actions = torch.zeros(len(shares), dtype=torch.int64, device=shares.device)
    passed = torch.zeros_like(uniform)
    for share in shares.unbind(1)[:-1]:
        passed = passed + share
        actions += uniform >= passed
    return actions


def _chosen(logs: Tensor, actions: Tensor) -> Tensor:
    """Return logs[i, actions[i]], whose slopes add up in one order on every device."""
    is_chosen = actions[:, None] == torch.arange(logs.shape[1], device=logs.device)
    return torch.where(is_chosen, logs, 0.0).sum(1)
