"""Several specialists that share one account: their rules, the single environment, the batched one."""

from agents.envs.team.rules import TeamRules

__all__ = ["TeamRules"]
