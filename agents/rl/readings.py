"""How each kind of torch policy is read: as the numpy network that trades, and as torch's own answers.

A reading answers with (outputs, values) as `agents.policies.network.Network.act` and `.value` describe them,
at the precision of the policy's weights.
"""

from dataclasses import replace
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy
from sb3_contrib.tqc.policies import TQCPolicy
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy, ContinuousCritic
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import TD3Policy
from torch import nn

from agents.policies.network import GREEDY, MASKED, SQUASHED, SQUASHED_GAUSSIAN, Network
from agents.policies.table import Table
from agents.policies.team import Mind, TeamMind
from agents.rl.extractors import sight_of
from agents.rl.q_table import TablePolicy
from agents.rl.recurrent import MarketLstmPolicy
from agents.rl.team import TeamNetwork

Layers = tuple[tuple[np.ndarray, np.ndarray], ...]
Answers = tuple[torch.Tensor, torch.Tensor]
NAMES = {nn.Tanh: "tanh", nn.ReLU: "relu"}


class Reading(Protocol):
    def network(self, policy: Any) -> Mind: ...
    def answers(self, policy: Any, observations: torch.Tensor) -> Answers: ...


class ActorCritic:
    """Two towers over the observation: PPO, A2C and their kin."""

    def network(self, policy: ActorCriticPolicy) -> Network:
        towers = policy.mlp_extractor
        log_std = getattr(policy, "log_std", None)
        return Network(
            layers(towers.policy_net, policy.action_net),
            layers(towers.value_net, policy.value_net),
            activation(towers.policy_net),
            None if log_std is None else array(log_std),
            actor_sight=sight_of(policy.pi_features_extractor),
            critic_sight=sight_of(policy.vf_features_extractor),
        )

    def answers(self, policy: ActorCriticPolicy, observations: torch.Tensor) -> Answers:
        hidden = policy.mlp_extractor.forward_actor(policy.pi_features_extractor(observations))
        value_hidden = policy.mlp_extractor.forward_critic(policy.vf_features_extractor(observations))
        return policy.action_net(hidden), policy.value_net(value_hidden)


class RecurrentActorCritic(ActorCritic):
    """Towers behind LSTMs, asked as they trade: RecurrentPPO."""

    def network(self, policy: Any) -> Network:
        actor, critic = policy.sight_of(policy.lstm_actor), policy.sight_of(policy.lstm_critic)
        return replace(super().network(policy), actor_sight=actor, critic_sight=critic)

    def answers(self, policy: Any, observations: torch.Tensor) -> Answers:
        return policy.answers(observations)


class ActionValues:
    """One tower that values each discrete action: DQN."""

    def network(self, policy: DQNPolicy) -> Network:
        net = policy.q_net.q_net
        sight = sight_of(policy.q_net.features_extractor)
        return Network(layers(net), (), activation(net), head=GREEDY, actor_sight=sight)

    def answers(self, policy: DQNPolicy, observations: torch.Tensor) -> Answers:
        values = policy.q_net.q_net(policy.q_net.features_extractor(observations))
        return values, values.max(dim=1, keepdim=True).values


class Deterministic:
    """A continuous action behind tanh, valued by critics that read it too: TD3."""

    def network(self, policy: TD3Policy) -> Network:
        net = policy.actor.mu
        critic = layers(first_critic(policy.critic))
        return Network(layers(net), critic, activation(net), head=SQUASHED, **_sights(policy))

    def answers(self, policy: TD3Policy, observations: torch.Tensor) -> Answers:
        actor = policy.actor
        wish = actor.mu[:-1](actor.features_extractor(observations))
        return wish, valued(policy.critic, observations, torch.tanh(wish))


class SquashedGaussian:
    """A Gaussian before tanh whose deviation depends on the observation: SAC."""

    def network(self, policy: SACPolicy) -> Network:
        actor = policy.actor
        (mean, mean_bias), (deviation, deviation_bias) = (
            layers(actor.mu)[0],
            layers(cast(nn.Module, actor.log_std))[0],
        )
        last = np.concatenate([mean, deviation], axis=1), np.concatenate([mean_bias, deviation_bias])
        return Network(
            (*layers(actor.latent_pi), last),
            layers(first_critic(policy.critic)),
            activation(actor.latent_pi),
            head=SQUASHED_GAUSSIAN,
            **_sights(policy),
        )

    def answers(self, policy: SACPolicy, observations: torch.Tensor) -> Answers:
        actor = policy.actor
        hidden = actor.latent_pi(actor.features_extractor(observations))
        wish = actor.mu(hidden)
        outputs = torch.cat([wish, cast(nn.Module, actor.log_std)(hidden)], dim=1)
        return outputs, valued(policy.critic, observations, torch.tanh(wish))


class MaskedActorCritic(ActorCritic):
    """The same towers, whose illegal actions are masked: MaskablePPO."""

    def network(self, policy: Any) -> Network:
        return replace(super().network(policy), head=MASKED)


