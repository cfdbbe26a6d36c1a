"""The bar loop of a backtest: decide at the close, fill at the next open, mark at the close. Pure."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from agents.backtest.contributions import Contributions
from agents.backtest.settings import Limits
from agents.decide import Decided, Decider
from agents.envs.rows import average_ranges, funding_rates
from agents.envs.settings import EnvSettings
from agents.policies.team import in_team
from market.candles import Candles
from market.errors import BadInput
from market.kernel.futures import cap_at, step_market
from market.kernel.plan import open_track
from market.kernel.portfolio import equity, exposure_of, portfolio_row
from market.kernel.risk import OK, cap_exposure
from market.kernel.sizing import reasons, sized_order
from market.kernel.step import Fill, open_book
from market.kernel.triggers import EXIT_REASONS
from market.kernel.watch import close_seen, fills_seen, open_watch, watched_target

TICK_BARS = 512  # bars between two calls of `tick`, at least
PLAIN, COMPILED = "plain", "compiled"


@dataclass(slots=True)
class Simulation:
    """What happened, bar by bar: row 0 is the close the account started at, before any trade.

    Arrays are (n,): `open_ms` int64, `equity` in quote currency, `exposure` a share of equity, `close`.
    """

    interval_ms: int
    open_ms: np.ndarray
    close: np.ndarray
    equity: np.ndarray
    exposure: np.ndarray
    fills: list[tuple[int, Fill]] = field(default_factory=list)  # (open_ms of the bar it happened in, fill)
    decisions: int = 0
    gated: int = 0
    sized: dict[str, int] = field(default_factory=dict)  # reason -> decisions whose size it changed or kept
    cut: Counter[int] = field(default_factory=Counter)  # market.kernel.breakers code -> orders cut to a cap
    halted_ms: int | None = None  # close of the bar at which a loss limit ended trading
    halted_by: int = OK  # market.kernel.breakers code
    funding: float = 0.0  # paid by a futures position so far, quote currency; below 0 it was earned
    safe_modes: int = 0  # how often a cautious breaker led to safe mode
    contributions: dict[str, float] = field(default_factory=dict)  # of a team's specialists, quote currency
    weights: dict[str, float] = field(default_factory=dict)  # likewise the mean of each one's weight
    acted: Counter[str] = field(default_factory=Counter)  # how often each action was taken, by its name
    engine: str = PLAIN  # which loop this went through; both come to the same


def simulate(
    candles: Candles,
    rows: np.ndarray,
    decider: Decider,
    settings: EnvSettings,
    *,
    first: int,
    limits: Limits | None = None,
    watch: Callable[[int, Decided], None] | None = None,
    tick: Callable[[float], None] | None = None,
    engine: str | None = None,
) -> Simulation:
    """Run a policy over candles.

    Bars are lived through in the compiled loop, wherever it knows what is asked for; see `engine_for`.

    :param rows: raw features of every candle, float64 (n, F), from the policy's feature set
    :param settings: costs, exits and rounding; what concerns learning is not read
    :param first: row of the first decision; earlier candles are warm-up only
    :param watch: is given every decision with its row
    :param tick: is given the share done, every few hundred bars or more
    :param engine: PLAIN or COMPILED; None: the faster one that can do it
    :raises BadInput: when warm-up and window leave nothing to decide on
    """
    needs, count = decider.needs, len(candles)
    first = max(first, needs.first_row)
    if first > count - 2:
        raise BadInput(
            f"{count} candles are too few: features and window need {needs.first_row + 1} before the first "
            "decision, and one more to trade on",
            "from",
        )
    scaled = needs.scaler.transform(rows[first - needs.window + 1 :])  # (count - first + W - 1, F)
    if np.isnan(scaled).any():
        raise BadInput("a feature has no value after its warm-up: repair or import the candles", "series")
    if (engine or engine_for(decider)) == COMPILED:
        from agents.backtest.compiled import CompiledRun  # the loops are compiled at first use

        compiled = CompiledRun(candles, decider, settings, limits or Limits(), first)
        compiled.live(scaled, watch, tick)
        return compiled.finished()
    run = _Run(candles, decider, settings, limits or Limits(), first)
    for row in range(first, count - 1):
        window = scaled[row - first : row - first + needs.window]
        run.bar(row, window, watch)
        if tick is not None and row % TICK_BARS == 0:
            tick((row - first) / (count - first))
    return run.finished()


def engine_for(decider: Decider) -> str:
    """Return which loop runs a policy: only the plain one follows what a team's specialists earn."""
    return PLAIN if in_team(decider.policy) else COMPILED


def noted(decided: Decided, result: Simulation) -> Decided:
    """Count a decision among the results."""
    result.decisions += 1
    result.gated += bool(decided.gate_reason)
    result.acted[decided.opinion.name] += 1
    return decided


