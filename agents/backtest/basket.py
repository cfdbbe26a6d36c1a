"""The bar loop of a portfolio's backtest: weigh at the close, rebalance at the next open, mark. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from agents.backtest.settings import Limits
from agents.backtest.simulate import TICK_BARS, Simulation
from agents.decide import falls_due
from agents.envs.rows import average_ranges
from agents.envs.settings import EnvSettings
from agents.observation import observe_basket
from agents.policies.weights import BasketPolicy, EqualWeights, Weighed
from market.basket import Account, require_aligned
from market.candles import Candles
from market.errors import BadInput
from market.kernel.basket_rules import Bars
from market.kernel.risk import OK
from market.plans import SWITCHES


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
    limits: Limits | None = None,
    watch: Callable[[int, Weighed], None] | None = None,
    tick: Callable[[float], None] | None = None,
) -> BasketSimulation:
    """Run a policy over candles, and equal weights beside it at the same costs, without exits and limits.

    :param settings: costs, exits and rounding of the pairs; what concerns learning is not read
    :param limits: breakers and guards; a loss limit of the whole account leaves every pair for good
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
    run = _Run(stretch, scaled, policy, settings, limits or Limits(), first).result(watch, tick)
    equal = EqualWeights(needs, policy.action_spec, policy.decision_every)
    run.benchmark = _Run(stretch, scaled, equal, _costs_only(settings), Limits(), first).result().equity
    return run


class _Run:
    """One account on its way through the candles of its pairs."""

    def __init__(
        self,
        stretch: Stretch,
        scaled: np.ndarray,
        policy: BasketPolicy,
        settings: EnvSettings,
        limits: Limits,
        first: int,
    ) -> None:
        candles = stretch.candles
        self.policy, self.scaled, self.first, self.last = policy, scaled, first, len(stretch.rows) - 1
        self.times, self.step_ms = candles[0].open_ms.tolist(), candles[0].interval_ms
        prices = [[getattr(one, name) for one in candles] for name in ("open", "high", "low", "close")]
        ranges = [average_ranges(one, settings) for one in candles]
        self.opens, self.highs, self.lows, self.closes, self.ranges = (
            np.stack(columns, axis=1) for columns in (*prices, ranges)
        )
        self.account = _account(settings, limits, self._closed_ms(first))
        self.run = BasketSimulation(
            self.step_ms, candles[0].open_ms[first:], self.closes[first:, 0], np.empty(0), np.empty(0),
            pairs=policy.action_spec.pairs, closes=self.closes[first:],
        )  # fmt: skip

    def result(
        self,
        watch: Callable[[int, Weighed], None] | None = None,
        tick: Callable[[float], None] | None = None,
    ) -> BasketSimulation:
        marks = self.closes[self.first].tolist()
        equities, weights = [self.account.equity(marks)], [self.account.weights(marks)]
        for row in range(self.first, self.last):
            self._bar(row, self._is_due(row, marks, watch))
            marks = self.closes[row + 1].tolist()
            equities.append(self.account.mark(marks, self._closed_ms(row + 1)))
            weights.append(self.account.weights(marks))
            if self.account.halt != OK and self.run.halted_ms is None:
                self.run.halted_ms, self.run.halted_by = self._closed_ms(row + 1), self.account.halt
            if tick is not None and row % TICK_BARS == 0:
                tick((row - self.first) / (self.last + 1 - self.first))
        self.run.equity, self.run.held = np.array(equities), np.array(weights)
        self.run.exposure = self.run.held.sum(axis=1)
        self.run.safe_modes = sum(one.safe_modes for one in self.account.watches)
        return self.run

    def _is_due(self, row: int, marks: list[float], watch: Callable[[int, Weighed], None] | None) -> bool:
        """Say whether anything is to be traded at the next open: what the policy wants, or all sold."""
        if self.run.halted_ms is not None:
            return self.account.ask([0.0] * len(marks), marks, 0.0, self._closed_ms(row))
        if not falls_due(self.policy.decision_every, self.times[row], self.step_ms):
            return False
        window = self.scaled[row - self.first : row - self.first + self.policy.observation.window]
        weighed = self.policy.weigh(observe_basket(window, self.account.row(marks)))
        self.run.decisions += 1
        if watch is not None:
            watch(row, weighed)
        band = self.policy.action_spec.band
        return self.account.ask(weighed.weights, marks, band, self._closed_ms(row))

    def _bar(self, row: int, is_due: bool) -> None:
        """Live through the bar after `row`."""
        prices = [array[row + 1].tolist() for array in (self.opens, self.highs, self.lows, self.closes)]
        at_ms, bars = self.times[row + 1], Bars._make([*prices, self.ranges[row].tolist()])
        for place, fill in self.account.live(is_due, bars, at_ms, self._closed_ms(row + 1)):
            self.run.fills.append((at_ms, fill))
            self.run.places.append(place)
        self.run.cut.update(code for code in self.account.cuts if code != OK)

    def _closed_ms(self, row: int) -> int:
        return self.times[row] + self.step_ms


def _account(settings: EnvSettings, limits: Limits | None = None, at_ms: int = 0) -> Account:
    limits = limits or Limits()
    rules, watching = settings.rules()._replace(**limits.caps()), limits.watch_rules()
    is_watched = any((*watching.limits, *watching.guards))
    return Account(
        float(settings.initial_cash), rules, *settings.roundings(), settings.plan(),
        watching if is_watched else None, at_ms,
    )  # fmt: skip


def _costs_only(settings: EnvSettings) -> EnvSettings:
    """Return the rules of a benchmark: nothing forces it out."""
    off = dict.fromkeys(("stop_loss", "take_profit", "trailing", *SWITCHES), 0)
    return EnvSettings.from_dict({**settings.to_dict(), **off})


def held_alone(run: BasketSimulation, settings: EnvSettings) -> dict[str, float]:
    """Return what holding each pair alone from the first close on would have returned, costs paid."""
    found, cash, costs = {}, float(settings.initial_cash), _costs_only(settings)
    first, last = run.closes[0].tolist(), run.closes[-1].tolist()
    for place, pair in enumerate(run.pairs):
        account = _account(costs)
        account.ask([float(at == place) for at in range(len(run.pairs))], first, 0.0)
        account.trade(first)
        found[pair] = account.equity(last) / cash - 1
    return found
