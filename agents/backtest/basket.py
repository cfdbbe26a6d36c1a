"""The bar loop of a portfolio's backtest: weigh at the close, rebalance at the next open, mark. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from agents.backtest.simulate import TICK_BARS, Simulation
from agents.decide import falls_due
from agents.envs.settings import EnvSettings
from agents.observation import observe_basket
from agents.policies.weights import BasketPolicy, EqualWeights, Weighed
from market.basket import Account, require_aligned
from market.candles import Candles
from market.errors import BadInput
from market.kernel.step import Fill
from market.kernel.triggers import NONE


@dataclass(slots=True)
class BasketSimulation(Simulation):
    """A `Simulation` of several pairs: `exposure` sums up their weights, `close` is the first pair's."""

    pairs: tuple[str, ...] = ()
    closes: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))  # (n, k)
    held: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))  # (n, k), held at each close
    places: list[int] = field(default_factory=list)  # of the pair that each of `fills` traded
    benchmark: np.ndarray = field(default_factory=lambda: np.empty(0))  # (n,), equity of equal weights

    def mean_weights(self) -> dict[str, float]:
        """Return the mean share of equity in every pair, and in cash."""
        means = self.held.mean(axis=0).tolist()
        return {**dict(zip(self.pairs, means, strict=True)), "CASH": 1.0 - sum(means)}


class Stretch(NamedTuple):
    """What policies are run over: aligned candles, warm-up included, and where the first decision is."""

    candles: tuple[Candles, ...]
    rows: np.ndarray  # raw features of all pairs side by side, float64 (n, k * F)
    first: int  # row of the first decision; earlier ones are warm-up only


def simulate_basket(
    stretch: Stretch,
    policy: BasketPolicy,
    settings: EnvSettings,
    *,
    watch: Callable[[int, Weighed], None] | None = None,
    tick: Callable[[float], None] | None = None,
) -> BasketSimulation:
    """Run a policy over candles, and equal weights beside it under the same rules.

    :param settings: costs and rounding of the pairs; what concerns learning is not read
    :param watch: is given every opinion with its row
    :param tick: is given the share done, every few hundred bars
    :raises BadInput: when warm-up and window leave nothing to decide on
    """
    needs, count = policy.observation, len(stretch.rows)
    require_aligned(stretch.candles)
    first = max(stretch.first, needs.first_row)
    if first > count - 2:
        raise BadInput(
            f"{count} candles are too few: features and window need {needs.first_row + 1} before the first "
            "decision, and one more to trade on",
            "from",
        )
    scaled = needs.scaler.transform(stretch.rows[first - needs.window + 1 :])
    if np.isnan(scaled).any():
        raise BadInput("a feature has no value after its warm-up: repair or import the candles", "series")
    run = _run(stretch, scaled, policy, settings, first, watch, tick)
    equal = EqualWeights(needs, policy.action_spec, policy.decision_every)
    run.benchmark = _run(stretch, scaled, equal, settings, first).equity
    return run


def _run(
    stretch: Stretch,
    scaled: np.ndarray,
    policy: BasketPolicy,
    settings: EnvSettings,
    first: int,
    watch: Callable[[int, Weighed], None] | None = None,
    tick: Callable[[float], None] | None = None,
) -> BasketSimulation:
    candles, window, count = stretch.candles, policy.observation.window, len(stretch.rows)
    opens, closes = (np.stack([getattr(one, name) for one in candles], axis=1) for name in ("open", "close"))
    times, step_ms = candles[0].open_ms.tolist(), candles[0].interval_ms
    account = Account(float(settings.initial_cash), settings.rules(), *settings.roundings())
    run = BasketSimulation(
        step_ms, candles[0].open_ms[first:], closes[first:, 0], np.empty(0), np.empty(0),
        pairs=policy.action_spec.pairs, closes=closes[first:],
    )  # fmt: skip
    marks = closes[first].tolist()
    equities, weights = [account.equity(marks)], [account.weights(marks)]
    for row in range(first, count - 1):
        is_asked = falls_due(policy.decision_every, times[row], step_ms)
        if is_asked:
            seen = observe_basket(scaled[row - first : row - first + window], account.row(marks))
            weighed = policy.weigh(seen)
            run.decisions += 1
            if watch is not None:
                watch(row, weighed)
            is_asked = account.ask(weighed.weights, marks, policy.action_spec.band)
        for place, quantity, price, fee in account.trade(opens[row + 1].tolist()) if is_asked else ():
            run.fills.append((times[row + 1], Fill(quantity, price, fee, NONE)))
            run.places.append(place)
        marks = closes[row + 1].tolist()
        equities.append(account.mark(marks))
        weights.append(account.weights(marks))
        if tick is not None and row % TICK_BARS == 0:
            tick((row - first) / (count - first))
    run.equity, run.held = np.array(equities), np.array(weights)
    run.exposure = run.held.sum(axis=1)
    return run


def held_alone(run: BasketSimulation, settings: EnvSettings) -> dict[str, float]:
    """Return what holding each pair alone from the first close on would have returned, costs paid."""
    found, cash = {}, float(settings.initial_cash)
    first, last = run.closes[0].tolist(), run.closes[-1].tolist()
    for place, pair in enumerate(run.pairs):
        account = Account(cash, settings.rules(), *settings.roundings())
        account.ask([float(at == place) for at in range(len(run.pairs))], first, 0.0)
        account.trade(first)
        found[pair] = account.equity(last) / cash - 1
    return found
