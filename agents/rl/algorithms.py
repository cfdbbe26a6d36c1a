"""The register of algorithms: how a spec becomes a learner."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from sb3_contrib import QRDQN, TQC, TRPO, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import LinearSchedule
from torch import nn

from agents.observation import PORTFOLIO
from agents.rl.device.ppo import DevicePPO
from agents.rl.device.vec_env import DeviceVecEnv
from agents.rl.double_dqn import DoubleDQN
from agents.rl.extractors import WindowExtractor
from agents.rl.fast.ppo import FastPPO
from agents.rl.q_table import QTable, TablePolicy
from agents.rl.recurrent import MarketLstmPolicy
from agents.rl.reinforce import Reinforce
from agents.rl.team import TeamNetwork, TeamPPO
from agents.rl.vec_env import TradingVecEnv
from agents.spec import TrainingSpec
from agents.spec.algorithms import Dqn, Replay, Sac

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
ENTROPY_START = "auto_0.1"  # rewards here are small: from the library's 1 the weight takes long to come down
# AdamW; eps is what the library takes where nothing is said of its optimizer.
DECAYING = {"eps": 1e-5, "decoupled_weight_decay": True}
EXPOSURE = PORTFOLIO.index("exposure")


def ppo(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    """Return stable-baselines3's PPO with the spec's settings; the same spec gives the same weights."""
    return _ppo(DevicePPO if isinstance(env, DeviceVecEnv) else PPO, spec, env)


def fast_ppo(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    """Return the same PPO with compiled rollout and update (docs/decisions/010-fast-ppo.md)."""
    return _ppo(DevicePPO if isinstance(env, DeviceVecEnv) else FastPPO, spec, env)


def recurrent_ppo(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    """Return sb3-contrib's PPO with an LSTM that reads the market (agents.rl.recurrent)."""
    given = spec.recurrent
    return _ppo(
        RecurrentPPO,
        spec,
        env,
        policy=MarketLstmPolicy,
        columns=env.market.features,
        memory=given.memory,
        stride=spec.decision_every,
        lstm_hidden_size=given.hidden,
        n_lstm_layers=given.layers,
    )


def _ppo(
    algorithm: Callable[..., BaseAlgorithm],
    spec: TrainingSpec,
    env: TradingVecEnv,
    policy: str | type[BasePolicy] = "MlpPolicy",
    **kwargs: Any,
) -> BaseAlgorithm:
    given = spec.ppo
    if given.weight_decay:
        kwargs["optimizer_kwargs"] = DECAYING | {"weight_decay": given.weight_decay}
    return algorithm(
        env=env,
        n_steps=given.n_steps,
        batch_size=given.batch_size,
        n_epochs=given.epochs,
        gae_lambda=given.gae_lambda,
        clip_range=_towards(given.clip, given.clip_end),
        clip_range_vf=given.clip_vf,
        normalize_advantage=given.advantages == "normalised",
        ent_coef=given.ent_coef,
        vf_coef=given.vf_coef,
        max_grad_norm=given.max_grad_norm,
        target_kl=given.target_kl,
        **{
            **_common(spec, env, **kwargs),
            "policy": policy,
            "learning_rate": _towards(given.lr, given.lr_end),
        },
    )


def _towards(start: float, end: float | None) -> float | LinearSchedule:
    """Return a value that stays, or one that goes in a straight line to its end over the whole run."""
    return start if end is None else LinearSchedule(start, end, 1.0)


