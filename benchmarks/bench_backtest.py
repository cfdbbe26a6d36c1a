"""How fast a backtest runs through the decision path that live sessions take, in both of its loops."""

import statistics
import time
from typing import Any

import numpy as np

from agents.backtest import Limits, simulate
from agents.backtest.simulate import COMPILED, PLAIN
from agents.decide import Decider
from agents.envs.settings import EnvSettings
from agents.policies import Policy, baseline
from agents.policies.network import Network
from agents.policies.port import ObservationNeeds
from agents.policies.rules import SmaCrossover
from agents.policies.trained import NetworkPolicy
from agents.spaces import ActionSpec
from market.candles import Candles
from market.features import PRESETS, Scaler, compute
from market.synthetic import regime_market


def run(bars: int | str = 500_000, repeat: int | str = 5, plain_bars: int | str = 50_000) -> dict[str, Any]:
    """Return bars per second of processor time, medians, features computed beforehand; exits and costs on.

    `bars_per_s_signals`: what a rule wishes is known beforehand, from prices to the equity curve and fills
    `bars_per_s_rule`: the SMA crossover rule on its features, as a backtest asks it
    `bars_per_s_policy`: a 64x64 network with the core features, asked on every bar
    `…_plain`: the same through the plain engine, in turns with the compiled one, on `plain_bars` bars
    `first_call_s`: the first run of the rule and of the network, compiling what is not cached on disk
    """
    candles, rounds = regime_market(int(bars), 7), int(repeat)
    rule, network = baseline("sma_crossover"), _network_policy(candles)
    few = candles[: int(plain_bars)]
    first = sum(_seconds(policy, few, COMPILED) for policy in (rule, network))
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, policy in (("rule", rule), ("policy", network)):
            for key, market, engine in (("", candles, COMPILED), ("_plain", few, PLAIN)):
                took = _seconds(policy, market, engine)
                figures.setdefault(f"bars_per_s_{name}{key}", []).append(len(market) / took)
        figures.setdefault("bars_per_s_signals", []).append(
            len(candles) / _seconds(_Known(candles), candles, COMPILED)
        )
    medians = {name: statistics.median(each) for name, each in figures.items()}
    return {
        **{name: medians[name] for name in sorted(medians)},
        "ratio_rule": medians["bars_per_s_rule"] / medians["bars_per_s_rule_plain"],
        "ratio_policy": medians["bars_per_s_policy"] / medians["bars_per_s_policy_plain"],
        "first_call_s": first,
        "bars": int(bars),
    }


class _Known(SmaCrossover):
    """The SMA crossover rule whose wishes are known beforehand."""

    def __init__(self, candles: Candles) -> None:
        super().__init__()
        scaled = self.observation.scaler.transform(compute(candles, self.observation.feature_set))
        self._known = super().wishes(scaled[self.observation.first_row :])

    def wishes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._known


def _seconds(policy: Policy, candles: Candles, engine: str) -> float:
    """Return the processor time of a backtest; of known wishes that of the run alone."""
    rows, decider = compute(candles, policy.observation.feature_set), Decider(policy)
    settings = EnvSettings(stop_loss=0.02, take_profit=0.03)
    if not isinstance(policy, _Known):
        began = time.process_time()
        simulate(candles, rows, decider, settings, first=0, engine=engine)
        return time.process_time() - began
    from agents.backtest.compiled import CompiledRun

    began = time.process_time()
    run = CompiledRun(candles, decider, settings, Limits(), policy.observation.first_row)
    run.live(rows[policy.observation.first_row :], None, None)
    run.finished()
    return time.process_time() - began


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
