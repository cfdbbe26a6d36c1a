"""Many accounts on one market, stepped together: arrays in, arrays out, no learning library."""

from typing import Any, NamedTuple

import numpy as np

from agents.envs.rows import average_ranges, checked_features, funding_rates, start_range
from agents.envs.settings import EnvSettings
from agents.observation import observation_size
from market.candles import Candles
from market.errors import BadInput
from market.kernel import batch
from market.kernel.plan import Track
from market.kernel.reward import Terms
from market.kernel.step import Rules
from market.kernel.watch import Watch, open_watch

GOES_ON, TERMINATED, TRUNCATED = 0, 1, 2
COSTS = ("fee_rate", "half_spread", "slippage")


class PackedMarket(NamedTuple):
    """Candles and scaled features as the compiled loops read them: shared, read-only, made by `packed`."""

    rows: np.ndarray  # float32 (n, S)
    prices: np.ndarray  # float64 view of the same memory, columns 0..3 open, high, low, close
    features: int
    candles: Candles

    @property
    def scaled(self) -> np.ndarray:
        """Return the scaled features, float32 (n, F), a view of `rows`."""
        return self.rows[:, batch.PRICES : batch.PRICES + self.features]


class Stepped(NamedTuple):
    """What one step of N accounts gave. Arrays are fresh at every step and belong to the caller."""

    observations: np.ndarray  # float32 (N, D); where an episode ended, the first one of the next episode
    rewards: np.ndarray  # float32 (N,)
    ends: np.ndarray  # uint8 (N,): GOES_ON, TERMINATED or TRUNCATED
    ended: int  # how many episodes ended


def packed(candles: Candles, features: np.ndarray) -> PackedMarket:
    """Return candles and their scaled features (n, F) as one shared market.

    :raises BadInput: if they do not fit
    """
    features = checked_features(candles, features)
    prices = np.stack([candles.open, candles.high, candles.low, candles.close], axis=1)  # (n, 4)
    rows = batch.pack(prices, features)
    rows.flags.writeable = False
    return PackedMarket(rows, rows.view(np.float64), features.shape[1], candles)


