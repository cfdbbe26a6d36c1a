"""The market of tensors in the shape that stable-baselines3 expects; episode figures stay with it."""

from typing import Any

import torch
from torch import Tensor

from agents.envs.batched import PackedMarket
from agents.envs.settings import EnvSettings
from agents.rl.device.market import DeviceMarket, Moved
from agents.rl.device.normalising import DeviceNormaliser
from agents.rl.vec_env import TradingVecEnv


class DeviceVecEnv(TradingVecEnv):
    """`TradingVecEnv` over `DeviceMarket`: any algorithm can step it by arrays, `DevicePPO` by tensors.

    What `advance` sees of episodes and rewards waits on the device until somebody asks.
    """

    batch: DeviceMarket
    normaliser: DeviceNormaliser | None

    def __init__(
        self,
        market: PackedMarket,
        settings: EnvSettings,
        n_envs: int,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        super().__init__(market, settings, n_envs, seed)
        self._earned = torch.zeros(n_envs, dtype=torch.float64, device=self.device)
        self._ages = torch.zeros(n_envs, dtype=torch.int64, device=self.device)
        self._finished: list[
            tuple[Tensor, Tensor, Tensor]
        ] = []  # by step: (is over, return, decisions) since asked
        self._raw, self._decided = torch.zeros((), device=self.device), 0

    def _batch(self, market: PackedMarket, settings: EnvSettings, n_envs: int, seed: int) -> DeviceMarket:
        return DeviceMarket(market, settings, n_envs, seed, self.device)

    def normalise(self, gamma: float) -> None:
        """Give the learner normalised rewards from now on."""
        self.normaliser = DeviceNormaliser(self.num_envs, gamma, self.device)

    def advance(self, actions: Tensor) -> Moved:
        """Take one decision per account, see `DeviceMarket.advance`; rewards as the learner wants them."""
        moved = self.batch.advance(actions)
        is_over = moved.ends > 0
        self._earned, self._ages = self._earned + moved.rewards, self._ages + 1
        self._finished.append((is_over, self._earned, self._ages))
        self._earned = torch.where(is_over, 0.0, self._earned)
        self._ages = torch.where(is_over, 0, self._ages)
        if self.normaliser is None:
            return moved
        self._raw, self._decided = self._raw + moved.rewards.mean(), self._decided + 1
        return moved._replace(rewards=self.normaliser.normalised(moved.rewards, is_over))

    def episodes(self, most: int) -> list[dict[str, Any]]:
        """Return the last episodes that `advance` finished since this was asked, as Monitor's figures."""
        if not self._finished:
            return []
        is_over, earned, ages = (torch.stack(column) for column in zip(*self._finished, strict=True))
        self._finished.clear()
        last = is_over.flatten().nonzero().flatten()
        last = last[max(0, len(last) - most) :]
        found = zip(earned.flatten()[last].tolist(), ages.flatten()[last].tolist(), strict=True)
        return [{"r": total, "l": decisions, "t": 0.0} for total, decisions in found]

    def reset(self) -> Any:
        self._earned, self._ages = torch.zeros_like(self._earned), torch.zeros_like(self._ages)
        return super().reset()

    def mean_reward(self) -> float | None:
        if not self._decided:
            return super().mean_reward()
        mean = float(self._raw) / self._decided
        self._raw, self._decided = torch.zeros_like(self._raw), 0
        return mean

    def state(self) -> dict[str, Any]:
        return {
            "batch": self.batch.state(),
            "earned": self._earned.clone(),
            "ages": self._ages.clone(),
            "normaliser": None if self.normaliser is None else self.normaliser.state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.batch.set_state(state["batch"])
        self._earned, self._ages = (state[name].to(self.device).clone() for name in ("earned", "ages"))
        self._finished.clear()
        self._raw, self._decided = torch.zeros_like(self._raw), 0
        if self.normaliser is not None:
            self.normaliser.set_state(state["normaliser"])
