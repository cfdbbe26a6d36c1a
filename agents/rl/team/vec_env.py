"""A team's batched market in the shape stable-baselines3 expects."""

import gymnasium as gym

from agents.envs.batched import PackedMarket
from agents.envs.settings import EnvSettings
from agents.envs.team import TeamRules
from agents.envs.team.batched import TeamMarket
from agents.rl.vec_env import TradingVecEnv


class TeamVecEnv(TradingVecEnv):
    """As `TradingVecEnv`, rewards and episodes of the account; `batch` holds the specialists' rewards."""

    batch: TeamMarket

    def __init__(
        self, market: PackedMarket, settings: EnvSettings, team: TeamRules, n_envs: int, seed: int = 0
    ) -> None:
        """:raises BadInput: for a futures market"""
        super().__init__(market, settings, n_envs, seed)
        self.batch = TeamMarket(market, settings, team, n_envs, seed)
        self.action_space = gym.spaces.MultiDiscrete([len(self.batch.action.names)] * len(team))
