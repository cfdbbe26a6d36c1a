"""PPO of stable-baselines3 with market, rollout, advantages and update on one device."""

import math
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from agents.rl.device import thinking
from agents.rl.device.rollout import Rollout
from agents.rl.device.vec_env import DeviceVecEnv
from market.errors import BadInput

ROLLOUT, SHUFFLE = 0, 1  # what random numbers are for
NOTHING = np.empty(0, np.float32)
STATS = ("policy", "value", "entropy", "kl", "clipped")


class Clips(NamedTuple):
    """How far one update may go."""

    ratio: float
    value: float | None
    most_kl: float | None


class DevicePPO(PPO):
    """`stable_baselines3.PPO` for a `DeviceVecEnv`: same constructor, callbacks, logged values and `.zip`.

    Rollouts and minibatches stay on the device. The host reads back the figures of a rollout and of an
    update, once each, and with `target_kl` one number per minibatch. Callbacks find `rewards` as a tensor.
    Random numbers depend on the seed, the steps taken and the updates done alone, so that a loaded model
    continues exactly; on the same device the same seed gives the same weights.

    :raises BadInput: for another environment, or state-dependent exploration
    """

    __signature__ = signature(PPO)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._draw_seed: int | None = None
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        if self.env is not None and not isinstance(self.env, DeviceVecEnv):
            raise BadInput(f"PPO on a device needs a market there, not {type(self.env).__name__}", "env")
        if self.use_sde:
            raise BadInput("PPO on a device knows no state-dependent exploration: use plain PPO", "use_sde")
        super()._setup_model()
        if not isinstance(self.policy, ActorCriticPolicy):
            raise BadInput(
                f"PPO on a device knows MlpPolicy only, not {type(self.policy).__name__}", "policy"
            )

    def _maybe_recommend_cpu(self, mlp_class_name: str = "ActorCriticPolicy") -> None:
        """Keep quiet: the library's advice is about transfers, and there are none."""

    def set_random_seed(self, seed: int | None = None) -> None:
        super().set_random_seed(seed)
        if seed is not None:
            self._draw_seed = seed
        elif self._draw_seed is None:
            self._draw_seed = int(np.random.SeedSequence().entropy) % 2**63  # type: ignore[arg-type]

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the rollout as PPO does; False when a callback ended it early."""
        if not isinstance(env, DeviceVecEnv):
            raise BadInput(f"PPO on a device needs a market there, not {type(env).__name__}", "env")
        rollout = self._rollout(env)
        self.policy.set_training_mode(False)
        self._last_obs = NOTHING  # the market holds what is seen
        callback.on_rollout_start()
        rollout.pos = 0
        starts = torch.as_tensor(self._last_episode_starts, device=env.device).float()
        generator = self._generator(ROLLOUT)
        while rollout.pos < n_rollout_steps:
            with torch.no_grad():
                seen = env.batch.observed(env.batch.at, env.batch.portfolios)
                noise = self._noise(env.num_envs, generator)
                actions, values, log_probs = thinking.act(self.policy, seen, noise)
                rollout.keep(actions, values, log_probs, starts)
                moved = env.advance(self._within_bounds(actions))
                rollout.earn(moved)
            rewards, starts = moved.rewards, (moved.ends > 0).float()
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
        self._last_episode_starts = starts  # type: ignore[assignment]  # as a tensor
        with torch.no_grad():
            places, last = rollout.cut()
            rollout.rewards.view(-1)[places] += self.gamma * thinking.values_of(self.policy, last)
            following = thinking.values_of(
                self.policy, env.batch.observed(env.batch.at, env.batch.portfolios)
            )
            rollout.estimate(following, self.gamma, self.gae_lambda)
        assert self.ep_info_buffer is not None, "made by learn"  # noqa: S101  programming error
        self.ep_info_buffer.extend(env.episodes(self.ep_info_buffer.maxlen or 0))
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Update the policy from the rollout as PPO does, and log what PPO logs."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clips, figures = self._clips(), []
        generator = self._generator(SHUFFLE)
        for epoch in range(self.n_epochs):
            found, is_over = self._epoch(self._order(generator), clips)
            figures.append(torch.stack(found))
            self._n_updates += 1
            if is_over:
                if self.verbose >= 1:
                    kl = float(found[-1][STATS.index("kl")])
                    self.logger.info(f"Early stopping at step {epoch}, KL divergence {kl:.2f}")
                break
        self._log(figures, clips)

    def _epoch(self, order: Tensor, clips: Clips) -> tuple[list[Tensor], bool]:
        """Go once through the rollout; return the minibatches' figures and whether KL ended it."""
        figures, optimizer = [], self.policy.optimizer
        for places in order.split(self.batch_size):
            loss, stats = self._loss(places, clips)
            figures.append(stats)
            if clips.most_kl is not None and float(stats[STATS.index("kl")]) > clips.most_kl:
                return figures, True
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            optimizer.step()
        return figures, False

    def _loss(self, places: Tensor, clips: Clips) -> tuple[Tensor, Tensor]:
        """Return the loss of one minibatch and its figures, see `STATS`."""
        rollout: Any = self.rollout_buffer  # a `Rollout`
        seen, actions = rollout.observed(places), rollout.actions.flatten(0, 1)[places]
        old_values, returns = (array.flatten()[places] for array in (rollout.values, rollout.returns))
        old_logs, gains = (array.flatten()[places] for array in (rollout.log_probs, rollout.advantages))
        if self.normalize_advantage and len(places) > 1:
            gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        values, log_probs, entropies = thinking.judge(self.policy, seen, actions)
        log_ratio = log_probs - old_logs
        ratio = log_ratio.exp()
        held = ratio.clamp(1 - clips.ratio, 1 + clips.ratio)
        policy_loss = -torch.min(gains * ratio, gains * held).mean()
        if clips.value is not None:
            values = old_values + (values - old_values).clamp(-clips.value, clips.value)
        value_loss, entropy_loss = nn.functional.mse_loss(returns, values), -entropies.mean()
        loss = policy_loss + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        with torch.no_grad():
            kl = ((ratio - 1) - log_ratio).mean()
            clipped = ((ratio - 1).abs() > clips.ratio).float().mean()
            stats = torch.stack([policy_loss, value_loss, entropy_loss, kl, clipped])
        return loss, stats

    def _rollout(self, env: DeviceVecEnv) -> Rollout:
        """Return room for a rollout in this market, in the place of the library's buffer."""
        buffer: Any = self.rollout_buffer
        if not isinstance(buffer, Rollout) or buffer.market is not env.batch:
            shape = None if isinstance(self.action_space, spaces.Discrete) else self.action_space.shape
            buffer = Rollout(self.n_steps, env.batch, 0 if shape is None else math.prod(shape))
            self.rollout_buffer = buffer
        return buffer

    def _noise(self, accounts: int, generator: torch.Generator) -> Tensor:
        """Return the random numbers of one step, float32 (accounts, K)."""
        if isinstance(self.action_space, spaces.Discrete):
            return torch.rand((accounts, 1), generator=generator, device=self.device)
        size = int(np.prod(self.action_space.shape))  # type: ignore[arg-type]
        return torch.randn((accounts, size), generator=generator, device=self.device)

    def _order(self, generator: torch.Generator) -> Tensor:
        """Return one epoch's order of the rollout's samples, numbered step by step: step * envs + env."""
        return torch.randperm(self.n_steps * self.n_envs, generator=generator, device=self.device)

    def _generator(self, purpose: int) -> torch.Generator:
        key = (self._draw_seed or 0, purpose, self._n_updates, self.num_timesteps)
        seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) % 2**63
        return torch.Generator(self.device).manual_seed(seed)

    def _within_bounds(self, actions: Tensor) -> Tensor:
        return actions.clamp(-1.0, 1.0) if isinstance(self.action_space, spaces.Box) else actions

    def _clips(self) -> Clips:
        left = self._current_progress_remaining
        return Clips(
            float(self.clip_range(left)),  # type: ignore[operator]  # a schedule after _setup_model
            None if self.clip_range_vf is None else float(self.clip_range_vf(left)),  # type: ignore[operator]
            None if self.target_kl is None else 1.5 * self.target_kl,
        )

    def _log(self, figures: list[Tensor], clips: Clips) -> None:
        """Log the update's figures; here they leave the device, all at once."""
        rollout: Any = self.rollout_buffer
        every = torch.cat(figures)
        explained = 1 - (rollout.returns - rollout.values).var() / rollout.returns.var()
        deviation = self.policy.log_std.exp().mean() if thinking.is_gaussian(self.policy) else explained
        read = torch.cat([every.mean(0), every[-1], figures[-1].mean(0), torch.stack([explained, deviation])])
        mean, ending, last = (dict(zip(STATS, part, strict=True)) for part in read[:15].view(3, 5).tolist())
        explained_variance, std = read[15:].tolist()
        record = self.logger.record
        record("train/entropy_loss", mean["entropy"])
        record("train/policy_gradient_loss", mean["policy"])
        record("train/value_loss", mean["value"])
        record("train/approx_kl", last["kl"])
        record("train/clip_fraction", mean["clipped"])
        weighted = self.ent_coef * ending["entropy"] + self.vf_coef * ending["value"]
        record("train/loss", ending["policy"] + weighted)
        record("train/explained_variance", explained_variance)
        if thinking.is_gaussian(self.policy):
            record("train/std", std)
        record("train/n_updates", self._n_updates, exclude="tensorboard")
        record("train/clip_range", clips.ratio)
        if clips.value is not None:
            record("train/clip_range_vf", clips.value)
