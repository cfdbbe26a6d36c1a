"""Many accounts on one market, stepped together: arrays in, arrays out, no learning library."""

from typing import NamedTuple

import numpy as np

from agents.envs.accounts import GOES_ON, TERMINATED, TRUNCATED, Accounts, Stepped
from agents.envs.rows import atr_bars_of, average_ranges, checked_features, funding_rates
from agents.envs.settings import EnvSettings
from agents.observation import observation_size
from market.candles import Candles
from market.kernel import batch, batch_lanes, packing
from market.kernel.plan import Track
from market.kernel.reward import Terms
from market.kernel.step import Book
from market.kernel.watch import Watch, open_watch
from market.plans import average_true_range

__all__ = [
    "GOES_ON",
    "TERMINATED",
    "TRUNCATED",
    "BatchedMarket",
    "PackedMarket",
    "Stepped",
    "packed",
    "task_of",
]


class PackedMarket(NamedTuple):
    """Candles and scaled features as the compiled loops read them: shared, read-only, made by `packed`."""

    rows: np.ndarray  # float32 (n, S)
    prices: np.ndarray  # float64 view of the same memory, columns 0..3 open, high, low, close
    features: int
    candles: Candles
    atr_bars: int = 0  # bars of the average true range in column 4 of `prices`; 0: there is none

    @property
    def head(self) -> int:
        """Return how many float32 places of a row lie before its features."""
        return packing.RANGED if self.atr_bars else packing.PRICES

    @property
    def scaled(self) -> np.ndarray:
        """Return the scaled features, float32 (n, F), a view of `rows`."""
        return self.rows[:, self.head : self.head + self.features]


def packed(candles: Candles, features: np.ndarray, atr_bars: int = 0) -> PackedMarket:
    """Return candles and their scaled features (n, F) as one shared market.

    :param atr_bars: closed bars in the average true range that settings ask for (`atr_bars_of`); it then
        lies beside the prices. Accounts that find another one there make a market of their own
    :raises BadInput: if they do not fit
    """
    features = checked_features(candles, features)
    columns = [candles.open, candles.high, candles.low, candles.close]
    if atr_bars:
        columns.append(average_true_range(candles.high, candles.low, candles.close, atr_bars))
    rows = packing.pack(np.stack(columns, axis=1), features)
    rows.flags.writeable = False
    return PackedMarket(rows, rows.view(np.float64), features.shape[1], candles, atr_bars)