def team_ppo(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    """Return PPO of specialists that share each account, and of who weighs them (agents.rl.team)."""
    given = spec.team
    return _ppo(
        partial(TeamPPO, allocator_entropy=given.allocator_entropy),
        spec,
        env,
        policy=TeamNetwork,
        names=given.specialists,
        visible=_visible(spec, env.market.features),
        is_shared=given.networks == "shared",
        weights=given.shares if given.allocator == "fixed" else None,
        allocator_lr=given.allocator_lr,
    )


def _visible(spec: TrainingSpec, columns: int) -> list[list[int]]:
    """Return the places of an observation that each specialist sees; a forecast is everybody's."""
    features, size = len(spec.feature_set()), spec.window * columns
    account = range(size, size + len(PORTFOLIO)) if spec.team.account == "seen" else range(0)
    seen = [(*own, *range(features, columns)) for own in spec.team.columns(spec.feature_set())]
    return [[row * columns + at for row in range(spec.window) for at in own] + list(account) for own in seen]


def a2c(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given = spec.a2c
    return A2C(
        env=env,
        n_steps=given.n_steps,
        gae_lambda=given.gae_lambda,
        ent_coef=given.ent_coef,
        vf_coef=given.vf_coef,
        max_grad_norm=given.max_grad_norm,
        **_common(spec, env),
    )


def maskable_ppo(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    """Return sb3-contrib's PPO, told by the market which actions are legal (`ActionSpec.legal`)."""
    return _ppo(MaskablePPO, spec, env)


def trpo(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given = spec.trpo
    return TRPO(
        env=env,
        n_steps=given.n_steps,
        batch_size=given.batch_size,
        gae_lambda=given.gae_lambda,
        target_kl=given.target_kl,
        n_critic_updates=given.value_updates,
        **_common(spec, env),
    )


def reinforce(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given = spec.reinforce
    return Reinforce(
        env=env,
        n_steps=given.n_steps,
        ent_coef=given.ent_coef,
        max_grad_norm=given.max_grad_norm,
        baseline_steps=given.baseline_steps,
        **_common(spec, env),
    )


def q_table(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given, features = spec.q_table, env.market.features
    columns = spec.table_columns()
    seen = env.market.scaled[:, columns]  # what the run learns from, nothing later
    bounds = [_bounds(column, given.bins, given.edges) for column in seen.T]
    levels = env.batch.action.levels
    at = (spec.window - 1) * features
    return QTable(
        TablePolicy,
        env,
        learning_rate=given.lr,
        n_steps=given.n_steps,
        gamma=given.gamma,
        exploration_start=given.exploration_start,
        exploration_end=given.exploration_end,
        exploration_share=given.exploration_share,
        policy_kwargs={
            "columns": [*(at + column for column in columns), spec.window * features + EXPOSURE],
            "bounds": [*bounds, [(low + high) / 2 for low, high in pairwise(levels)]],
        },
        seed=spec.seed,
        device="cpu",
    )


def _bounds(column: np.ndarray, bins: int, edges: str) -> list[float]:
    """Return the bounds between bins; equal ones are one, as of a feature with few values."""
    if edges == "quantile":
        found = np.quantile(column, np.arange(1, bins) / bins)
    else:
        found = np.linspace(column.min(), column.max(), bins + 1)[1:-1]
    return np.unique(found.astype(np.float32)).tolist()


def dqn(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    return DoubleDQN(env=env, **_exploring(spec.dqn), **_replay(spec.dqn), **_common(spec, env))


def qr_dqn(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given = spec.qr_dqn
    common = _common(spec, env, n_quantiles=given.quantiles)
    return QRDQN(env=env, **_exploring(given), **_replay(given), **common)


def sac(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given = spec.sac
    return SAC(env=env, ent_coef=_weight(given), tau=given.tau, **_replay(given), **_common(spec, env))


def tqc(spec: TrainingSpec, env: TradingVecEnv) -> BaseAlgorithm:
    given = spec.tqc
    return TQC(
        env=env,
        ent_coef=_weight(given),
        tau=given.tau,
        top_quantiles_to_drop_per_net=given.dropped,
        **_replay(given),
        **_common(spec, env, n_quantiles=given.quantiles, n_critics=given.critics),
    )


def _weight(given: Sac) -> str | float:
    return ENTROPY_START if given.ent_coef == "auto" else given.ent_coef


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
        **_common(spec, env),
    )


def _noise(deviation: float, env: TradingVecEnv) -> NormalActionNoise:
    size = int(np.prod(env.action_space.shape or (1,)))
    return NormalActionNoise(np.zeros(size), np.full(size, deviation))


def _exploring(given: Dqn) -> dict[str, Any]:
    return {
        "target_update_interval": max(given.target_update, given.n_envs),
        "exploration_fraction": given.exploration_share,
        "exploration_initial_eps": given.exploration_start,
        "exploration_final_eps": given.exploration_end,
        "max_grad_norm": given.max_grad_norm,
        "tau": given.tau,
    }


def _replay(given: Replay) -> dict[str, Any]:
    return {
        "buffer_size": given.buffer_size,
        "learning_starts": given.learning_starts,
        "batch_size": given.batch_size,
        "train_freq": given.train_every,
        "gradient_steps": given.gradient_steps,
    }


def _common(spec: TrainingSpec, env: TradingVecEnv, **policy: Any) -> dict[str, Any]:
    return {
        "policy": "MlpPolicy",
        "learning_rate": spec.learning.lr,
        "gamma": spec.learning.gamma,
        "policy_kwargs": {
            "net_arch": list(spec.network.net_arch),
            "activation_fn": ACTIVATIONS[spec.network.activation],
            **_extractor(spec, env),
            **policy,
        },
        "seed": spec.seed,
        "device": env.device,
        "verbose": 0,
    }


def _extractor(spec: TrainingSpec, env: TradingVecEnv) -> dict[str, Any]:
    given = spec.network
    if given.extractor == "mlp":
        return {}
    asked = {
        "kind": given.extractor,
        "rows": spec.window,
        "columns": env.market.features,
        "width": given.width,
        "layers": given.layers,
        "heads": given.heads,
        "taps": given.taps,
        "is_curved": spec.algorithm == "trpo",
    }
    return {"features_extractor_class": WindowExtractor, "features_extractor_kwargs": asked}


BUILDERS: dict[str, Callable[[TrainingSpec, TradingVecEnv], BaseAlgorithm]] = {
    "ppo": ppo,
    "fast_ppo": fast_ppo,
    "maskable_ppo": maskable_ppo,
    "recurrent_ppo": recurrent_ppo,
    "a2c": a2c,
    "trpo": trpo,
    "dqn": dqn,
    "qr_dqn": qr_dqn,
    "sac": sac,
    "td3": td3,
    "tqc": tqc,
    "reinforce": reinforce,
    "q_table": q_table,
    "team_ppo": team_ppo,
}
