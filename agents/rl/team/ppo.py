"""PPO (Schulman et al. 2017) of independent learners that share one account.

Every specialist maximises its own discounted reward by PPO's clipped objective; of the others it sees only
what they do to the account. The allocator ascends the account's log growth directly: over one decision it is
log(sum_i w_i g_i) with g_i the growth of slice i, so its gradient in the weights w is exact for the slices as
they were traded (what other weights would have changed in their costs, and later, is not in it).
"""

from typing import Any, cast

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv
from torch import nn
from torch.distributions import Categorical

from agents.rl.team.buffer import TeamBuffer
from agents.rl.team.networks import TeamNetwork
from agents.rl.team.vec_env import TeamVecEnv

LEAST = 1e-8


class TeamPPO(PPO):
    """`stable_baselines3.PPO` with one actor, critic, reward and advantage per specialist.

    :param allocator_entropy: worth of the entropy of learned weights, in units of the spread of slice growths
    """

    policy_aliases = {}
    policy: TeamNetwork  # type: ignore[assignment]  # an actor and critic for each
    rollout_buffer: TeamBuffer

    def __init__(self, *args: Any, allocator_entropy: float = 0.01, **kwargs: Any) -> None:
        self.allocator_entropy = allocator_entropy
        super().__init__(*args, **{**kwargs, "rollout_buffer_class": TeamBuffer, "device": "cpu"})

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer; False when a callback ended it early."""
        market, buffer = cast(TeamVecEnv, env).batch, cast(TeamBuffer, rollout_buffer)
        self.policy.set_training_mode(False)
        buffer.reset()
        callback.on_rollout_start()
        for _ in range(n_rollout_steps):
            actions, log_probs, values, weights = self._decided()
            market.weigh(weights)
            new_obs, rewards, dones, infos = env.step(actions)
            own_rewards, growths = market.own_rewards, market.growths
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            self._bootstrap(own_rewards, dones, infos)
            buffer.keep(
                self._last_obs, actions, self._last_episode_starts, values, log_probs, own_rewards, growths
            )
            self._last_obs = new_obs  # type: ignore[assignment]  # the library allows dicts, we do not
            self._last_episode_starts = dones
        buffer.estimate(self._valued(new_obs), dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    @torch.no_grad()
    def _decided(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return proposals, their log probabilities, values and weights, (N, M) each, for the present."""
        spoken = self.policy.speak(torch.as_tensor(self._last_obs))
        chances = Categorical(logits=spoken.logits)
        actions = chances.sample()
        made = (actions, chances.log_prob(actions), spoken.values)
        return (*(part.numpy().T for part in made), self.policy.weigh(spoken.scores).numpy())  # type: ignore[return-value]

    @torch.no_grad()
    def _valued(self, observations: Any) -> np.ndarray:
        return self.policy.speak(torch.as_tensor(observations)).values.numpy().T

    def _bootstrap(self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]) -> None:
        """Add the values of where an episode was cut off to the specialists' rewards."""
        cut = [int(i) for i in np.flatnonzero(dones) if infos[i].get("TimeLimit.truncated", False)]
        if cut:
            last = np.stack([infos[i]["terminal_observation"] for i in cut])
            rewards[cut] += self.gamma * self._valued(last)

    def train(self) -> None:
        """Update everybody from the rollout."""
        self.policy.set_training_mode(True)
        left = self._current_progress_remaining
        self.policy.optimizer.param_groups[0]["lr"] = self.lr_schedule(left)
        clip = float(self.clip_range(left))  # type: ignore[operator]  # a schedule after _setup_model
        batch, figures, is_over = _batch(self.rollout_buffer), [], False
        for _ in range(self.n_epochs):
            order = torch.from_numpy(np.random.permutation(len(batch["observations"])))
            for at in range(0, len(order), self.batch_size):
                found = self._learned(
                    {name: part[order[at : at + self.batch_size]] for name, part in batch.items()}, clip
                )
                figures.append(found)
                is_over = self.target_kl is not None and found["approx_kl"] > 1.5 * self.target_kl
                if is_over:
                    break
            self._n_updates += 1
            if is_over:
                break
        self._log(figures, clip)

    def _learned(self, batch: dict[str, torch.Tensor], clip: float) -> dict[str, float]:
        """Take one step of everybody on a minibatch; parts of it are (B, M)."""
        spoken = self.policy.speak(batch["observations"])
        chances = Categorical(logits=spoken.logits.transpose(0, 1))  # (B, M, actions)
        log_probs, values = chances.log_prob(batch["actions"]), spoken.values.T
        moved = log_probs - batch["log_probs"]
        ratio, advantages = torch.exp(moved), _standard(batch["advantages"])
        gains = torch.min(advantages * ratio, advantages * torch.clamp(ratio, 1 - clip, 1 + clip))
        policy_loss, entropy = -gains.mean(dim=0), chances.entropy().mean(dim=0)  # (M,)
        value_loss = torch.square(batch["returns"] - values).mean(dim=0)
        loss = (policy_loss + self.vf_coef * value_loss - self.ent_coef * entropy).sum()
        if self.policy.allocator is not None:
            loss = loss + self._misallocated(spoken.scores, batch["growths"])
        self.policy.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clip_each(self.policy.spoken_weights(), self.max_grad_norm)
        if self.policy.allocator is not None:
            clip_each(list(self.policy.allocator.parameters()), self.max_grad_norm)
        self.policy.optimizer.step()
        with torch.no_grad():
            return {
                "policy_gradient_loss": float(policy_loss.mean()),
                "value_loss": float(value_loss.mean()),
                "entropy_loss": -float(entropy.mean()),
                "approx_kl": float(((ratio - 1) - moved).mean()),
                "clip_fraction": float((torch.abs(ratio - 1) > clip).float().mean()),
                "loss": float(loss),
            }

    def _misallocated(self, scores: torch.Tensor, growths: torch.Tensor) -> torch.Tensor:
        """Return what the allocator minimises: minus the log growth, in units of what slices differ by."""
        weights = torch.softmax(scores, dim=1)
        growth = torch.log((weights * growths).sum(dim=1)).mean()
        entropy = -(weights * torch.log_softmax(scores, dim=1)).sum(dim=1).mean()
        spread = torch.log(growths).std(dim=1).square().mean().sqrt() + LEAST
        return -growth / spread - self.allocator_entropy * entropy

    def _log(self, figures: list[dict[str, float]], clip: float) -> None:
        for name in figures[0]:
            self.logger.record(f"train/{name}", float(np.mean([found[name] for found in figures])))
        buffer, names = self.rollout_buffer, self.policy.names
        explained = [
            explained_variance(buffer.own_values[..., m].flatten(), buffer.own_returns[..., m].flatten())
            for m in range(len(names))
        ]
        self.logger.record("train/explained_variance", float(np.mean(explained)))
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip)
        for name, weight, reward in zip(
            names, self._mean_weights(), buffer.own_rewards.mean(axis=(0, 1)), strict=True
        ):
            self.logger.record(f"team/weight_{name}", float(weight))
            self.logger.record(f"team/reward_{name}", float(reward))

    @torch.no_grad()
    def _mean_weights(self) -> np.ndarray:
        """Return the mean weights over the rollout's observations, as they are after the update."""
        seen = torch.as_tensor(self.rollout_buffer.observations).flatten(0, 1)
        return self.policy.weigh(self.policy.scores(seen)).mean(dim=0).numpy()