class Quantiles:
    """One tower that values each discrete action by quantiles: QR-DQN. Their mean is a layer, too."""

    def network(self, policy: QRDQNPolicy) -> Network:
        net = policy.quantile_net
        *hidden, (weight, bias) = layers(net.quantile_net)
        last = averaged(weight, net.n_quantiles), averaged(bias, net.n_quantiles)
        sight = sight_of(net.features_extractor)
        return Network((*hidden, last), (), activation(net.quantile_net), head=GREEDY, actor_sight=sight)

    def answers(self, policy: QRDQNPolicy, observations: torch.Tensor) -> Answers:
        net = policy.quantile_net
        quantiles = net.quantile_net(net.features_extractor(observations))
        values = quantiles.view(len(observations), net.n_quantiles, -1).mean(dim=1)
        return values, values.max(dim=1, keepdim=True).values


class TruncatedQuantiles(SquashedGaussian):
    """SAC's actor with critics of quantiles: TQC."""

    def network(self, policy: Any) -> Network:
        made = super().network(policy)
        *hidden, (weight, bias) = made.critic
        count = policy.critic.n_quantiles
        return replace(made, critic=(*hidden, (averaged(weight, count), averaged(bias, count))))

    def answers(self, policy: Any, observations: torch.Tensor) -> Answers:
        outputs, quantiles = super().answers(policy, observations)
        return outputs, quantiles.mean(dim=1, keepdim=True)


class Tabular:
    """A table of action values."""

    def network(self, policy: TablePolicy) -> Table:
        columns, edges, sizes, values = (
            part.numpy().copy() for part in (policy.columns, policy.edges, policy.sizes, policy.table)
        )
        return Table(columns, edges, sizes, values, int(policy.observation_space.shape[0]))  # type: ignore[index]

    def answers(self, policy: TablePolicy, observations: torch.Tensor) -> Answers:
        values = policy.values(observations)
        return values, values.max(dim=1, keepdim=True).values


class Team:
    """Actors and critics of specialists, and scores that weigh them: TeamPPO."""

    def network(self, policy: TeamNetwork) -> TeamMind:
        name, count = NAMES[policy.activation_fn], len(policy.actor.weights[0])
        minds = [Network(policy.actor.layers(at), policy.critic.layers(at), name) for at in range(count)]
        scores = policy.allocator
        allocator = None if scores is None else Network(scores.layers(0), (), name, head=GREEDY)
        return TeamMind(
            policy.names,
            array(policy.masks),
            tuple(minds),
            allocator,
            policy.shares.numpy().astype(np.float64),
        )

    def answers(self, policy: TeamNetwork, observations: torch.Tensor) -> Answers:
        spoken = policy.speak(observations)
        outputs = spoken.logits.transpose(0, 1).flatten(1)  # (n, M * actions)
        if policy.allocator is not None:
            outputs = torch.cat([outputs, spoken.scores], dim=1)
        values = (policy.weigh(spoken.scores) * spoken.values.T).sum(dim=1, keepdim=True)
        return outputs, values


class _Pair(NamedTuple):
    kind: type[BasePolicy]
    reading: Reading


READINGS = (
    _Pair(DQNPolicy, ActionValues()),
    _Pair(QRDQNPolicy, Quantiles()),
    _Pair(TQCPolicy, TruncatedQuantiles()),
    _Pair(MaskableActorCriticPolicy, MaskedActorCritic()),
    _Pair(TablePolicy, Tabular()),
    _Pair(MarketLstmPolicy, RecurrentActorCritic()),
    _Pair(TD3Policy, Deterministic()),
    _Pair(SACPolicy, SquashedGaussian()),
    _Pair(TeamNetwork, Team()),
    _Pair(ActorCriticPolicy, ActorCritic()),
)


def _sights(policy: Any) -> dict[str, Any]:
    return {
        "actor_sight": sight_of(policy.actor.features_extractor),
        "critic_sight": sight_of(policy.critic.features_extractor),
    }


def reading_of(policy: BasePolicy) -> Reading:
    """Return how to read a policy. :raises TypeError: for a kind that no algorithm of ours makes"""
    for kind, reading in READINGS:
        if isinstance(policy, kind):
            return reading
    raise TypeError(f"there is no numpy form of {type(policy).__name__}")


def first_critic(critic: ContinuousCritic) -> nn.Module:
    """Return the critic whose estimate is shown: the others only keep training from believing it too much."""
    return critic.q_networks[0]


def valued(critic: ContinuousCritic, observations: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """Return the first critic's values of actions, (n, 1)."""
    return first_critic(critic)(torch.cat([critic.features_extractor(observations), action], dim=1))


def averaged(last: np.ndarray, quantiles: int) -> np.ndarray:
    """Return the layer of the quantiles' mean, of the layer that gives them: (..., Q * A) -> (..., A)."""
    return last.reshape(*last.shape[:-1], quantiles, -1).astype(np.float64).mean(axis=-2).astype(np.float32)


def layers(*modules: nn.Module) -> Layers:
    """Return (weight (inputs, outputs), bias) of every linear layer, in order."""
    linear = [part for module in modules for part in module.modules() if isinstance(part, nn.Linear)]
    return tuple((array(layer.weight.T), array(layer.bias)) for layer in linear)


def activation(tower: nn.Module) -> str:
    """Return the name of the function behind a tower's hidden layers."""
    return next(NAMES[type(part)] for part in tower.modules() if type(part) in NAMES)


def array(tensor: torch.Tensor) -> np.ndarray:
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float32, order="C", copy=True)
