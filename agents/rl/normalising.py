"""Rewards in units of what returns deviate by: the learner's scale follows the market's by itself.

For learning only: validation, backtests and live sessions see no rewards, so nothing here is asked for at
decision time. The deviation is kept with the run's checkpoint and in the model's card.
"""

from typing import Any

import numpy as np

LIMIT = 10.0  # of a normalised reward
LEAST = 1e-8  # added to the variance


class ReturnNormaliser:
    """Divide rewards by the running deviation of their discounted sums, as SB3's `VecNormalize` does."""

    def __init__(self, accounts: int, gamma: float) -> None:
        self.gamma = gamma
        self._returns = np.zeros(accounts)  # discounted sums of the episodes under way
        self._count, self._mean, self._variance = 1e-4, 0.0, 1.0

    def __call__(self, rewards: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return the rewards of one step, float32 (N,), normalised; `ends` is above 0 after a last one."""
        self._returns = self._returns * self.gamma + rewards
        self._see(self._returns)
        self._returns[ends > 0] = 0.0
        return np.clip(rewards / self.deviation, -LIMIT, LIMIT).astype(np.float32)

    @property
    def deviation(self) -> float:
        """Return what rewards are divided by now, in units of the raw reward."""
        return float(np.sqrt(self._variance + LEAST))

    def _see(self, values: np.ndarray) -> None:
        """Merge the moments of a sample into the running ones (Chan et al. 1979)."""
        count, mean, variance = len(values), float(np.mean(values)), float(np.var(values))
        total, change = self._count + count, mean - self._mean
        squares = self._variance * self._count + variance * count
        squares += change * change * self._count * count / total
        self._mean += change * count / total
        self._variance, self._count = squares / total, total

    def restart(self) -> None:
        """Begin every account's sum anew; what is known of their spread stays."""
        self._returns[:] = 0.0

    def state(self) -> dict[str, Any]:
        """Return what `set_state` needs to continue exactly."""
        return {"returns": self._returns.copy(), **self.facts()}

    def set_state(self, state: dict[str, Any]) -> None:
        self._returns = np.array(state["returns"])
        self._count, self._mean, self._variance = state["count"], state["mean"], state["variance"]

    def facts(self) -> dict[str, float]:
        """Return the statistics as a model's card holds them."""
        return {"count": self._count, "mean": self._mean, "variance": self._variance}
