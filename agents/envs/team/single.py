"""One market, one account, several specialists: the environment that the batched one is checked against."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from agents.envs.settings import EnvSettings
from agents.envs.single import TradingEnv
from agents.envs.team.rules import TeamRules, bounds, require_shareable
from market.candles import Candles
from market.kernel.portfolio import equity, exposure_of
from market.kernel.rebalance import is_kept
from market.kernel.reward import Moments
from market.kernel.step import Fill
from market.kernel.team import (
    WIDTH,
    handed_out,
    joint_target,
    marked_before,
    shared_bar,
    slice_bar,
    slice_worth,
)
from market.kernel.triggers import NONE

LEAST_WORTH = 1000  # an account's worth over what a slice counts as at least


class TeamEnv(TradingEnv):
    """`TradingEnv` with M specialists that ask, and weights that make one exposure of what they ask.

    Observation, ends and the reward of `step` are those of `TradingEnv`: the account's.

    Action: (proposals, weights). Proposals are M levels of `agents.spaces.ActionSpec`, by place, weights M
    shares of the account that sum to 1; the account trades towards the weighted mean of the exposures.

    `info` holds beside the account's figures, of this decision: `rewards` of the specialists (M,), `growths`
    of their slices of the account (M,), and `slices`, float64 (M, 2): cash and holdings of each, in units of
    the whole account (`market.kernel.team`).
    """

    def __init__(
        self, candles: Candles, features: np.ndarray, settings: EnvSettings, team: TeamRules
    ) -> None:
        """:raises BadInput: for data that does not fit, or rules that no team can share"""
        require_shareable(settings)
        self.team, self.slices = team, np.zeros((len(team), WIDTH))
        self._bounds = bounds(settings).tolist()
        super().__init__(candles, features, settings)
        self.action_space = gym.spaces.MultiDiscrete([len(self._action.names)] * len(team))

    def _target(self, action: tuple[Sequence[Any], Sequence[float]]) -> float | None:
        """Hand the account out in slices; return the exposure that the specialists jointly ask for."""
        proposals, weights = action
        exposure = exposure_of(self.book.cash, self.book.held, self._close())
        self._wishes = [self._action.levels[int(proposal)] for proposal in proposals]
        self._weights, self._is_decision = [float(weight) for weight in weights], True
        self._first = equity(self.book.cash, self.book.held, self._close())
        self._own_rewards = [0.0] * len(self.team)
        handed_out(self.slices, self._weights, self.book, self._close())
        target = joint_target(self._wishes, self._weights)
        is_held = target == exposure or is_kept(target, exposure, self._action.band)
        return self._allowed(self._sized(None if is_held else target, exposure), exposure)

    def _begin(self, start: int) -> None:
        super()._begin(start)
        self.slices[:] = 0.0
        self._own_moments = [Moments(0.0, 0.0, 0.0)] * len(self.team)
        self._own_rewards, self._first = [0.0] * len(self.team), 1.0

    def _bar(self, target: float | None) -> tuple[float, list[Fill]]:
        book, past = self.book, self._close()
        reward, fills = super()._bar(target)
        self._share(fills, book, past)
        self._is_decision = False
        return reward, fills

    def _share(self, fills: list[Fill], book: Any, past: float) -> None:
        """Let every specialist take its part in a bar's fills, and pay it."""
        open_, high, low, close = self._prices[self.row].tolist()
        lowest, highest = self._bounds
        nothing = Fill(0.0, open_, 0.0, NONE)
        order = next((fill for fill in fills if fill.reason == NONE), nothing)
        exit_ = next((fill for fill in fills if fill.reason != NONE), nothing)
        for i, is_desk in enumerate(self.team.desks):
            marked_before(self.slices, i, is_desk, past)
        shared_bar(self.slices, self._wishes, self._weights, self._is_decision, book, order, exit_, open_)
        for i, (is_desk, terms) in enumerate(zip(self.team.desks, self.team.terms, strict=True)):
            paid, self._own_moments[i] = slice_bar(
                self.slices, i, is_desk, self._wishes[i], past, high, low, close, lowest, highest,
                self._first / LEAST_WORTH, self.team.quoting, self._rules, self._own_moments[i], terms,
            )  # fmt: skip
            self._own_rewards[i] += paid * self.settings.reward_scale

    def _info(self, fills: list[Fill]) -> dict[str, Any]:
        floor = self._first / LEAST_WORTH
        worths = [max(slice_worth(self.slices, i, self._close()), floor) for i in range(len(self.team))]
        return {
            **super()._info(fills),
            "rewards": list(self._own_rewards),
            "growths": [worth / self._first for worth in worths],
            "slices": self.slices[:, :2].copy(),
        }
