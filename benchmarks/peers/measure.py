"""Steps per second of other projects' environments, on the same bars and features. Run by their Python.

Usage: PYTHON benchmarks/peers/measure.py DATA.npz SECONDS [--ppo]. DATA holds open, high, low, close,
volume and rows (n, features). Prints one JSON object: name -> steps per second, null with the reason on
stderr where a peer cannot be loaded. Each runs its own rules with fee and slippage as one fee of 0.15 %.
"""

import importlib.util
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

FEE = 0.0015
EPISODE = 1440
PPO_ENVS = 8


def main() -> None:
    warnings.simplefilter("ignore")
    data, seconds = np.load(sys.argv[1]), float(sys.argv[2])
    frame = pd.DataFrame({name: data[name] for name in ("open", "high", "low", "close", "volume")})
    for column, values in enumerate(data["rows"].T):
        frame[f"feature_{column}"] = values
    frame.index = pd.date_range("2024-01-01", periods=len(frame), freq="min")
    if "--ppo" in sys.argv:
        found = {"gym_trading_env_ppo": ppo_fps(frame, seconds)}
    else:
        found = {name: measured(name, make, frame, seconds) for name, make in PEERS.items()}
    sys.stdout.write(json.dumps(found) + "\n")


def measured(name, make, frame, seconds):
    try:
        env, actions = make(frame)
    except Exception as error:
        sys.stderr.write(f"{name}: {type(error).__name__}: {error}\n")
        return None
    env.reset()
    steps, began = 0, time.perf_counter()
    while (past := time.perf_counter() - began) < seconds:
        for action in actions:
            over = env.step(action)[2:4]
            steps += 1
            if any(over):
                env.reset()
    return steps / past


def gym_trading_env(frame):
    from gym_trading_env.environments import TradingEnv

    env = TradingEnv(df=frame, positions=[0, 1], trading_fees=FEE, max_episode_duration=EPISODE, verbose=0)
    return env, np.random.default_rng(1).integers(0, 2, EPISODE).tolist()


def gym_anytrading(frame):
    from gym_anytrading.envs import StocksEnv

    part = frame.rename(columns=str.capitalize).iloc[: EPISODE + 1]
    env = StocksEnv(df=part, window_size=1, frame_bound=(1, len(part)))
    env.trade_fee_bid_percent = env.trade_fee_ask_percent = FEE
    return env, np.random.default_rng(1).integers(0, 2, EPISODE).tolist()


def finrl(frame):
    """One asset over one day: on longer frames it looks through the whole frame at every step."""
    file = next(Path(place) / "finrl" for place in sys.path if (Path(place) / "finrl").is_dir())
    place = file / "meta/env_stock_trading/env_stocktrading.py"  # the package itself imports brokers
    spec = importlib.util.spec_from_file_location("finrl_env", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = [name for name in frame if name.startswith("feature_")]
    part = frame.iloc[:EPISODE].reset_index(names="date").assign(tic="SIM")
    env = module.StockTradingEnv(
        df=part, stock_dim=1, hmax=1, initial_amount=100_000, num_stock_shares=[0], buy_cost_pct=[FEE],
        sell_cost_pct=[FEE], reward_scaling=1e-4, state_space=3 + len(names), action_space=1,
        tech_indicator_list=names, print_verbosity=10**9,
    )  # fmt: skip
    return env, list(np.random.default_rng(1).uniform(-1, 1, (EPISODE, 1)).astype(np.float32))


PEERS = {"gym_trading_env": gym_trading_env, "gym_anytrading": gym_anytrading, "finrl": finrl}


def ppo_fps(frame, seconds):
    """Frames per second of stable-baselines3's PPO at its defaults on a DummyVecEnv of 8, one thread."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv

    torch.set_num_threads(1)
    model = PPO("MlpPolicy", DummyVecEnv([lambda: gym_trading_env(frame)[0]] * PPO_ENVS), verbose=0)
    model.learn(model.n_steps * PPO_ENVS)
    began, rollouts = time.perf_counter(), 0
    while (past := time.perf_counter() - began) < seconds or not rollouts:
        model.learn(model.n_steps * PPO_ENVS, reset_num_timesteps=False)
        rollouts += 1
    return rollouts * model.n_steps * PPO_ENVS / past


if __name__ == "__main__":
    main()
