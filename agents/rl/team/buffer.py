"""A rollout of a team: what every specialist did, earned and expected, and what its slice grew by."""

from typing import Any

import numpy as np
from stable_baselines3.common.buffers import RolloutBuffer

OWN = ("own_rewards", "own_values", "own_log_probs", "own_advantages", "own_returns")


class TeamBuffer(RolloutBuffer):
    """Own arrays are float32 (steps, accounts, M) beside the library's observations and actions."""

    own_rewards: np.ndarray
    own_values: np.ndarray
    own_log_probs: np.ndarray
    own_advantages: np.ndarray
    own_returns: np.ndarray
    growths: np.ndarray  # float64, of every slice over the decision

    def reset(self) -> None:
        super().reset()
        size = (self.buffer_size, self.n_envs, self.action_dim)
        for name in OWN:
            setattr(self, name, np.zeros(size, np.float32))
        self.growths = np.ones(size)

    def keep(
        self, observations: Any, actions: np.ndarray, starts: Any, values: np.ndarray, log_probs: np.ndarray,
        rewards: np.ndarray, growths: np.ndarray,
    ) -> None:  # fmt: skip
        """Add one step of all accounts; the specialists' figures are (N, M)."""
        at = self.pos
        self.observations[at], self.actions[at], self.episode_starts[at] = observations, actions, starts
        self.own_values[at], self.own_log_probs[at] = values, log_probs
        self.own_rewards[at], self.growths[at] = rewards, growths
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def estimate(self, last_values: np.ndarray, dones: np.ndarray) -> None:
        """Estimate every specialist's advantages (Schulman et al. 2016, eq. 16) and returns.

        :param last_values: of the observations behind the last step, (N, M); :param dones: bool (N,)
        """
        ahead, goes_on = np.zeros_like(last_values), 1.0 - dones.astype(np.float32)
        following = last_values
        for at in reversed(range(self.buffer_size)):
            keeps = goes_on[:, None]
            error = self.own_rewards[at] + self.gamma * following * keeps - self.own_values[at]
            ahead = error + self.gamma * self.gae_lambda * keeps * ahead
            self.own_advantages[at] = ahead
            following, goes_on = self.own_values[at], 1.0 - self.episode_starts[at]
        self.own_returns = self.own_advantages + self.own_values