class BatchedMarket(Accounts):
    """N accounts of `agents.envs.single.TradingEnv`, with equal observations, rewards and ends."""

    def __init__(self, market: PackedMarket, settings: EnvSettings, accounts: int, seed: int = 0) -> None:
        size = observation_size(settings.window, market.features)
        super().__init__(settings, len(market.rows), accounts, size, seed)
        reward = settings.reward
        is_rich = reward._replace(log_return=0.0, decay=0.0) != Terms(decay=0.0)
        counts = settings.kelly_fraction or settings.streak_losses or settings.dca_lots  # trades, or lots
        is_full = bool(settings.is_futures or settings.is_watched or counts)
        self._is_planned = (settings.has_plan or is_rich) and not is_full
        if self._is_planned and market.atr_bars != atr_bars_of(settings) > 0:
            market = packed(market.candles, market.scaled, atr_bars_of(settings))
        self.market = market
        has_moments = is_full or reward.sharpe > 0 or reward.sortino > 0
        # One row per number, so that the compiled loops take the same one of many accounts at once.
        self._columns = np.zeros((len(Book._fields) - 1, accounts))  # cash, held, entry, peak, water, stop
        self._whole = np.zeros((3, accounts), np.int32)  # row, closes in position, last row of the episode
        self._books, self._counts = self._columns.T, self._whole.T
        self._moments = np.zeros((accounts if has_moments else 1, 3))  # `market.kernel.reward.Moments`
        self._settings = np.concatenate(
            [self._rules, task_of(market.features, settings, market.head), settings.plan(), reward]
        )
        self._rules, self._task, self._plan, self._terms = np.split(
            self._settings, [packing.TASK, packing.PLAN, packing.TERMS]
        )  # views: what changes in one changes for all loops
        self._ranges = average_ranges(market.candles, settings)
        self._funding, self._margin = funding_rates(market.candles, settings), np.array(settings.margin())
        self._watching, self._opens = (
            watching_of(settings, market.candles.interval_ms),
            np.ascontiguousarray(market.candles.open_ms),
        )
        self._watches = np.zeros((accounts if settings.is_watched else 1, len(Watch._fields)))
        self._advance = batch.advance_full if is_full else None  # None: one of `batch_lanes`
        if settings.is_watched:
            self._advance = batch.advance_watched
        if settings.is_futures:
            self._advance = batch.advance_watched_futures if settings.is_watched else batch.advance_futures
        remembers = is_full or (
            self._is_planned and settings.reward_ratio > 0
        )  # if no more, then the bracket
        self._tracks = np.zeros((accounts if remembers else 1, len(Track._fields) if is_full else 1))
        self._table = self.action.table()
        self._each = np.arange(accounts)

    def _begin(self, draw: int) -> np.ndarray:
        self._tracks[:] = 0
        observations = self._empty()
        batch.start(
            self._starts,
            *self.market[:2],
            self._columns,
            self._whole,
            self._moments,
            self._task,
            draw,
            observations,
        )
        if self.settings.is_watched:
            closes = self._opens[self.rows] + self.market.candles.interval_ms
            self._watches[:] = [open_watch(self.settings.initial_cash, at) for at in closes.tolist()]
        return observations

    def step(self, actions: np.ndarray) -> Stepped:
        """Take one decision per account.

        :param actions: integers (N,) for discrete actions, floats (N,) or (N, 1) for continuous ones
        """
        places, table = self._asked(actions)
        observations = self._empty()
        rewards, ends = np.empty(self.size, np.float32), np.empty(self.size, np.uint8)
        made = observations, rewards, ends, self.last_observations
        if self._advance is None:
            ended = (batch_lanes.advance_planned if self._is_planned else batch_lanes.advance)(
                places, table, self._starts, self.market.rows, self._columns, self._whole, self._moments,
                self._tracks, self._settings, self._draw(self.turn + 1), *made,
            )  # fmt: skip
        else:
            ended = self._advance(
                places, table, self._starts, *self.market[:2], self._ranges, self._funding, self._opens,
                self._columns, self._whole, self._tracks, self._moments, self._watches, self._rules,
                self._plan, self._margin, self._watching, self._terms, self._task, self._draw(self.turn + 1),
                *made,
            )  # fmt: skip
        if ended < 0:
            raise ValueError(f"actions must lie in 0..{len(table) - 1}")
        self.turn += 1
        return Stepped(observations, rewards, ends, ended)

    def observations(self) -> np.ndarray:
        observations = self._empty()
        batch.observe(*self.market[:2], self._columns, self._whole, self._task, observations)
        return observations

    def _empty(self) -> np.ndarray:
        return np.empty((self.size, self.observation_size), np.float32)

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("books", "counts", "tracks", "moments", *(["watches"] if self.settings.is_watched else []))
        return {name: getattr(self, f"_{name}") for name in names}

    def _asked(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (places, table) so that table[places] are the exposures asked for."""
        if self.action.kind == "continuous":
            low, high = self.action.levels
            if not np.isfinite(actions).all():
                raise ValueError("continuous actions must be finite numbers")
            share = (np.clip(np.asarray(actions, dtype=np.float64).reshape(self.size), -1.0, 1.0) + 1.0) / 2.0
            return self._each, low + share * (high - low)
        return np.ascontiguousarray(actions, dtype=np.int64).reshape(self.size), self._table


def watching_of(settings: EnvSettings, interval_ms: int) -> np.ndarray:
    """Return the compiled loops' view of breakers and guards, and the bars' length, float64 (19,)."""
    rules = settings.watch_rules()
    return np.array([*rules.limits, *rules.guards, *rules[2:], interval_ms], dtype=np.float64)


def task_of(features: int, settings: EnvSettings, head: int = 0) -> np.ndarray:
    """Return the compiled loops' view of the settings, a vector of `packing.Task`.

    :param features: columns of a feature row
    :param head: places of a packed row before them
    """
    task = packing.Task(
        initial_cash=settings.initial_cash,
        ruin=settings.ruin * settings.initial_cash,
        band=settings.action.band,
        bars_scale=settings.bars_scale,
        reward_scale=settings.reward_scale,
        log_weight=settings.reward.log_return,
        decision_every=settings.decision_every,
        window=settings.window,
        features=features,
        episode_bars=settings.episode_bars,
        max_drawdown=settings.max_drawdown,
        head=head,
    )
    return np.array(task, dtype=np.float64)
