"""The bar loop of `simulate` compiled: Python decides where it must, and makes objects of fills alone."""

from collections.abc import Callable
from typing import Any

import numpy as np

from agents.backtest import walks
from agents.backtest.settings import Limits
from agents.backtest.simulate import TICK_BARS, Simulation, noted
from agents.decide import Decided, Decider
from agents.envs.rows import average_ranges, funding_rates
from agents.envs.settings import EnvSettings
from agents.policies.forward import packed
from agents.policies.network import CATEGORICAL, GREEDY, Network
from agents.policies.port import Policy
from agents.policies.rules import Rule
from agents.policies.trained import NetworkPolicy
from market.candles import Candles
from market.kernel import batch_walk as kernel
from market.kernel.plan import Track
from market.kernel.portfolio import portfolio_row
from market.kernel.sizing import reasons
from market.kernel.step import Book, Fill
from market.kernel.watch import open_watch

CHUNK = 16_384  # bars lived through at once, at most
PARTS = 8  # of a run, at least, so that progress is told and a cancel is seen in short ones too
NEAR = 1e-9  # outputs and probabilities nearer to each other than this are left to the policy's own code


class CompiledRun:
    """One account on its way through the candles, in the compiled loop; to the outside as `simulate._Run`."""

    def __init__(
        self, candles: Candles, decider: Decider, settings: EnvSettings, limits: Limits, first: int
    ) -> None:
        self.decider, self.first, self.last = decider, first, len(candles) - 1
        self.closes, self.open_ms, self.interval_ms = candles.close, candles.open_ms, candles.interval_ms
        zeros = np.zeros(len(candles))
        self._bars: tuple[np.ndarray, ...] = (
            *(np.ascontiguousarray(one) for one in (candles.open, candles.high, candles.low, candles.close)),
            np.ascontiguousarray(candles.open_ms),
            average_ranges(candles, settings) if settings.needs_atr else zeros,
            funding_rates(candles, settings) if settings.is_futures else zeros,
            _due(candles, decider.policy.decision_every),
        )
        self._books, self._counts = np.zeros((len(Book._fields) - 1, 1)), np.zeros((3, 1), np.int64)
        self._tracks = np.zeros((1, len(Track._fields)))
        cash = float(settings.initial_cash)
        self._books[[0, 3], 0], self._counts[0, 0] = cash, first  # cash, and the peak of equity
        opened = open_watch(cash, int(candles.open_ms[first]) + candles.interval_ms)
        self._watches = np.array([opened], dtype=np.float64)
        self._settings = _vectors(candles, decider, settings, limits)
        self._is_averaging = bool(settings.dca_lots)  # by lots that the very bits of a probability scale
        self._given = np.zeros(3)
        size = len(candles) - first
        self._equities, self._exposures = np.empty(size), np.empty(size)
        self._equities[0], self._exposures[0] = cash, 0.0
        self._fills, self._notes = np.empty((2 * size, 5)), np.array([0.0, 0.0, -1.0, 0.0])
        self._tallies = np.zeros((2, kernel.COLUMNS), np.int64)
        self.result = Simulation(
            candles.interval_ms, candles.open_ms[first:], candles.close[first:], self._equities,
            self._exposures, engine="compiled",
        )  # fmt: skip

    def live(
        self,
        scaled: np.ndarray,
        watch: Callable[[int, Decided], None] | None,
        tick: Callable[[float], None] | None,
    ) -> None:
        """Go through all the bars. :param scaled: float32 (n - first + W - 1, F)"""
        walk, mind = (walks.walk_asking, 0) if watch is not None else self._mind(scaled)
        row, told = self.first, self.first
        step = min(CHUNK, max(TICK_BARS, (self.last - self.first) // PARTS))
        while row < self.last:
            end = min(row + step, self.last)
            row = self._walked(walk, mind, end)
            if row < end:
                self._answer(row, scaled, watch)
            if tick is not None and row - told >= TICK_BARS:
                tick((row - self.first) / (self.last + 1 - self.first))
                told = row

    def _mind(self, scaled: np.ndarray) -> tuple[Callable[..., int], Any]:
        """Return the loop that decides most for the policy, and what it decides with."""
        policy = self.decider.policy
        if isinstance(policy, Rule) and (wishes := policy.wishes(scaled)) is not None:
            return walks.walk_wishes, (*wishes, policy.rest, self.first)
        if (network := self._known_network(policy)) is not None:
            return walks.walk_network, self._network_mind(network, scaled)
        return walks.walk_asking, 0

    def _known_network(self, policy: Policy) -> Network | None:
        """Return the network of a policy that takes the best of discrete actions by dense layers alone."""
        if type(policy) is not NetworkPolicy or self.decider.settings.sample or self._is_averaging:
            return None
        network = policy.network
        if type(network) is not Network or network.actor_sight is not None:
            return None
        is_known = network.head in (CATEGORICAL, GREEDY) and network.outputs <= kernel.ACTIONS
        return network if is_known else None

    def _network_mind(self, network: Network, scaled: np.ndarray) -> tuple[Any, ...]:
        tower, widths = packed(network.actor)
        confidence = self.decider.settings.gate.confidence
        return (
            np.ascontiguousarray(scaled), self.first, self.decider.needs.window, tower, widths,
            network.activation == "relu", np.empty(network.inputs, np.float32),
            np.empty((2, int(widths.max())), np.float32), np.empty(network.outputs, np.float32),
            self.decider.policy.action_spec.table(),
            confidence if network.head == CATEGORICAL else 0.0, NEAR,
        )  # fmt: skip

    def _answer(self, row: int, scaled: np.ndarray, watch: Callable[[int, Decided], None] | None) -> None:
        cash, held, entry, peak = self._books[:4, 0].tolist()
        decider, close, closes = self.decider, float(self.closes[row]), self.closes
        bars_held, scale = int(self._counts[1, 0]), decider.needs.bars_scale
        portfolio = portfolio_row(cash, held, entry, bars_held, peak, close, scale)
        window = scaled[row - self.first : row - self.first + decider.needs.window]
        recent = closes[max(0, row + 1 - decider.closes_needed) : row + 1]
        decided = noted(decider.decide_scaled(window, recent, portfolio, portfolio[0]), self.result)
        if watch is not None:
            watch(row, decided)
        target = np.nan if decided.target is None else decided.target
        self._given[:] = 1.0, target, decider.conviction(decided.opinion)

    def _walked(self, walk: Callable[..., int], mind: Any, end: int) -> int:
        return walk(
            *self._bars, mind, self._books, self._counts, self._tracks, self._watches, *self._settings,
            self._given, self.first, end, self._equities, self._exposures, self._fills, self._notes,
            self._tallies,
        )  # fmt: skip

    def finished(self) -> Simulation:
        run, notes = self.result, self._notes.tolist()
        run.fills = self._filled(int(notes[kernel.FILLS]))
        run.funding, run.safe_modes = notes[kernel.FUNDING], int(self._watches[0, 6])
        if notes[kernel.HALTED] >= 0:
            run.halted_ms = int(self.open_ms[int(notes[kernel.HALTED])]) + self.interval_ms
            run.halted_by = int(notes[kernel.HALTED_BY])
        times = self._tallies[0]
        run.decisions += int(times[kernel.DECISIONS])
        run.gated += int(times[kernel.GATED])
        names = self.decider.policy.action_spec.names
        for at in self._counted(kernel.ACTED, kernel.ACTIONS):
            run.acted[names[at]] += int(times[kernel.ACTED + at])
        for code in self._counted(kernel.SIZED, kernel.SIZES):
            for reason in reasons(code):
                run.sized[reason] = run.sized.get(reason, 0) + int(times[kernel.SIZED + code])
        for code in self._counted(kernel.CUT, kernel.CAPS):
            if code:
                run.cut[code] += int(times[kernel.CUT + code])
        return run

    def _filled(self, count: int) -> list[tuple[int, Fill]]:
        times = self.open_ms[self._fills[:count, 0].astype(np.int64)].tolist()
        return [
            (at, Fill(quantity, price, fee, int(reason)))
            for at, (_, quantity, price, fee, reason) in zip(times, self._fills[:count].tolist(), strict=True)
        ]

    def _counted(self, start: int, size: int) -> list[int]:
        """Return which columns of a part of the tallies count something, the first to happen first."""
        times, since = self._tallies[:, start : start + size]
        found = np.flatnonzero(times)
        return found[np.argsort(since[found], kind="stable")].tolist()


def _due(candles: Candles, every: int) -> np.ndarray:
    """Return where a policy decides, uint8 (n,): `agents.decide.falls_due` of every bar."""
    if every == 1:
        return np.ones(len(candles), np.uint8)
    return ((candles.open_ms // candles.interval_ms + 1) % every == 0).astype(np.uint8)


def _vectors(
    candles: Candles, decider: Decider, settings: EnvSettings, limits: Limits
) -> tuple[np.ndarray, ...]:
    """Return rules, plan, margin, watching and asking as the loop reads them."""
    rules, gate = limits.watch_rules(), decider.settings.gate
    watching = [*rules.limits, *rules.guards, *rules[2:], candles.interval_ms]
    asking = kernel.Asking(
        settings.max_exposure, decider.band, gate.confidence, gate.min_move, gate.move_bars,
        decider.needs.bars_scale, int(any(limits.caps().values())),
        int(any(rules.limits) or any(rules.guards)),
    )  # fmt: skip
    parts = (settings.rules()._replace(**limits.caps()), settings.plan(), settings.margin(), watching, asking)
    return tuple(np.array(part, dtype=np.float64) for part in parts)
