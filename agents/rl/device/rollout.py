"""What one rollout saw, did and earned, kept on the device; observations are put together when read."""

import numpy as np
import torch
from torch import Tensor

from agents.envs.batched import TRUNCATED
from agents.observation import PORTFOLIO
from agents.rl.device.market import DeviceMarket, Moved

SHOWN = 512  # observations that are shown to who asks what was met


class Rollout:
    """`stable_baselines3`'s rollout buffer on a device.

    An observation is a row of the market, which all accounts share, and five numbers: those are kept, so
    that a rollout takes some 80 bytes per decision whatever the window is.

    :param width: numbers of a continuous action; 0 for discrete ones
    """

    def __init__(self, steps: int, market: DeviceMarket, width: int) -> None:
        self.market, self.steps, self.pos = market, steps, 0
        size, device = (steps, market.size), market.device
        action = torch.empty((*size, width) if width else size, device=device)
        self.actions = action if width else action.long()
        self.rows = torch.empty((2, *size), dtype=torch.int32, device=device)  # before, after
        self.portfolios = torch.empty((2, *size, len(PORTFOLIO)), device=device)
        self.values, self.log_probs, self.rewards, self.starts = torch.empty((4, *size), device=device)
        self.advantages, self.returns = torch.empty((2, *size), device=device)
        self.ends = torch.empty(size, dtype=torch.uint8, device=device)

    @property
    def full(self) -> bool:
        return self.pos == self.steps

    @property
    def observations(self) -> np.ndarray:
        """Return some of the observations that were met, float32 (m, D)."""
        places = torch.arange(min(SHOWN, self.pos * self.market.size), device=self.market.device)
        return self.observed(places).cpu().numpy()

    def keep(self, actions: Tensor, values: Tensor, log_probs: Tensor, starts: Tensor) -> None:
        """Note what is seen now and done about it."""
        at = self.pos
        self.rows[0, at], self.portfolios[0, at] = self.market.at, self.market.portfolios
        self.actions[at], self.values[at], self.log_probs[at] = actions, values, log_probs
        self.starts[at] = starts

    def earn(self, moved: Moved) -> None:
        """Note what came of it; the next decision follows."""
        at = self.pos
        self.rows[1, at], self.portfolios[1, at] = moved.rows, moved.portfolios
        self.rewards[at], self.ends[at] = moved.rewards, moved.ends
        self.pos += 1

    def observed(self, places: Tensor) -> Tensor:
        """Return the observations of samples, numbered step by step: step * accounts + account."""
        return self.market.observed(
            self.rows[0].flatten()[places].long(), self.portfolios[0].flatten(0, 1)[places]
        )

    def cut(self) -> tuple[Tensor, Tensor]:
        """Return (places, observations) of where episodes were cut off, not ended: the market went on."""
        places = (self.ends.flatten() == TRUNCATED).nonzero().flatten()
        last = self.market.observed(
            self.rows[1].flatten()[places].long(), self.portfolios[1].flatten(0, 1)[places]
        )
        return places, last

    def estimate(self, last_values: Tensor, gamma: float, gae_lambda: float) -> None:
        """Estimate advantages (Schulman et al., 2016, eq. 16) and returns."""
        following, alive = last_values, (self.ends[-1] == 0).float()
        gained = torch.zeros_like(last_values)
        for t in range(self.steps - 1, -1, -1):
            delta = self.rewards[t] + gamma * following * alive - self.values[t]
            gained = delta + gamma * gae_lambda * alive * gained
            self.advantages[t] = gained
            following, alive = self.values[t], 1.0 - self.starts[t]
        torch.add(self.advantages, self.values, out=self.returns)
