"""The best long-or-flat trading of a planted edge under proportional costs, and how near others come to it.

The state is what the filter expects of the next bar and whether the position is open. With g(s) the gain of
being long over being flat from state s on, dynamic programming asks for

    g(s) = expected(s) + E[ clip(g(s'), -cost, cost) ]

and the best policy buys where g > cost and sells where g < -cost (trading between the two is never worth it).
Gains are log returns; an agent is scored by the returns that the filter expects of its positions, because
realised ones are mostly noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from market.planted import DAY, PHI, SIGMA, SWITCH, Planted, by_hour, kalman

COST = 0.0015  # of the notional and side: Roostoo's taker fee of 10 basis points and 5 of slippage
YEAR = 365 * DAY  # bars
POINTS = 301  # of the grid over the filter's state
REACH, ODDS = 5.0, 9.0  # how far the grid goes: standard deviations, log odds
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
Node = tuple[np.ndarray, Any]  # next values by state, and their chance: one number or one by state


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best policy of a planted market, as thresholds on the gain of being long."""

    expected: np.ndarray  # (n,) of the next bar, by state; for the time of day one state a minute
    gain: np.ndarray  # (n,) of being long over being flat
    per_bar: float  # long-run expected log return per bar, costs paid
    exposure: float  # long-run share of bars in the market
    fills_per_day: float

    @property
    def sharpe(self) -> float:
        """Annualised Sharpe ratio of the best policy, risk taken as volatility times the root of exposure."""
        risk = SIGMA * math.sqrt(self.exposure)
        return self.per_bar / risk * math.sqrt(YEAR) if risk else 0.0


@lru_cache(maxsize=16)
def optimum(planted: Planted) -> Optimum:
    """Return the best policy of a planted market at `COST` per side."""
    if planted.kind == "none":
        return Optimum(np.zeros(1), np.zeros(1), 0.0, 0.0, 0.0)
    if planted.kind == "hours":
        return _by_clock(np.roll(by_hour(planted.strength), -1))
    expected, moves = _states(planted)
    gain = np.where(expected > 0, 2 * COST, -2 * COST)
    for _ in range(100):  # Newton's iteration: which states trade, then the gains that follow from that
        waits = np.abs(gain) < COST
        traded = np.where(waits, 0, COST * np.sign(gain))
        better = np.linalg.solve(np.eye(len(gain)) - moves * waits, expected + moves @ traded)
        change, gain = np.abs(better - gain).max(), better
        if change < 1e-12:
            break
    return _long_run(expected, moves, gain)


def _states(planted: Planted) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected return of each state and the chances (n, n) to go from one to another."""
    nodes: list[Node]
    if planted.kind == "reversion":
        grid = np.linspace(-REACH, REACH, POINTS)
        push = math.sqrt(1 - PHI * PHI)
        nodes = [(PHI * grid + push * node, weight) for node, weight in zip(NODES, WEIGHTS, strict=True)]
        return kalman(planted.strength).spread * grid, _moves(grid, nodes)
    grid, drift = np.linspace(-ODDS, ODDS, POINTS), planted.strength * SIGMA
    up = 1 / (1 + np.exp(-grid))  # of the next bar's drift
    nodes = []
    for side, chance in ((1, up), (-1, 1 - up)):
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            odds = grid + 2 * drift / SIGMA**2 * (side * drift + SIGMA * node)
            later = 1 / (1 + np.exp(-odds))
            later = later * (1 - SWITCH) + (1 - later) * SWITCH
            nodes.append((np.log(later / (1 - later)), weight * chance))
    return drift * np.tanh(grid / 2), _moves(grid, nodes)


def _moves(grid: np.ndarray, nodes: Sequence[Node]) -> np.ndarray:
    """Spread each state's next values over the two grid points around them."""
    moves, each = np.zeros((len(grid), len(grid))), np.arange(len(grid))
    for values, weight in nodes:
        place = np.clip((values - grid[0]) / (grid[1] - grid[0]), 0, len(grid) - 1)
        left = np.minimum(place.astype(int), len(grid) - 2)
        moves[each, left] += weight * (left + 1 - place)
        moves[each, left + 1] += weight * (place - left)
    return moves


def _long_run(expected: np.ndarray, moves: np.ndarray, gain: np.ndarray) -> Optimum:
    """Return what the policy earns in the stationary distribution of (state, flat or long)."""
    buys, sells, count = gain > COST, gain < -COST, len(gain)
    chances = np.zeros((2 * count, 2 * count))
    chances[:count, :count] = moves * ~buys[:, None]
    chances[:count, count:] = moves * buys[:, None]
    chances[count:, :count] = moves * sells[:, None]
    chances[count:, count:] = moves * ~sells[:, None]
    balance = chances.T - np.eye(2 * count)
    balance[-1] = 1.0  # one of the equations follows from the others: the shares add up to 1 instead
    shares = np.linalg.solve(balance, np.append(np.zeros(2 * count - 1), 1.0))
    flat, long = shares[:count], shares[count:]
    held = np.where(sells, 0, long) + np.where(buys, flat, 0)
    fills = float(long[sells].sum() + flat[buys].sum())
    return Optimum(expected, gain, float(held @ expected) - COST * fills, float(held.sum()), fills * DAY)


def _by_clock(expected: np.ndarray) -> Optimum:
    """Return the best policy where each minute of the day has its own expectation, (1440,).

    Its second day counts; all later ones are like it.
    """
    gain = expected
    for _ in range(10 * DAY):
        gain = expected + np.roll(np.clip(gain, -COST, COST), -1)
    held = _followed(np.tile(gain, 2))
    fills = float(np.abs(np.diff(held)[DAY - 1 :]).sum())
    share = held[DAY:]
    return Optimum(expected, gain, (float(share @ expected) - COST * fills) / DAY, float(share.mean()), fills)


def best_positions(planted: Planted, expected: np.ndarray) -> np.ndarray:
    """Return the best exposure after each bar's close, 0 or 1, (n,), given the filter's expectations.

    :param expected: of a whole path: its first bar begins at midnight UTC
    """
    best = optimum(planted)
    if planted.kind == "hours":
        return _followed(np.resize(best.gain, len(expected)))
    return _followed(np.interp(expected, best.expected, best.gain))


def _followed(gain: np.ndarray) -> np.ndarray:
    """Return positions, 0 or 1, that buy and sell where the gains of being long say so; flat at first."""
    wish = np.where(gain > COST, 1, np.where(gain < -COST, -1, 0))
    latest = np.maximum.accumulate(np.where(wish != 0, np.arange(len(wish)), 0))
    return (wish[latest] > 0).astype(np.float64)


def worth(exposure: np.ndarray, expected: np.ndarray) -> float:
    """Return the expected log return of holding `exposure` after each close, costs of changing it paid.

    :param exposure: (n,) share of equity, the account starts flat
    :param expected: (n,) expected log return of the bar after each close
    """
    return float(exposure @ expected - COST * np.abs(np.diff(exposure, prepend=0.0)).sum())


def share_of_optimum(planted: Planted, exposure: np.ndarray, expected: np.ndarray) -> float:
    """Return the worth of positions over the worth of the best ones on the same path; 1 is the optimum."""
    return worth(exposure, expected) / worth(best_positions(planted, expected), expected)