def _batch(buffer: TeamBuffer) -> dict[str, torch.Tensor]:
    """Return a rollout as tensors of (steps * accounts, ...)."""
    parts = {
        "observations": buffer.observations, "actions": buffer.actions, "log_probs": buffer.own_log_probs,
        "advantages": buffer.own_advantages, "returns": buffer.own_returns, "growths": buffer.growths,
    }  # fmt: skip
    flat = {name: np.ascontiguousarray(part, np.float32) for name, part in parts.items()}
    return {name: torch.from_numpy(part).flatten(0, 1) for name, part in flat.items()}


def _standard(advantages: torch.Tensor) -> torch.Tensor:
    """Return advantages (B, M) in deviations of each specialist's own, about their mean."""
    return (advantages - advantages.mean(dim=0)) / (advantages.std(dim=0) + LEAST)


def clip_each(parameters: list[nn.Parameter], most: float) -> None:
    """Cut the gradients of towers side by side, (G, ...), to a norm of each tower's own."""
    grads = [own.grad for own in parameters if own.grad is not None]
    if not grads:
        return
    squares = torch.stack([grad.flatten(1).square().sum(dim=1) for grad in grads]).sum(dim=0)  # (G,)
    share = torch.clamp(most / (squares.sqrt() + 1e-6), max=1.0)
    for grad in grads:
        grad.mul_(share.view(-1, *[1] * (grad.dim() - 1)))
