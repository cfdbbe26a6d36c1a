"""The register of algorithms: how a spec becomes a learner."""

from collections.abc import Callable

from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import nn

from agents.rl.fast.ppo import FastPPO
from agents.rl.vec_env import TradingVecEnv
from agents.spec import TrainingSpec

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


def ppo(spec: TrainingSpec, env: TradingVecEnv) -> OnPolicyAlgorithm:
    """Return stable-baselines3's PPO with the spec's settings; the same spec gives the same weights."""
    return _ppo(PPO, spec, env)


def fast_ppo(spec: TrainingSpec, env: TradingVecEnv) -> OnPolicyAlgorithm:
    """Return the same PPO with compiled rollout and update (docs/decisions/010-fast-ppo.md)."""
    return _ppo(FastPPO, spec, env)


def _ppo(algorithm: type[PPO], spec: TrainingSpec, env: TradingVecEnv) -> OnPolicyAlgorithm:
    given = spec.ppo
    return algorithm(
        "MlpPolicy",
        env,
        learning_rate=given.lr,
        n_steps=given.n_steps,
        batch_size=given.batch_size,
        n_epochs=given.epochs,
        gamma=given.gamma,
        gae_lambda=given.gae_lambda,
        clip_range=given.clip,
        ent_coef=given.ent_coef,
        vf_coef=given.vf_coef,
        max_grad_norm=given.max_grad_norm,
        target_kl=given.target_kl,
        policy_kwargs={
            "net_arch": list(spec.network.net_arch),
            "activation_fn": ACTIVATIONS[spec.network.activation],
        },
        seed=spec.seed,
        device="cpu",
        verbose=0,
    )


BUILDERS: dict[str, Callable[[TrainingSpec, TradingVecEnv], OnPolicyAlgorithm]] = {
    "ppo": ppo,
    "fast_ppo": fast_ppo,
}
