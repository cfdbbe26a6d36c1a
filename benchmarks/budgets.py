"""What each algorithm is given to learn the easy planted market: decisions, and settings over `default-1m`.

Slow ones are given fewer decisions. Horizons are 50 decisions (half a day) and rollouts short, so that so few
decisions still make many updates; everything else is the preset's or the algorithm's own default.
"""

from typing import Any, NamedTuple

MARKET = "hours-easy"
TEST_BARS = 120 * 1440  # of the fresh path


class Budget(NamedTuple):
    steps: int
    own: dict[str, Any]  # the algorithm's section
    rest: dict[str, Any] = {}


ROLLOUTS = {"n_steps": 32, "gamma": 0.98}
PPO = {**ROLLOUTS, "batch_size": 512, "epochs": 6, "lr": 0.001, "gae_lambda": 0.95}
REPLAY = {"gamma": 0.98, "lr": 0.001, "buffer_size": 50_000, "learning_starts": 2_000}
# The test is a path of its own. Reward and costs are the plain ones, not the preset's.
COMMON: dict[str, Any] = {
    "averaging": 0.9, "test_share": 0.0, "reward": {"terms": {}}, "curriculum": {"costs_from": 1.0}
}  # fmt: skip
# With tanh a deterministic actor (TD3's) is driven to one end before it has seen anything.
CONTINUOUS = {"action": {"kind": "continuous", "band": 0.1}, "network": {"activation": "relu"}}
BUDGETS: dict[str, Budget] = {
    "ppo": Budget(150_000, PPO),
    "fast_ppo": Budget(150_000, PPO),
    "maskable_ppo": Budget(150_000, PPO),
    "team_ppo": Budget(150_000, PPO),
    "recurrent_ppo": Budget(60_000, PPO),
    "a2c": Budget(200_000, {"n_steps": 16, "gamma": 0.98}),
    "trpo": Budget(150_000, {**ROLLOUTS}),
    "reinforce": Budget(200_000, {**ROLLOUTS}),
    "q_table": Budget(400_000, {"gamma": 0.98, "columns": ["day_sin", "day_cos"], "bins": 8}),
    "dqn": Budget(80_000, {**REPLAY, "target_update": 2_000}),
    "qr_dqn": Budget(80_000, {**REPLAY, "target_update": 2_000}),
    "sac": Budget(40_000, REPLAY, CONTINUOUS),
    "td3": Budget(40_000, REPLAY, CONTINUOUS),
    "tqc": Budget(40_000, REPLAY, CONTINUOUS),
}


def spec_of(algorithm: str, seed: int, steps: int = 0) -> Any:
    """Return the spec of an algorithm's budget. :param steps: other decisions than its own"""
    from agents.spec import KNOWN, TrainingSpec, over_preset

    budget = BUDGETS[algorithm]
    steps = steps or budget.steps
    chosen = {
        **COMMON,
        **budget.rest,
        "algorithm": algorithm,
        "seed": seed,
        "steps": steps,
        "validate_every": steps,
        KNOWN[algorithm].sections[0]: budget.own,
    }
    return TrainingSpec.parse(over_preset("default-1m", chosen))
