"""`agents.rl.normalising` as tensors: the same statistics, kept where the rewards are."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.rl.normalising import LEAST, LIMIT, ReturnNormaliser


class DeviceNormaliser(ReturnNormaliser):
    """Divide rewards by the running deviation of their discounted sums, without a transfer."""

    def __init__(self, accounts: int, gamma: float, device: torch.device) -> None:
        super().__init__(accounts, gamma)
        self._sums = torch.zeros(accounts, dtype=torch.float64, device=device)
        self._means = torch.zeros((), dtype=torch.float64, device=device)
        self._variances = torch.ones((), dtype=torch.float64, device=device)

    def normalised(self, rewards: Tensor, is_over: Tensor) -> Tensor:
        """Return the rewards of one step, float32 (N,), normalised; `is_over` is true after a last one."""
        self._sums = self._sums * self.gamma + rewards
        count, mean = len(rewards), self._sums.mean()
        total, change = self._count + count, mean - self._means
        squares = self._variances * self._count + self._sums.var(correction=0) * count
        squares = squares + change * change * (self._count * count / total)
        self._means = self._means + change * (count / total)
        self._variances, self._count = squares / total, total
        self._sums = torch.where(is_over, 0.0, self._sums)
        return (rewards / (self._variances + LEAST).sqrt()).clamp(-LIMIT, LIMIT).float()

    def __call__(self, rewards: np.ndarray, ends: np.ndarray) -> np.ndarray:
        device = self._sums.device
        given = torch.as_tensor(rewards, device=device), torch.as_tensor(ends > 0, device=device)
        return self.normalised(*given).cpu().numpy()

    @property
    def deviation(self) -> float:
        return float((self._variances + LEAST).sqrt())

    def restart(self) -> None:
        self._sums = torch.zeros_like(self._sums)

    def state(self) -> dict[str, Any]:
        return {"returns": self._sums.clone(), **self.facts()}

    def set_state(self, state: dict[str, Any]) -> None:
        self._sums = state["returns"].to(self._sums.device).clone()
        self._count = state["count"]
        self._means = torch.full_like(self._means, state["mean"])
        self._variances = torch.full_like(self._variances, state["variance"])

    def facts(self) -> dict[str, float]:
        return {"count": self._count, "mean": float(self._means), "variance": float(self._variances)}
