"""Ready-made settings to start from."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # Steps of exposure instead of all or nothing: after so little training the agent still trades visibly.
    "demo": {
        "steps": 204_800,
        "features": "core",
        "action": {"kind": "levels", "levels": [0.0, 0.25, 0.5, 0.75, 1.0]},
        "episode_bars": 720,
        "decision_every": 5,
        "validation_share": 0.1,
        "trading": {"slippage": 0.0, "half_spread": 0.0001},
        "ppo": {"n_envs": 64, "n_steps": 128, "batch_size": 1024, "epochs": 6, "ent_coef": 0.01},
    },
    "default-1m": {
        "interval": "1m",
        "steps": 3_000_000,
        "features": "swing",
        "scaler": "standard",
        "episode_bars": 4320,
        "decision_every": 15,
        "reward": {"scale": 1000.0},
        "averaging": 0.98,
        "keep": "last",
        "test_share": 0.15,
        "ppo": {"n_envs": 64, "n_steps": 256, "batch_size": 1024, "epochs": 10, "gamma": 0.995},
    },
    # Eight steps of exposure over 38 numbers: the agent chooses how much, not only whether.
    "levels8-1m": {
        "interval": "1m",
        "steps": 3_000_000,
        "features": "wide",
        "scaler": "standard",
        "action": {"kind": "levels", "levels": [0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0], "band": 0.05},
        "episode_bars": 4320,
        "decision_every": 15,
        "reward": {"scale": 1000.0},
        "averaging": 0.98,
        "keep": "last",
        "test_share": 0.15,
        "ppo": {"n_envs": 64, "n_steps": 256, "batch_size": 1024, "epochs": 10, "gamma": 0.995},
    },
    "default-1h": {
        "interval": "1h",
        "steps": 1_000_000,
        "features": "core",
        "episode_bars": 720,
        "decision_every": 1,
        "bars_scale": 24.0,
        "reward": {"scale": 100.0},
        "test_share": 0.15,
        "ppo": {"n_envs": 32, "n_steps": 256, "batch_size": 512, "epochs": 10, "gamma": 0.98},
    },
}