class BatchedMarket:
    """N accounts of `agents.envs.single.TradingEnv`, with equal observations, rewards and ends.

    An account whose episode ended starts the next one at once; its last observation stays in
    `last_observations`. Starts are drawn from (seed, step number, account) alone, so that `state()` is exact.
    """

    def __init__(self, market: PackedMarket, settings: EnvSettings, accounts: int, seed: int = 0) -> None:
        if accounts < 1:
            raise BadInput("a batched market needs at least one account", "n_envs")
        self.market, self.settings, self.size = market, settings, accounts
        self.action = settings.allowed_action
        self.observation_size = observation_size(settings.window, market.features)
        is_plain = settings.reward._replace(log_return=0.0, decay=0.0) == Terms(decay=0.0)
        is_full = settings.is_futures or settings.has_plan or settings.is_watched or not is_plain
        self._books = np.zeros((accounts, 6))  # cash, held, entry, peak, water, stop
        self._counts = np.zeros((accounts, 3), np.int32)  # row, closes in position, last row of the episode
        self._moments = np.zeros((accounts if is_full else 1, 3))  # `market.kernel.reward.Moments`
        self._rules, self._task, self.seed = np.array(settings.rules()), _task(market, settings), seed
        self._plan, self._ranges = np.array(settings.plan()), average_ranges(market.candles, settings)
        self._terms = np.array(settings.reward, dtype=np.float64)
        self._funding, self._margin = funding_rates(market.candles, settings), np.array(settings.margin())
        self._watching, self._opens = (
            _watching(market, settings),
            np.ascontiguousarray(market.candles.open_ms),
        )
        self._watches = np.zeros((accounts if settings.is_watched else 1, len(Watch._fields)))
        self._advance = batch.advance_full if is_full else batch.advance
        if settings.is_watched:
            self._advance = batch.advance_watched
        if settings.is_futures:
            self._advance = batch.advance_watched_futures if settings.is_watched else batch.advance_futures
        self._tracks = np.zeros((accounts if is_full else 1, len(Track._fields)))
        self._table = self.action.table()
        first, last = start_range(len(market.rows), settings)
        self._starts = np.arange(first, last + 1, dtype=np.int32)
        self._each = np.arange(accounts)
        self.turn = -1  # steps and resets since seeding
        self.last_observations = np.zeros((accounts, self.observation_size), np.float32)

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Begin an episode in every account; return observations, float32 (N, D).

        A seed starts its sequence of episodes over, none goes on with the present one.
        """
        self.turn = self.turn + 1 if seed is None else 0
        self.seed = self.seed if seed is None else seed
        self._tracks[:] = 0
        observations = self._empty()
        batch.start(
            self._starts,
            *self.market[:2],
            self._books,
            self._counts,
            self._moments,
            self._task,
            self._draw(self.turn),
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
        ended = self._advance(
            places, table, self._starts, *self.market[:2], self._ranges, self._funding, self._opens,
            self._books, self._counts, self._tracks, self._moments, self._watches, self._rules, self._plan,
            self._margin, self._watching, self._terms, self._task, self._draw(self.turn + 1), observations,
            rewards, ends, self.last_observations,
        )  # fmt: skip
        if ended < 0:
            raise ValueError(f"actions must lie in 0..{len(table) - 1}")
        self.turn += 1
        return Stepped(observations, rewards, ends, ended)

    def set_starts(self, rows: np.ndarray) -> None:
        """Have later episodes start at one of these rows, int32 (K,). `state` does not hold them.

        :raises ValueError: for a row that leaves no whole episode or window
        """
        first, last = start_range(len(self.market.rows), self.settings)
        if not len(rows) or rows.min() < first or rows.max() > last:
            raise ValueError(f"episodes start in rows {first}..{last}")
        self._starts = np.ascontiguousarray(rows, dtype=np.int32)

    def set_costs(self, share: float) -> None:
        """Charge only a share of fee, half spread and slippage from now on; `state` does not hold it.

        :raises ValueError: for a share outside 0..1
        """
        if not 0.0 <= share <= 1.0:
            raise ValueError("the share of costs must lie in 0..1")
        for name in COSTS:
            self._rules[Rules._fields.index(name)] = share * getattr(self.settings, name)

    def state(self) -> dict[str, Any]:
        """Return everything that `set_state` needs to continue exactly; arrays are copies."""
        arrays = {name: array.copy() for name, array in self._arrays().items()}
        return {"seed": self.seed, "turn": self.turn, **arrays}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.

        :raises BadInput: if it came from another number of accounts
        """
        for name, array in self._arrays().items():
            found = np.shape(state[name])
            if found != array.shape:
                raise BadInput(f"the saved market has {name} of shape {found}, not {array.shape}", "n_envs")
            array[:] = state[name]
        self.seed, self.turn = int(state["seed"]), int(state["turn"])

    @property
    def rows(self) -> np.ndarray:
        """Return the row each account stands at, int32 (N,)."""
        return self._counts[:, 0].copy()

    def observations(self) -> np.ndarray:
        """Return the present observations, float32 (N, D), as after `set_state`."""
        observations = self._empty()
        batch.observe(*self.market[:2], self._books, self._counts, self._task, observations)
        return observations

    def _empty(self) -> np.ndarray:
        """Return room for observations, with a little more behind the last one for whole blocks."""
        length = self.size * self.observation_size
        return np.empty(length + batch.BLOCK, np.float32)[:length].reshape(self.size, self.observation_size)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {
            "books": self._books,
            "counts": self._counts,
            "tracks": self._tracks,
            "moments": self._moments,
        }
        return arrays | ({"watches": self._watches} if self.settings.is_watched else {})

    def _draw(self, turn: int) -> int:
        """Return the number that a step's starts are drawn from; it depends on seed and step alone."""
        return (self.seed * 0x9E3779B97F4A7C15 + turn * 0xBF58476D1CE4E5B9) % 2**63

    def _asked(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (places, table) so that table[places] are the exposures asked for."""
        if self.action.kind == "continuous":
            low, high = self.action.levels
            if not np.isfinite(actions).all():
                raise ValueError("continuous actions must be finite numbers")
            share = (np.clip(np.asarray(actions, dtype=np.float64).reshape(self.size), -1.0, 1.0) + 1.0) / 2.0
            return self._each, low + share * (high - low)
        return np.ascontiguousarray(actions, dtype=np.int64).reshape(self.size), self._table


def _watching(market: PackedMarket, settings: EnvSettings) -> np.ndarray:
    """Return the compiled loops' view of breakers and guards, and the bars' length, float64 (19,)."""
    rules = settings.watch_rules()
    return np.array([*rules.limits, *rules.guards, *rules[2:], market.candles.interval_ms], dtype=np.float64)


def _task(market: PackedMarket, settings: EnvSettings) -> np.ndarray:
    """Return the compiled loops' view of the settings, a vector of `batch.Task`."""
    task = batch.Task(
        initial_cash=settings.initial_cash,
        ruin=settings.ruin * settings.initial_cash,
        band=settings.action.band,
        bars_scale=settings.bars_scale,
        reward_scale=settings.reward_scale,
        log_weight=settings.reward.log_return,
        decision_every=settings.decision_every,
        window=settings.window,
        features=market.features,
        episode_bars=settings.episode_bars,
        max_drawdown=settings.max_drawdown,
    )
    return np.array(task, dtype=np.float64)
