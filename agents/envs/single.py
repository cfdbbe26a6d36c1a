"""One market, one account: the Gymnasium environment."""

import math
from typing import Any

import gymnasium as gym
import numpy as np

from agents.envs.rows import average_ranges, checked_features, funding_rates, start_of, start_range
from agents.envs.settings import EnvSettings
from agents.observation import observation_size, observe
from market.candles import Candles
from market.kernel.futures import step_market
from market.kernel.plan import Track, open_track
from market.kernel.portfolio import equity, exposure_of, portfolio_row
from market.kernel.reward import Moments, bar_reward
from market.kernel.risk import OK, is_over
from market.kernel.sizing import sized_order
from market.kernel.step import Book, Fill, notional, open_book
from market.kernel.watch import Watch, close_seen, fills_seen, open_watch, watched_target


class TradingEnv(gym.Env[np.ndarray, Any]):
    """Trade one asset against cash, one decision every `decision_every` bars.

    Observation: float32 (window * F + 5,): the last `window` scaled feature rows, oldest first, the newest of
    the bar that just closed; then exposure, unrealised return, time in position, drawdown since the episode
    began, and cash share (`agents.observation.PORTFOLIO`).

    Action: see `agents.spaces.ActionSpec`. It asks for a share of equity; the order fills at the next open at
    the taker price, with floored fee, rounding and minimum notional; stops act inside every bar.

    Reward, summed over the bars of one decision: the weighted terms of `market.kernel.reward.Terms`, times
    `reward_scale`.

    Ends: `terminated` when equity falls to `ruin` times the initial cash, or by `max_drawdown` from its peak,
    or a breaker halts; `truncated` at the end of the episode or of the data. Holdings are marked at the last
    close, not sold.

    `reset(options={"start": row})` starts at a chosen row, else at a row drawn from the seeded `np_random`.
    `info` holds `row`, `equity`, `exposure`, `fees` and `funding` (paid since the episode began) and
    `fills` (of this decision).
    """

    metadata = {"render_modes": []}

    def __init__(self, candles: Candles, features: np.ndarray, settings: EnvSettings) -> None:
        """Take candles and their scaled features (n, F). :raises BadInput: for data that does not fit"""
        self.features = checked_features(candles, features)
        self.settings = settings
        self.first_start, self.last_start = start_range(len(candles), settings)
        self._prices = np.stack([candles.open, candles.high, candles.low, candles.close], axis=1)
        self._rules, self._plan = settings.rules(), settings.plan()
        self._has_plan, self._ranges = settings.has_plan, average_ranges(candles, settings)
        self._funding, self._margin = funding_rates(candles, settings), settings.margin()
        self._opens, self._interval_ms = candles.open_ms.tolist(), candles.interval_ms
        self._watching, self._is_watched = settings.watch_rules(), settings.is_watched
        self._action = settings.allowed_action
        size = observation_size(settings.window, self.features.shape[1])
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = self._action.space()
        self._begin(self.first_start)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._begin(start_of(options, self.first_start, self.last_start, self.np_random))
        return self._observation(), self._info([])

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward, fills = 0.0, list[Fill]()
        asked = self._target(action)
        for _ in range(min(self.settings.decision_every, self._end - self.row)):
            earned, filled = self._bar(asked)
            reward, asked, fills = reward + earned, None, fills + filled
            if self._is_ruined():
                break
        terminated = self._is_ruined()
        truncated = not terminated and self.row >= self._end
        return self._observation(), reward, terminated, truncated, self._info(fills)

    def _target(self, action: Any) -> float | None:
        """Return the exposure to trade towards, sized and as far as guards allow; None keeps what is held."""
        book, close = self.book, self._close()
        exposure = exposure_of(book.cash, book.held, close)
        return self._allowed(self._sized(self._action.target(action, exposure), exposure), exposure)

    def _allowed(self, wish: float | None, exposure: float) -> float | None:
        """Return what breakers and entry guards leave of a wish."""
        if wish is None or not self._is_watched:
            return wish
        at_ms = self._opens[self.row] + self._interval_ms
        allowed = watched_target(self.watch, self._watching, wish, exposure, at_ms)
        return None if allowed == exposure != wish else allowed

    def _sized(self, wish: float | None, exposure: float) -> float | None:
        """Return what the rules on sizing leave of a wish."""
        book, close = self.book, self._close()
        if wish is None or not self._has_plan or (wish == 0 and book.held == 0):
            return wish
        conviction = 1.0 if wish > 0 else 0.0  # an action has no probability
        is_order, target, _ = sized_order(
            wish, exposure, self._action.band, book, self.track, close, float(self._ranges[self.row]),
            conviction, self._rules, self._plan,
        )  # fmt: skip
        return target if is_order else None

    def _begin(self, start: int) -> None:
        self.book: Book = open_book(float(self.settings.initial_cash))
        self.track: Track = open_track(0.0)
        self.watch: Watch = open_watch(self.book.cash, self._opens[start] + self._interval_ms)
        self._halt = OK
        self.row = start
        bars = self.settings.episode_bars
        self._end = start + bars if bars else len(self._prices) - 1
        self._moments, self._fees, self._funding_paid = Moments(0.0, 0.0, 0.0), 0.0, 0.0

    def _bar(self, target: float | None) -> tuple[float, list[Fill]]:
        """Move one bar on; return its reward and fills."""
        past, peak_before = self._close(), self.book.peak
        before = equity(self.book.cash, self.book.held, past)
        atr = float(self._ranges[self.row])
        self.row += 1
        open_, high, low, close = self._prices[self.row].tolist()
        wanted = math.nan if target is None else target
        held, entry = self.book.held, self.book.entry
        self.book, self.track, *fills, paid = step_market(
            self.book, self.track, target is not None, wanted, open_, high, low, close, atr,
            float(self._funding[self.row]), self._rules, self._plan, self._margin,
        )  # fmt: skip
        after = equity(self.book.cash, self.book.held, self._close())
        self._fees += sum(fill.fee for fill in fills)
        self._funding_paid += paid
        if self._is_watched:
            self._look(held, entry, fills, after)
        traded = notional(fills[0]) + notional(fills[1])
        reward, self._moments = bar_reward(
            before, after, peak_before, self.book.peak, past, close, traded, self._moments,
            self.settings.reward,
        )  # fmt: skip
        return reward * self.settings.reward_scale, [fill for fill in fills if fill.quantity]

    def _look(self, held: float, entry: float, fills: list[Fill], worth: float) -> None:
        """Have breakers and guards see a bar's fills and its close."""
        at_ms = self._opens[self.row]
        close_ms = at_ms + self._interval_ms
        seen = fills_seen(self.watch, held, entry, fills[0], fills[1], at_ms, close_ms)
        self.watch, self._halt = close_seen(
            seen, self._watching, worth, self.book.peak, self.book.held == 0, close_ms
        )

    def _close(self) -> float:
        return float(self._prices[self.row, 3])

    def _is_ruined(self) -> bool:
        worth = equity(self.book.cash, self.book.held, self._close())
        ruin = self.settings.ruin * self.settings.initial_cash
        return is_over(worth, ruin, self.book.peak, self.settings.max_drawdown) or self._halt != OK

    def _observation(self) -> np.ndarray:
        book, window = self.book, self.features[self.row + 1 - self.settings.window : self.row + 1]
        return observe(
            window,
            portfolio_row(
                book.cash,
                book.held,
                book.entry,
                book.bars_held,
                book.peak,
                self._close(),
                self.settings.bars_scale,
            ),
        )

    def _info(self, fills: list[Fill]) -> dict[str, Any]:
        book, close = self.book, self._close()
        return {
            "row": self.row,
            "equity": equity(book.cash, book.held, close),
            "exposure": exposure_of(book.cash, book.held, close),
            "fees": self._fees,
            "funding": self._funding_paid,
            "fills": fills,
        }
