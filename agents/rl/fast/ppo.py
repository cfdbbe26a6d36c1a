"""PPO of stable-baselines3 with the arithmetic of rollout, advantages and update compiled."""

import threading
from inspect import signature
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv

from agents.rl.fast import kernels
from agents.rl.fast.checks import require_supported
from agents.rl.fast.packed import PackedPolicy
from market.errors import BadInput

ROLLOUT, SHUFFLE = 0, 1  # what random numbers are for
_building = threading.Lock()  # a fresh policy's weights come from torch's only generator


class FastPPO(PPO):
    """`stable_baselines3.PPO`, with the same constructor, callbacks, logged values and `.zip`.

    Given the same minibatches, weights equal those of PPO to 1e-6 after 64 updates. Between rollouts and
    updates the truth lies in `policy` and its optimizer, so whatever reads or replaces them keeps working.
    Random numbers depend on the seed, the steps taken and the updates done alone, never on global generators:
    several models may learn in threads at once, and a loaded one continues exactly.

    :raises BadInput: for what only plain PPO can do (see `agents.rl.fast.checks`)
    """

    __signature__ = signature(PPO)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        device = str(kwargs.get("device", "auto"))
        if device not in ("auto", "cpu"):
            raise BadInput(f"fast PPO runs on the CPU, not on {device}: use plain PPO for this", "device")
        self._draw_seed: int | None = None
        super().__init__(*args, **{**kwargs, "device": "cpu"})

    def _setup_model(self) -> None:
        with _building:
            super()._setup_model()
        require_supported(self)

    def set_random_seed(self, seed: int | None = None) -> None:
        super().set_random_seed(seed)
        if seed is not None:
            self._draw_seed = seed
        elif self._draw_seed is None:
            self._draw_seed = int(np.random.SeedSequence().entropy) % 2**63  # type: ignore[arg-type]

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer as PPO does; False when a callback ended it early."""
        if self._last_obs is None:
            raise RuntimeError("there is no first observation: call learn(), which resets the environment")
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        network = PackedPolicy(self.policy)
        noise = self._noise(n_rollout_steps, env.num_envs)
        n_steps = 0
        while n_steps < n_rollout_steps:
            observations = _flat(self._last_obs)
            actions, values, log_probs = network.act(observations, noise[n_steps])
            clipped_actions = self._within_bounds(actions)
            new_obs, rewards, dones, infos = env.step(clipped_actions)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            if dones.any():
                self._update_info_buffer(infos, dones)
                self._bootstrap(network, rewards, dones, infos)
            _store(
                rollout_buffer, self._last_obs, actions, rewards, self._last_episode_starts, values, log_probs
            )
            n_steps += 1
            self._last_obs = new_obs  # type: ignore[assignment]  # the library allows dicts, we do not
            self._last_episode_starts = dones
        kernels.estimate(
            rollout_buffer.rewards, rollout_buffer.values, rollout_buffer.episode_starts,
            network.values(_flat(new_obs)), dones.astype(np.float32), self.gamma, self.gae_lambda,
            rollout_buffer.advantages, rollout_buffer.returns,
        )  # fmt: skip
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Update the policy from the rollout as PPO does, and log what PPO logs."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        network, update = PackedPolicy(self.policy), self._update()
        network.load_optimizer()
        batch, figures = self._batch(), []
        generator = self._generator(SHUFFLE)
        for epoch in range(self.n_epochs):
            found, is_over = network.learn(batch, self._order(generator), self.batch_size, update)
            figures.append(found)
            self._n_updates += 1
            if is_over:
                if self.verbose >= 1:
                    self.logger.info(f"Early stopping at step {epoch}, KL divergence {found[-1, 3]:.2f}")
                break
        network.write_back()
        self._log(figures, update)

    def _noise(self, steps: int, envs: int) -> np.ndarray:
        """Return the rollout's random numbers, float32 (steps, envs, K)."""
        generator = self._generator(ROLLOUT)
        if isinstance(self.action_space, spaces.Discrete):
            return generator.random((steps, envs, 1), dtype=np.float32)
        size = int(np.prod(self.action_space.shape))  # type: ignore[arg-type]
        return generator.standard_normal((steps, envs, size), dtype=np.float32)

    def _generator(self, purpose: int) -> np.random.Generator:
        key = (self._draw_seed or 0, purpose, self._n_updates, self.num_timesteps)
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def _order(self, generator: np.random.Generator) -> np.ndarray:
        """Return one epoch's order of the rollout's samples, numbered step by step: step * envs + env."""
        return generator.permutation(self.n_steps * self.n_envs)

    def _within_bounds(self, actions: np.ndarray) -> np.ndarray:
        if not isinstance(self.action_space, spaces.Box):
            return actions
        return np.clip(
            actions.reshape(-1, *self.action_space.shape), self.action_space.low, self.action_space.high
        )

    def _bootstrap(
        self, network: PackedPolicy, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]
    ) -> None:
        """Add the value of where an episode was cut off, as PPO does."""
        cut = [int(i) for i in np.flatnonzero(dones) if infos[i].get("TimeLimit.truncated", False)]
        cut = [i for i in cut if infos[i].get("terminal_observation") is not None]
        if cut:
            last = _flat(np.stack([infos[i]["terminal_observation"] for i in cut]))
            rewards[cut] += self.gamma * network.values(last)

    def _update(self) -> kernels.Update:
        group, left = self.policy.optimizer.param_groups[0], self._current_progress_remaining
        return kernels.Update(
            clip=float(self.clip_range(left)),  # type: ignore[operator]  # a schedule after _setup_model
            clip_vf=-1.0 if self.clip_range_vf is None else float(self.clip_range_vf(left)),  # type: ignore[operator]
            ent_coef=float(self.ent_coef),
            vf_coef=float(self.vf_coef),
            max_grad_norm=float(self.max_grad_norm),
            most_kl=np.inf if self.target_kl is None else 1.5 * self.target_kl,
            is_normalised=bool(self.normalize_advantage),
            lr=float(group["lr"]),
            beta1=float(group["betas"][0]),
            beta2=float(group["betas"][1]),
            eps=float(group["eps"]),
            decay=float(group["weight_decay"]),
            is_decoupled=bool(group.get("decoupled_weight_decay", False)),
        )

    def _batch(self) -> tuple[np.ndarray, ...]:
        buffer, size = self.rollout_buffer, self.n_steps * self.n_envs
        matrices = (buffer.observations, buffer.actions)
        vectors = (buffer.log_probs, buffer.values, buffer.advantages, buffer.returns)
        return (
            *(np.ascontiguousarray(array.reshape(size, -1), dtype=np.float32) for array in matrices),
            *(array.reshape(size) for array in vectors),
        )

    def _log(self, figures: list[np.ndarray], update: kernels.Update) -> None:
        every, last = np.concatenate(figures), figures[-1]
        policy_loss, value_loss, entropy_loss, _, clip_fraction = every.mean(axis=0)
        ending = every[-1]
        record, buffer = self.logger.record, self.rollout_buffer
        record("train/entropy_loss", entropy_loss)
        record("train/policy_gradient_loss", policy_loss)
        record("train/value_loss", value_loss)
        record("train/approx_kl", last[:, 3].mean())
        record("train/clip_fraction", clip_fraction)
        record("train/loss", ending[0] + update.ent_coef * ending[2] + update.vf_coef * ending[1])
        record(
            "train/explained_variance", explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        )
        if hasattr(self.policy, "log_std"):
            record("train/std", torch.exp(self.policy.log_std).mean().item())
        record("train/n_updates", self._n_updates, exclude="tensorboard")
        record("train/clip_range", update.clip)
        if self.clip_range_vf is not None:
            record("train/clip_range_vf", update.clip_vf)


def _flat(observations: Any) -> np.ndarray:
    """Return observations as the compiled loops read them: float32 (n, D)."""
    array = np.ascontiguousarray(observations, dtype=np.float32)
    return array.reshape(len(array), -1)


def _store(
    buffer: RolloutBuffer,
    observations: Any,
    actions: np.ndarray,
    rewards: np.ndarray,
    starts: Any,
    values: np.ndarray,
    log_probs: np.ndarray,
) -> None:
    """Do what the buffer's `add` does, for arrays instead of tensors."""
    at = buffer.pos
    buffer.observations[at] = observations
    buffer.actions[at] = actions.reshape(buffer.n_envs, buffer.action_dim)
    buffer.rewards[at], buffer.episode_starts[at] = rewards, starts
    buffer.values[at], buffer.log_probs[at] = values, log_probs
    buffer.pos += 1
    buffer.full = buffer.pos == buffer.buffer_size
