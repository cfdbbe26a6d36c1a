"""The training market of a spec: compiled loops, or tensors on a device."""

import torch

from agents.envs.batched import PackedMarket
from agents.evaluation.data import Prepared, market_of
from agents.rl.device.vec_env import DeviceVecEnv
from agents.rl.normalising import ReturnNormaliser
from agents.rl.team import TeamVecEnv
from agents.rl.vec_env import TradingVecEnv
from agents.spec import TrainingSpec


def training_market(spec: TrainingSpec, prepared: Prepared, device: torch.device | None) -> TradingVecEnv:
    """Return the accounts that learn; with a device they are tensors there."""
    settings, given = spec.env_settings(), spec.learning
    market = market_of(prepared, settings)
    is_normalised = spec.reward.normalise == "returns"
    if device is not None and isinstance(market, PackedMarket):
        tensors = DeviceVecEnv(market, settings, given.n_envs, spec.seed, device)
        if is_normalised:
            tensors.normalise(given.gamma)
        return tensors
    if spec.is_team and isinstance(market, PackedMarket):
        return TeamVecEnv(market, settings, spec.team.rules(spec.reward.decay), given.n_envs, spec.seed)
    env = TradingVecEnv(market, settings, given.n_envs, spec.seed)
    if is_normalised:
        env.normaliser = ReturnNormaliser(given.n_envs, given.gamma)
    return env
