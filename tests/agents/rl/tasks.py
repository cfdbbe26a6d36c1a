"""A market that anybody can predict, and what each algorithm is given to find it out."""

from agents.spec import KNOWN, TrainingSpec
from agents.spec.effect import TABLES

BASE = {
    "features": "price",
    "episode_bars": 100,
    "validation_share": 0.2,
    "seed": 3,
    "network": {"net_arch": [16, 16]},
    "validate_every": 10_000,
    "checkpoint_every": 1_000_000,
    "keep": "last",
}
ON_POLICY = {"n_envs": 32, "n_steps": 64, "gamma": 0.95}
REPLAY = {
    "n_envs": 16, "gamma": 0.9, "lr": 0.002, "learning_starts": 512, "buffer_size": 10_000,
    "batch_size": 128, "train_every": 2, "gradient_steps": 2,
}  # fmt: skip
TASKS = {  # steps, and the algorithm's own settings
    "ppo": (8_192, {**ON_POLICY, "lr": 0.003, "batch_size": 512, "epochs": 6}),
    "fast_ppo": (8_192, {**ON_POLICY, "lr": 0.003, "batch_size": 512, "epochs": 6}),
    "a2c": (12_000, {"n_envs": 32, "n_steps": 8, "gamma": 0.9, "lr": 0.004}),
    "dqn": (10_000, {**REPLAY, "target_update": 512, "exploration_share": 0.4}),
    "maskable_ppo": (8_192, {**ON_POLICY, "lr": 0.003, "batch_size": 512, "epochs": 6}),
    "recurrent_ppo": (8_192, {**ON_POLICY, "lr": 0.005, "batch_size": 512, "epochs": 6}),
    "trpo": (12_000, {**ON_POLICY, "n_steps": 32, "batch_size": 512, "target_kl": 0.05}),
    "reinforce": (16_000, {"n_envs": 32, "n_steps": 16, "gamma": 0.9, "lr": 0.02}),
    "q_table": (40_000, {"n_steps": 64, "gamma": 0.9}),
    "qr_dqn": (10_000, {**REPLAY, "target_update": 512, "exploration_share": 0.4}),
    "tqc": (7_000, REPLAY),
    "sac": (8_000, REPLAY),
    "td3": (10_000, REPLAY),
    "team_ppo": (12_288, {**ON_POLICY, "lr": 0.005, "batch_size": 512, "epochs": 6}),
}


def spec_for(algorithm, *, steps=None, **changes):
    """Return the spec of an algorithm's task."""
    budget, own = TASKS[algorithm]
    section = KNOWN[algorithm].sections[0]
    action = {"kind": KNOWN[algorithm].actions[0]}
    shared = {name: value for name, value in BASE.items() if algorithm not in TABLES or name != "network"}
    return TrainingSpec.parse(
        {
            **shared,
            "algorithm": algorithm,
            "steps": steps or budget,
            "action": action,
            section: own,
            **changes,
        }
    )
