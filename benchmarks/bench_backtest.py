"""How fast a backtest runs, bar by bar, through the decision path that live sessions take."""

import statistics
import time
from typing import Any

import numpy as np

from agents.backtest import simulate
from agents.decide import Decider
from agents.envs.settings import EnvSettings
from agents.policies import Policy, baseline
from agents.policies.network import Network
from agents.policies.port import ObservationNeeds
from agents.policies.trained import NetworkPolicy
from agents.spaces import ActionSpec
from market.candles import Candles
from market.features import PRESETS, Scaler, compute
from market.synthetic import regime_market


def run(bars: int | str = 100_000, repeat: int | str = 3) -> dict[str, Any]:
    """Return medians, features computed beforehand; costs, stop-loss and take-profit on.

    `bars_per_s_signals`: the SMA crossover rule; `bars_per_s_policy`: a 64x64 network with the core features.
    """
    candles = regime_market(int(bars), 7)
    rule, network = baseline("sma_crossover"), _network_policy(candles)
    return {
        "bars_per_s_signals": _bars_per_s(rule, candles, int(repeat)),
        "bars_per_s_policy": _bars_per_s(network, candles, int(repeat)),
        "bars": int(bars),
    }


def _bars_per_s(policy: Policy, candles: Candles, repeat: int) -> float:
    rows = compute(candles, policy.observation.feature_set)
    settings, took = EnvSettings(stop_loss=0.02, take_profit=0.03), []
    for _ in range(repeat):
        began = time.perf_counter()
        simulate(candles, rows, Decider(policy), settings, first=0)
        took.append(time.perf_counter() - began)
    return len(candles) / statistics.median(took)


def _network_policy(candles: Candles) -> NetworkPolicy:
    rng, feature_set = np.random.default_rng(1), PRESETS["core"]
    rows = compute(candles, feature_set)[feature_set.warmup :]
    sizes = (len(feature_set) + 5, 64, 64)

    def tower(outputs: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        shapes = zip(sizes, (*sizes[1:], outputs), strict=True)
        return tuple(
            (rng.normal(0, 0.2, shape).astype(np.float32), np.zeros(shape[1], np.float32)) for shape in shapes
        )

    network = Network(tower(3), tower(1), "tanh")
    needs = ObservationNeeds(feature_set, Scaler.fit(rows), 1, 1440.0)
    return NetworkPolicy("bench", network.hash, network, needs, ActionSpec(), 1)
