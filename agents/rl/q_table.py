"""Tabular Q-learning (Watkins 1989) over binned features: no network, nothing hidden, seconds to train."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy

from agents.policies.table import strides_of


class TablePolicy(BasePolicy):
    """Values of the actions per combination of bins, as `agents.policies.table.Table` describes them."""

    columns: torch.Tensor
    edges: torch.Tensor
    sizes: torch.Tensor
    strides: torch.Tensor
    table: torch.Tensor

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Discrete,
        lr_schedule: Any,
        columns: list[int],
        bounds: list[list[float]],
        **others: Any,
    ) -> None:
        """:param bounds: between the bins of each column, increasing"""
        super().__init__(observation_space, action_space, **others)
        sizes = np.array([len(own) + 1 for own in bounds], dtype=np.int64)
        edges = np.full((len(bounds), max(len(own) for own in bounds)), np.inf, dtype=np.float32)
        for row, own in zip(edges, bounds, strict=True):
            row[: len(own)] = own
        self._bins = {"columns": columns, "bounds": bounds}
        self.register_buffer("columns", torch.tensor(columns))
        self.register_buffer("edges", torch.from_numpy(edges))
        self.register_buffer("sizes", torch.from_numpy(sizes))
        self.register_buffer("strides", torch.from_numpy(strides_of(sizes).copy()))
        self.register_buffer("table", torch.zeros(int(sizes.prod()), int(action_space.n)))

    def states(self, observations: torch.Tensor) -> torch.Tensor:
        """Return which row of the table each observation falls on: (n, dim) -> (n,)."""
        bins = (observations[:, self.columns].unsqueeze(-1) > self.edges).sum(dim=-1)  # (n, C)
        return (bins * self.strides).sum(dim=-1)

    def values(self, observations: torch.Tensor) -> torch.Tensor:
        return self.table[self.states(observations)]

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self._predict(observations)

    def _predict(self, observation: Any, deterministic: bool = True) -> torch.Tensor:
        return self.values(observation).argmax(dim=1)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        given = super()._get_constructor_parameters()
        return {name: given[name] for name in ("observation_space", "action_space")} | {
            "lr_schedule": None, **self._bins,
        }  # fmt: skip


class QTable(BaseAlgorithm):
    """Steps every account, then moves the values of what was done towards reward and best value ahead.

    Exploration falls linearly over `exploration_share` of the run. Random numbers depend on the seed and the
    decisions taken alone, so that a loaded table continues exactly.
    """

    policy: TablePolicy

    def __init__(
        self,
        policy: type[TablePolicy],
        env: Any,
        learning_rate: float = 0.1,
        n_steps: int = 64,
        gamma: float = 0.99,
        exploration_start: float = 1.0,
        exploration_end: float = 0.05,
        exploration_share: float = 0.5,
        _init_setup_model: bool = True,
        **others: Any,
    ) -> None:
        kinds = (spaces.Discrete,)
        super().__init__(
            policy, env, learning_rate, support_multi_env=True, supported_action_spaces=kinds, **others
        )
        self.n_steps, self.gamma = n_steps, gamma
        self.exploration_start, self.exploration_end = exploration_start, exploration_end
        self.exploration_share, self.exploration_rate = exploration_share, exploration_start
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        )

    def learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int = 1,
        tb_log_name: str = "QTable",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> "QTable":
        """Learn until `total_timesteps` decisions were taken."""
        total, heard = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        heard.on_training_start(locals(), globals())
        while self.num_timesteps < total and self._round(heard, total):
            pass
        heard.on_training_end()
        return self

    def _round(self, callback: BaseCallback, total: int) -> bool:
        """Take `n_steps` decisions in every account; False when a callback ended it early."""
        callback.on_rollout_start()
        self.logger.dump(self.num_timesteps)
        chance = np.random.Generator(np.random.PCG64((self.seed or 0, self.num_timesteps)))
        errors = []
        for _ in range(self.n_steps):
            self._update_current_progress_remaining(self.num_timesteps, total)
            done = (1.0 - self._current_progress_remaining) / self.exploration_share
            span = self.exploration_end - self.exploration_start
            self.exploration_rate = self.exploration_start + min(done, 1.0) * span
            states = self._states(self._last_obs)
            actions = self._explored(states, chance)
            assert self.env is not None, "given at construction"  # noqa: S101  programming error
            new_obs, rewards, dones, infos = self.env.step(actions)
            self.num_timesteps += self.n_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            errors.append(
                self._learned(states, actions, rewards, self._next(new_obs, dones, infos), infos, dones)
            )
            self._last_obs = new_obs  # type: ignore[assignment]  # the library allows dicts, we do not
            self._last_episode_starts = dones
        self.logger.record("rollout/exploration_rate", self.exploration_rate)
        self.logger.record("train/loss", float(np.mean(errors)))
        self._n_updates += self.n_steps
        callback.on_rollout_end()
        return True

    def _states(self, observations: Any) -> np.ndarray:
        return self.policy.states(torch.as_tensor(observations)).numpy()

    def _explored(self, states: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        values = self.policy.table.numpy()
        best = values[states].argmax(axis=1)
        drawn = chance.integers(values.shape[1], size=len(states))
        return np.where(chance.random(len(states)) < self.exploration_rate, drawn, best)

    def _next(self, new_obs: Any, dones: np.ndarray, infos: list[dict[str, Any]]) -> np.ndarray:
        """Return the states that the decisions led to, the last ones of ended episodes included."""
        ahead = np.array(new_obs)
        for i in np.flatnonzero(dones):
            ahead[i] = infos[i]["terminal_observation"]
        return self._states(ahead)

    def _learned(
        self,
        states: np.ndarray,
        actions: np.ndarray,
        rewards: np.ndarray,
        ahead: np.ndarray,
        infos: list[dict[str, Any]],
        dones: np.ndarray,
    ) -> float:
        """Move the table, by the mean of accounts that did the same. Return the mean squared error."""
        values = self.policy.table.numpy()  # the same memory
        lost = np.array(
            [done and not infos[i].get("TimeLimit.truncated", False) for i, done in enumerate(dones)]
        )
        wanted = rewards + self.gamma * np.where(lost, 0.0, values[ahead].max(axis=1))
        errors = wanted - values[states, actions]
        places, where = np.unique(states * values.shape[1] + actions, return_inverse=True)
        means = np.bincount(where, weights=errors) / np.bincount(where)
        values.reshape(-1)[places] += (self.lr_schedule(self._current_progress_remaining) * means).astype(
            np.float32
        )
        return float(np.mean(np.square(errors)))

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy"], []
