"""The register of algorithms: how a spec becomes a learner, and what its logged figures are called here."""

from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3 import A2C, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from torch import nn

from agents.rl.double_dqn import DoubleDQN
from agents.rl.fast.ppo import FastPPO
from agents.rl.vec_env import TradingVecEnv
from agents.spec import TrainingSpec
from agents.spec.algorithms import Replay

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
LOGGED = {  # the library's name -> ours, see market.web.definitions
    "train/policy_gradient_loss": "policy_loss",
    "train/policy_loss": "policy_loss",
    "train/value_loss": "value_loss",
    "train/entropy_loss": "entropy",
    "train/approx_kl": "kl",
    "train/clip_fraction": "clip_fraction",
    "train/explained_variance": "explained_variance",
    "train/actor_loss": "actor_loss",
    "train/critic_loss": "critic_loss",
    "train/ent_coef": "entropy_weight",
    "rollout/exploration_rate": "exploration_rate",
}
SAC_START = "auto_0.1"  # rewards here are small: from the library's 1 the weight takes long to come down
LOGGED_BY = {"dqn": {"train/loss": "action_value_loss"}}


def ppo(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    """Return stable-baselines3's PPO with the spec's settings; the same spec gives the same weights."""
    return _ppo(PPO, spec, env)


def fast_ppo(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    """Return the same PPO with compiled rollout and update (docs/decisions/010-fast-ppo.md)."""
    return _ppo(FastPPO, spec, env)


def _ppo(algorithm: type[PPO], spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given = spec.ppo
    return algorithm(
        env=env,
        n_steps=given.n_steps,
        batch_size=given.batch_size,
        n_epochs=given.epochs,
        gae_lambda=given.gae_lambda,
        clip_range=given.clip,
        ent_coef=given.ent_coef,
        vf_coef=given.vf_coef,
        max_grad_norm=given.max_grad_norm,
        target_kl=given.target_kl,
        **_common(spec),
    )


def a2c(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given = spec.a2c
    return A2C(
        env=env,
        n_steps=given.n_steps,
        gae_lambda=given.gae_lambda,
        ent_coef=given.ent_coef,
        vf_coef=given.vf_coef,
        max_grad_norm=given.max_grad_norm,
        **_common(spec),
    )


def dqn(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given = spec.dqn
    return DoubleDQN(
        env=env,
        target_update_interval=max(given.target_update, given.n_envs),
        exploration_fraction=given.exploration_share,
        exploration_initial_eps=given.exploration_start,
        exploration_final_eps=given.exploration_end,
        max_grad_norm=given.max_grad_norm,
        tau=given.tau,
        **_replay(given),
        **_common(spec),
    )


def sac(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given = spec.sac
    weight = SAC_START if given.ent_coef == "auto" else given.ent_coef
    return SAC(env=env, ent_coef=weight, tau=given.tau, **_replay(given), **_common(spec))


def td3(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given = spec.td3
    return TD3(
        env=env,
        tau=given.tau,
        policy_delay=given.policy_delay,
        target_policy_noise=given.target_noise,
        target_noise_clip=given.target_noise_clip,
        action_noise=_noise(given.noise, env),
        **_replay(given),
        **_common(spec),
    )


def _noise(deviation: float, env: TradingVecEnv) -> NormalActionNoise:
    size = int(np.prod(env.action_space.shape or (1,)))
    return NormalActionNoise(np.zeros(size), np.full(size, deviation))


def _replay(given: Replay) -> dict[str, Any]:
    return {
        "buffer_size": given.buffer_size,
        "learning_starts": given.learning_starts,
        "batch_size": given.batch_size,
        "train_freq": given.train_every,
        "gradient_steps": given.gradient_steps,
    }


def _common(spec: TrainingSpec) -> dict[str, Any]:
    return {
        "policy": "MlpPolicy",
        "learning_rate": spec.learning.lr,
        "gamma": spec.learning.gamma,
        "policy_kwargs": {
            "net_arch": list(spec.network.net_arch),
            "activation_fn": ACTIVATIONS[spec.network.activation],
        },
        "seed": spec.seed,
        "device": "cpu",
        "verbose": 0,
    }


BUILDERS: dict[str, Callable[[TrainingSpec, TradingVecEnv], BaseAlgorithm]] = {
    "ppo": ppo,
    "fast_ppo": fast_ppo,
    "a2c": a2c,
    "dqn": dqn,
    "sac": sac,
    "td3": td3,
}


def logged_names(algorithm: str) -> dict[str, str]:
    """Return the library's name -> ours, of what an algorithm logs and people are shown."""
    return LOGGED | LOGGED_BY.get(algorithm, {})
