"""Accounts over several pairs: the market they share, and many of them stepped together."""

from typing import NamedTuple

import numpy as np

from agents.envs.accounts import Accounts, Stepped
from agents.envs.batched import task_of, watching_of
from agents.envs.rows import average_ranges, checked_features
from agents.envs.settings import EnvSettings
from agents.observation import observation_size
from market.basket import require_aligned
from market.candles import Candles
from market.errors import BadInput
from market.kernel import batch_basket, batch_basket_rules
from market.kernel.basket_rules import Leg
from market.kernel.reward import Terms
from market.kernel.watch import Watch, open_watch


class PackedBasket(NamedTuple):
    """Aligned candles of k pairs and their scaled features side by side: shared, read-only."""

    opens: np.ndarray  # float64 (n, k)
    highs: np.ndarray  # float64 (n, k)
    lows: np.ndarray  # float64 (n, k)
    closes: np.ndarray  # float64 (n, k)
    scaled: np.ndarray  # float32 (n, C)
    open_ms: np.ndarray  # int64 (n,)
    candles: tuple[Candles, ...]

    @property
    def features(self) -> int:
        """Return how many columns a feature row has, all pairs together."""
        return self.scaled.shape[1]

    @property
    def interval_ms(self) -> int:
        return self.candles[0].interval_ms

    def ranges(self, settings: EnvSettings) -> np.ndarray:
        """Return the average true range of every pair at every close, float64 (n, k)."""
        return np.stack([average_ranges(one, settings) for one in self.candles], axis=1)


def packed_basket(candles: tuple[Candles, ...], features: np.ndarray) -> PackedBasket:
    """Return aligned candles and the scaled features of all of them, (n, C), as one shared market.

    :raises BadInput: if they do not fit
    """
    require_aligned(candles)
    for one in candles:
        features = checked_features(one, features)
    opens, highs, lows, closes = (
        np.stack([getattr(one, name) for one in candles], axis=1) for name in ("open", "high", "low", "close")
    )
    times = candles[0].open_ms.copy()
    found = PackedBasket(opens, highs, lows, closes, np.ascontiguousarray(features), times, candles)
    for array in found[:6]:
        array.flags.writeable = False
    return found


class BatchedBasket(Accounts):
    """N accounts of `agents.envs.basket.BasketEnv`, with equal observations, rewards and ends."""

    def __init__(self, market: PackedBasket, settings: EnvSettings, accounts: int, seed: int = 0) -> None:
        require_weights(settings, market.closes.shape[1])
        bars, pairs = market.closes.shape
        super().__init__(
            settings, bars, accounts, observation_size(settings.window, market.features, pairs), seed
        )
        self.market = market
        has_moments = settings.reward.sharpe != 0 or settings.reward.sortino != 0
        self._books = np.zeros((accounts, 2))  # cash, peak equity
        self._held, self._entry = np.zeros((accounts, pairs)), np.zeros((accounts, pairs))
        self._counts = np.zeros((accounts, 2), np.int32)  # row, last row of the episode
        self._moments = np.zeros((accounts if has_moments else 1, len(Terms._fields[:3])))
        self._task = task_of(market.features, settings)
        self._terms = np.array(settings.reward, dtype=np.float64)
        self._ticks, self._steps = (np.array(values) for values in settings.roundings())
        self._has_exits, self._is_watched = settings.has_exits, settings.is_watched
        self._plan, self._ranges = np.array(settings.plan()), market.ranges(settings)
        self._watching = watching_of(settings, market.interval_ms)
        self._legs = np.zeros((accounts if self._has_exits else 1, pairs, len(Leg._fields)))
        self._watches = np.zeros((accounts if self._is_watched else 1, pairs + 1, len(Watch._fields)))

    def step(self, actions: np.ndarray) -> Stepped:
        """Take one decision per account.

        :param actions: floats (N, k), see `agents.spaces.ActionSpec`
        :raises ValueError: for wishes that are no numbers
        """
        wishes = np.ascontiguousarray(actions, dtype=np.float64).reshape(self._held.shape)
        if not np.isfinite(wishes).all():
            raise ValueError("weights must be finite numbers")
        observations = self._empty()
        rewards, ends = np.empty(self.size, np.float32), np.empty(self.size, np.uint8)
        top, market, draw = float(self.action.levels[-1]), self.market, self._draw(self.turn + 1)
        made = observations, rewards, ends, self.last_observations
        if self._has_exits or self._is_watched:
            ended = batch_basket_rules.advance(
                wishes, top, self._starts, market.scaled, *market[:4], self._ranges, market.open_ms,
                self._books, self._held, self._entry, self._counts, self._moments, self._legs, self._watches,
                self._rules, self._plan, self._watching, self._has_exits, self._is_watched, self._ticks,
                self._steps, self._terms, self._task, draw, *made,
            )  # fmt: skip
        else:
            ended = batch_basket.advance(
                wishes, top, self._starts, market.scaled, market.opens, market.closes, self._books,
                self._held, self._entry, self._counts, self._moments, self._rules, self._ticks, self._steps,
                self._terms, self._task, draw, *made,
            )  # fmt: skip
        self.turn += 1
        return Stepped(observations, rewards, ends, ended)

    def observations(self) -> np.ndarray:
        observations = self._empty()
        batch_basket.observe(
            self.market.scaled, self.market.closes, self._books, self._held, self._entry, self._counts,
            self._task, observations,
        )  # fmt: skip
        return observations

    def _begin(self, draw: int) -> np.ndarray:
        observations = self._empty()
        batch_basket.start(
            self._starts, self.market.scaled, self.market.closes, self._books, self._held, self._entry,
            self._counts, self._moments, self._task, draw, observations,
        )  # fmt: skip
        self._legs[:] = 0
        if self._is_watched:
            closes, cash = (
                self.market.open_ms[self.rows] + self.market.interval_ms,
                self.settings.initial_cash,
            )
            fresh = np.array([open_watch(cash, at) for at in closes.tolist()], dtype=np.float64)
            self._watches[:] = fresh[:, None]
        return observations

    def _empty(self) -> np.ndarray:
        return np.empty((self.size, self.observation_size), np.float32)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "books": self._books,
            "held": self._held,
            "entry": self._entry,
            "counts": self._counts,
            "moments": self._moments,
            **({"legs": self._legs} if self._has_exits else {}),
            **({"watches": self._watches} if self._is_watched else {}),
        }


def require_weights(settings: EnvSettings, pairs: int) -> None:
    """:raises BadInput: when the settings do not give weights to as many pairs as the market has"""
    if not settings.is_basket or len(settings.action.pairs) != pairs:
        raise BadInput(
            f"a market of {pairs} pairs needs weights for {pairs} pairs, and the action has "
            f"{len(settings.action.pairs)}",
            "action",
        )
