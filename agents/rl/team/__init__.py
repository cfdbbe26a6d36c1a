"""PPO for a team: each specialist learns from its own reward, an allocator from what their slices earned."""

from agents.rl.team.networks import TeamNetwork
from agents.rl.team.ppo import TeamPPO
from agents.rl.team.vec_env import TeamVecEnv

__all__ = ["TeamNetwork", "TeamPPO", "TeamVecEnv"]