class _Run:
    """One account on its way through the candles, in plain Python: what the compiled loop must equal."""

    def __init__(
        self, candles: Candles, decider: Decider, settings: EnvSettings, limits: Limits, first: int
    ) -> None:
        self.decider, self.first = decider, first
        self.interval_ms, self.max_exposure = candles.interval_ms, settings.max_exposure
        self.rules = settings.rules()._replace(**limits.caps())
        self.is_capped, self.bars_scale = any(limits.caps().values()), decider.needs.bars_scale
        self.plan, self.has_plan = settings.plan(), settings.has_plan
        self.ranges = average_ranges(candles, settings).tolist()
        self.funding, self.margin = funding_rates(candles, settings).tolist(), settings.margin()
        self.open_ms = candles.open_ms.tolist()
        self.bars = list(
            zip(*(getattr(candles, c).tolist() for c in ("open", "high", "low", "close")), strict=True)
        )
        self.closes = candles.close
        self.book, self.track = open_book(float(settings.initial_cash)), open_track(0.0)
        self.watching, self.watch = (
            limits.watch_rules(),
            open_watch(self.book.cash, self.open_ms[first] + candles.interval_ms),
        )
        names = in_team(decider.policy)
        self.team = Contributions(names) if names else None
        self.equities, self.exposures = [self.book.cash], [0.0]
        self.result = Simulation(
            candles.interval_ms, candles.open_ms[first:], candles.close[first:], np.empty(0), np.empty(0)
        )

    def bar(self, row: int, window: np.ndarray, watch: Callable[[int, Decided], None] | None) -> None:
        """Decide at the close of `row`, then live through the next bar."""
        target = self._target(row, window, watch)
        open, high, low, close = self.bars[row + 1]
        wanted, before = target if target is not None else 0.0, self.book
        if self.is_capped and target is not None:
            code = cap_at(before, wanted, open, self.rules, self.margin)
            self.result.cut.update([code] if code != OK else [])
        self.book, self.track, order, exit, paid = step_market(
            self.book, self.track, target is not None, wanted, open, high, low, close, self.ranges[row],
            self.funding[row + 1], self.rules, self.plan, self.margin,
        )  # fmt: skip
        self.result.funding += paid
        for fill in (order, exit):
            if fill.quantity:
                self.result.fills.append((self.open_ms[row + 1], fill))
        if self.team is not None:
            self.team.bar(before, order, exit, open)
        at_ms = self.open_ms[row + 1]
        self.watch = fills_seen(
            self.watch, before.held, before.entry, order, exit, at_ms, at_ms + self.interval_ms
        )
        worth = equity(self.book.cash, self.book.held, close)
        self.equities.append(worth)
        self.exposures.append(exposure_of(self.book.cash, self.book.held, close))
        self._guard(row + 1, worth)

    def _target(
        self, row: int, window: np.ndarray, watch: Callable[[int, Decided], None] | None
    ) -> float | None:
        if self.result.halted_ms is not None:
            return 0.0 if self.book.held else None
        if not self.decider.is_due(self.open_ms[row], self.interval_ms):
            return None
        book, close = self.book, self.bars[row][3]
        portfolio = portfolio_row(
            book.cash, book.held, book.entry, book.bars_held, book.peak, close, self.bars_scale
        )
        closes = self.closes[max(0, row + 1 - self.decider.closes_needed) : row + 1]
        decided = noted(self.decider.decide_scaled(window, closes, portfolio, portfolio[0]), self.result)
        if watch is not None:
            watch(row, decided)
        if self.team is not None and decided.opinion.tally is not None:
            self.team.decided(decided.opinion.tally, portfolio[0], book, close)
        if decided.target is None:
            return None
        wanted = self._sized(row, decided, cap_exposure(decided.target, self.max_exposure)[0])
        if wanted is None:
            return None
        at_ms = self.open_ms[row] + self.interval_ms
        allowed = watched_target(self.watch, self.watching, wanted, portfolio[0], at_ms)
        return None if allowed == portfolio[0] != wanted else allowed

    def _sized(self, row: int, decided: Decided, wish: float) -> float | None:
        """Return the exposure that the rules on sizing leave of a wish; None keeps what is held."""
        if not self.has_plan or (wish == 0 and self.book.held == 0):
            return wish
        is_order, target, code = sized_order(
            wish, decided.portfolio[0], self.decider.band, self.book, self.track, self.bars[row][3],
            self.ranges[row], self.decider.conviction(decided.opinion), self.rules, self.plan,
        )  # fmt: skip
        for reason in reasons(code):
            self.result.sized[reason] = self.result.sized.get(reason, 0) + 1
        return target if is_order else None

    def _guard(self, row: int, worth: float) -> None:
        """Note a breached loss limit; the position is left at the next open."""
        close_ms = self.open_ms[row] + self.interval_ms
        is_flat = self.book.held == 0
        self.watch, halt = close_seen(self.watch, self.watching, worth, self.book.peak, is_flat, close_ms)
        if halt != OK and self.result.halted_ms is None:
            self.result.halted_ms, self.result.halted_by = close_ms, halt

    def finished(self) -> Simulation:
        self.result.safe_modes = self.watch.safe_modes
        if self.team is not None:
            last = float(self.closes[-1])
            self.result.contributions, self.result.weights = self.team.finished(last)
        self.result.equity, self.result.exposure = np.array(self.equities), np.array(self.exposures)
        return self.result


def fill_arrays(run: Simulation) -> dict[str, np.ndarray]:
    """Return fills as `market.kernel.metrics` reads them."""
    arrays = {
        name: np.array([getattr(fill, name) for _, fill in run.fills], dtype=np.float64)
        for name in ("quantity", "price", "fee")
    }
    places = getattr(run, "places", None)
    return arrays if places is None else arrays | {"pair": np.array(places, dtype=np.int64)}


def fill_rows(run: Simulation) -> list[dict[str, float | int | str]]:
    """Return fills as JSON rows: t_ms (start of the bar), side, quantity, price, fee, reason.

    Of several pairs each row says its `pair` as well.
    """
    places = getattr(run, "places", None)
    rows = _fill_rows(run)
    if places is None:
        return rows
    return [{**row, "pair": run.pairs[place]} for row, place in zip(rows, places, strict=True)]  # type: ignore[attr-defined]


def _fill_rows(run: Simulation) -> list[dict[str, float | int | str]]:
    return [
        {
            "t_ms": at,
            "side": "BUY" if fill.quantity > 0 else "SELL",
            "quantity": abs(fill.quantity),
            "price": fill.price,
            "fee": fill.fee,
            "reason": EXIT_REASONS[fill.reason] or "decision",
        }
        for at, fill in run.fills
    ]
