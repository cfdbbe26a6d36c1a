"""Several pairs, one cash account: the Gymnasium environment."""

from typing import Any

import gymnasium as gym
import numpy as np

from agents.envs.baskets import packed_basket, require_weights
from agents.envs.rows import start_of, start_range
from agents.envs.settings import EnvSettings
from agents.observation import observation_size, observe_basket
from market.basket import Account, Traded
from market.candles import Candles
from market.kernel.basket import mean_growth
from market.kernel.basket_rules import Bars
from market.kernel.reward import Moments, bar_reward
from market.kernel.risk import OK, is_over
from market.kernel.step import notional


class BasketEnv(gym.Env[np.ndarray, np.ndarray]):
    """Share one account's equity out between k pairs and cash, one decision every `decision_every` bars.

    Observation: float32 (window * k * F + 2k + 2,): the last `window` scaled feature rows of all pairs side
    by side, oldest first, the newest of the bar that just closed; then of each pair its weight and unrealised
    return, and of the account drawdown since the episode began and cash share
    (`market.kernel.basket.account_row`).

    Action: float (k,) in -1..1, the weights wanted (`market.kernel.basket.target_weights`): long only,
    together at most `action.levels[-1]`. Sells fill before buys at the next open
    (`market.kernel.basket.rebalanced`); each pair's stops act inside every bar, breakers and guards as
    `market.kernel.basket_rules` says.

    Reward, summed over the bars of one decision: the weighted terms of `market.kernel.reward.Terms`, times
    `reward_scale`; the benchmark is all pairs in equal parts, without costs.

    Ends and `reset(options={"start": row})`: as `agents.envs.single.TradingEnv`. `info` holds `row`,
    `equity`, `cash`, `weights` (k,), `fees` (paid since the episode began) and `fills` of this decision:
    (place of the pair, `market.kernel.step.Fill`).
    """

    metadata = {"render_modes": []}

    def __init__(self, candles: tuple[Candles, ...], features: np.ndarray, settings: EnvSettings) -> None:
        """Take aligned candles of k pairs and their scaled features side by side, (n, k * F).

        :raises BadInput: for data that does not fit
        """
        require_weights(settings, len(candles))
        self.market, self.settings = packed_basket(candles, features), settings
        self.first_start, self.last_start = start_range(len(self.market.closes), settings)
        self._ranges = self.market.ranges(settings)
        self._watching = settings.watch_rules() if settings.is_watched else None
        self._action = settings.allowed_action
        size = observation_size(settings.window, self.market.features, len(candles))
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
        weights = self._action.weights(np.asarray(action, dtype=np.float64).tolist())
        is_due = self.account.ask(weights, self._closes(), self._action.band, self._closed_ms())
        reward, fills = 0.0, list[Traded]()
        for _ in range(min(self.settings.decision_every, self._end - self.row)):
            if self._is_ruined():
                break
            earned, filled = self._bar(is_due)
            reward, is_due, fills = reward + earned, False, fills + filled
        terminated = self._is_ruined()
        truncated = not terminated and self.row >= self._end
        return self._observation(), reward, terminated, truncated, self._info(fills)

    def _begin(self, start: int) -> None:
        ticks, steps = self.settings.roundings()
        self.row, bars = start, self.settings.episode_bars
        self.account = Account(
            float(self.settings.initial_cash), self.settings.rules(), ticks, steps, self.settings.plan(),
            self._watching, self._closed_ms(),
        )  # fmt: skip
        self._end = start + bars if bars else len(self.market.closes) - 1
        self._moments, self._fees = Moments(0.0, 0.0, 0.0), 0.0

    def _bar(self, is_due: bool) -> tuple[float, list[Traded]]:
        """Move one bar on; return its reward and fills."""
        past, before, peak = self._closes(), self.account.equity(self._closes()), self.account.peak
        self.row += 1
        bars = Bars._make(
            [*(array[self.row].tolist() for array in self.market[:4]), self._ranges[self.row - 1].tolist()]
        )
        fills = self.account.live(is_due, bars, int(self.market.open_ms[self.row]), self._closed_ms())
        self._fees += sum(fill.fee for _, fill in fills)
        closes = self._closes()
        after = self.account.mark(closes, self._closed_ms())
        traded = sum(notional(fill) for _, fill in fills)
        reward, self._moments = bar_reward(
            before, after, peak, self.account.peak, 1.0, mean_growth(past, closes), traded, self._moments,
            self.settings.reward,
        )  # fmt: skip
        return reward * self.settings.reward_scale, fills

    def _closed_ms(self) -> int:
        return int(self.market.open_ms[self.row]) + self.market.interval_ms

    def _closes(self) -> list[float]:
        return self.market.closes[self.row].tolist()

    def _is_ruined(self) -> bool:
        ruin = self.settings.ruin * self.settings.initial_cash
        worth = self.account.equity(self._closes())
        is_lost = is_over(worth, ruin, self.account.peak, self.settings.max_drawdown)
        return is_lost or self.account.halt != OK

    def _observation(self) -> np.ndarray:
        window = self.market.scaled[self.row + 1 - self.settings.window : self.row + 1]
        return observe_basket(window, self.account.row(self._closes()))

    def _info(self, fills: list[Traded]) -> dict[str, Any]:
        closes = self._closes()
        return {
            "row": self.row,
            "equity": self.account.equity(closes),
            "cash": self.account.cash,
            "weights": self.account.weights(closes),
            "fees": self._fees,
            "fills": fills,
        }
