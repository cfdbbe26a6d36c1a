"""The batched market in the shape stable-baselines3 expects."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from agents.envs.accounts import TRUNCATED, Accounts
from agents.envs.baskets import BatchedBasket, PackedBasket
from agents.envs.batched import BatchedMarket, PackedMarket
from agents.envs.settings import EnvSettings
from agents.observation import PORTFOLIO
from agents.rl.normalising import ReturnNormaliser


class TradingVecEnv(VecEnv):
    """`BatchedMarket` or `BatchedBasket` as a `VecEnv`: no copies, no subprocesses, Monitor's own figures.

    `infos` of an account whose episode ended hold `terminal_observation`, `TimeLimit.truncated` and `episode`
    (r: sum of rewards, l: decisions); all other infos are one shared empty dict.

    `device` is where the learner computes.

    With `normaliser` the learner is given normalised rewards; episode figures and `mean_reward` stay raw.
    """

    device = torch.device("cpu")

    def __init__(
        self,
        market: PackedMarket | PackedBasket,
        settings: EnvSettings,
        n_envs: int,
        seed: int = 0,
        normaliser: ReturnNormaliser | None = None,
    ) -> None:
        self.market = market
        self.batch: Accounts = self._batch(market, settings, n_envs, seed)
        space = gym.spaces.Box(-np.inf, np.inf, (self.batch.observation_size,), np.float32)
        self._nothing: list[dict[str, Any]] = [{}] * n_envs
        self._returns, self._lengths = np.zeros(n_envs), np.zeros(n_envs, np.int64)
        self._actions = np.zeros(n_envs, np.int64)
        self._exposure_at = settings.window * market.features + PORTFOLIO.index("exposure")
        self.normaliser = normaliser
        self.finished: deque[float] = deque(maxlen=0)  # raw returns of the last finished episodes
        self._sum, self._steps = 0.0, 0  # of raw rewards, since `mean_reward` was last asked for
        super().__init__(n_envs, space, self.batch.action.space())

    def _batch(self, market: Any, settings: EnvSettings, n_envs: int, seed: int) -> Accounts:
        kind = BatchedBasket if isinstance(market, PackedBasket) else BatchedMarket
        return kind(market, settings, n_envs, seed)

    def reset(self) -> VecEnvObs:
        """Begin anew; after `seed(s)` with the first starts drawn from s, else with the next ones."""
        self._returns[:], self._lengths[:] = 0.0, 0
        if self.normaliser is not None:
            self.normaliser.restart()
        observations = self.batch.reset(self._seeds[0])
        self._reset_seeds()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        stepped = self.batch.step(self._actions)
        self._returns += stepped.rewards
        self._lengths += 1
        rewards = stepped.rewards
        if self.normaliser is not None:
            self._sum, self._steps = self._sum + float(rewards.mean()), self._steps + 1
            rewards = self.normaliser(rewards, stepped.ends)
        infos = self._nothing.copy()
        for i in np.flatnonzero(stepped.ends) if stepped.ended else ():
            infos[i] = self._ended(int(i), bool(stepped.ends[i] == TRUNCATED))
        return stepped.observations, rewards, stepped.ends > 0, infos

    def remember_episodes(self, count: int) -> None:
        """Keep the raw returns of so many finished episodes in `finished`."""
        self.finished = deque(self.finished, maxlen=count)

    def mean_reward(self) -> float | None:
        """Return the mean raw reward since this was last asked; None where the learner is given raw ones."""
        mean = self._sum / self._steps if self._steps else None
        self._sum, self._steps = 0.0, 0
        return mean

    def _ended(self, i: int, is_truncated: bool) -> dict[str, Any]:
        episode = {"r": float(self._returns[i]), "l": int(self._lengths[i]), "t": 0.0}
        self.finished.append(episode["r"])
        self._returns[i], self._lengths[i] = 0.0, 0
        return {
            "terminal_observation": self.batch.last_observations[i].copy(),
            "TimeLimit.truncated": is_truncated,
            "episode": episode,
        }

    def state(self) -> dict[str, Any]:
        """Return what `set_state` needs to continue exactly; observations included under `observations`."""
        return {
            "batch": self.batch.state(),
            "returns": self._returns.copy(),
            "lengths": self._lengths.copy(),
            "observations": self.batch.observations(),
            "finished": list(self.finished),
            "raw": [self._sum, self._steps],
            "normaliser": None if self.normaliser is None else self.normaliser.state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned. :raises BadInput: if the number of accounts differs"""
        self.batch.set_state(state["batch"])
        self._returns[:], self._lengths[:] = state["returns"], state["lengths"]
        self.finished = deque(state["finished"], maxlen=self.finished.maxlen)
        self._sum, self._steps = state.get("raw", (0.0, 0))
        if self.normaliser is not None:
            self.normaliser.set_state(state["normaliser"])

    def close(self) -> None:
        """Nothing to release: the market is plain memory."""

    def action_masks(self) -> np.ndarray:
        """Return which actions are legal now, bool (N, actions); see `ActionSpec.legal`."""
        exposures = self.batch.observations()[:, self._exposure_at].tolist()
        return np.array([self.batch.action.legal(exposure) for exposure in exposures])

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        value = None if attr_name == "render_mode" else getattr(self, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        raise AttributeError(
            f"accounts of a batched market have no attribute of their own to set: {attr_name}"
        )

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        if method_name == "action_masks":
            masks = self.action_masks()
            return [masks[i] for i in self._get_indices(indices)]
        raise AttributeError(f"accounts of a batched market have no method of their own: {method_name}")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """Say that episode figures are there already, so that nobody wraps a Monitor around."""
        return [wrapper_class.__name__ == "Monitor" for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        return [None] * self.num_envs
