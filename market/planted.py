"""Seeded markets with a planted edge, and what a perfect observer of their prices would expect.

Each market is one-minute log returns of constant volatility whose next value is a little predictable:

- `reversion`: a random walk plus a deviation that halves every four hours (an AR(1) process);
- `momentum`: the drift is up or down and switches at random, every twelve hours in the mean;
- `hours`: the drift is a sine of the time of day, upwards until noon UTC;
- `edgeless`: nothing to predict.

`expected` is the exact filter of each: the mean of the next bar's log return given the closes until now. Its
strength is chosen so that the best long-or-flat trading of that expectation has an annual Sharpe ratio of
about 4.5 at 15 basis points a side (market/optimum.py computes it, a test holds it); the `-half` markets are
weaker, with a ratio of about half of that. `hours-easy` is some four times as strong: slow algorithms find it
in minutes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.random import Generator

DAY = 1440  # bars
SIGMA = 0.03 / math.sqrt(DAY)  # standard deviation of a bar's log return
HALF_LIFE = 240.0  # bars in which a deviation halves
REGIME_LIFE = 720.0  # mean bars between two switches of the drift
PHI = 2.0 ** (-1.0 / HALF_LIFE)
SWITCH = (1.0 - math.exp(-2.0 / REGIME_LIFE)) / 2.0  # chance that the drift of the next bar is the other one


@dataclass(frozen=True, slots=True)
class Planted:
    """A market with an edge. Returns are log returns per bar, the first bar begins at midnight UTC."""

    name: str
    kind: str  # reversion, momentum, hours or none
    strength: float

    def returns(self, bars: int, streams: list[Generator]) -> np.ndarray:
        """Draw log returns from two streams, (bars,); more bars begin with the same ones."""
        return DRAWS[self.kind](self.strength, bars, *streams)

    def expected(self, returns: np.ndarray) -> np.ndarray:
        """Return, for each bar, the expected log return of the bar after it given all returns so far."""
        return FILTERS[self.kind](self.strength, returns)


@dataclass(frozen=True, slots=True)
class Kalman:
    """The steady filter of the deviation x: x' = PHI x + e, return = w + x' - x; variances of e and of w."""

    moving: float
    walking: float
    gain: float
    innovation: float  # variance of a return given the returns before it

    @property
    def spread(self) -> float:
        """Stationary standard deviation of the expected return."""
        return (1 - PHI) * self.gain * math.sqrt(self.innovation / (1 - PHI * PHI))


def kalman(strength: float) -> Kalman:
    """Return the filter for a deviation whose standard deviation is `strength` times a day's volatility."""
    variance = (strength * SIGMA) ** 2 * DAY
    moving = variance * (1 - PHI * PHI)
    walking = SIGMA**2 - 2 * variance * (1 - PHI)  # the rest, so that a bar's variance is SIGMA squared
    pull, prior = PHI - 1, variance
    for _ in range(20_000):  # of Riccati's equation; it contracts by PHI squared a step
        innovation = pull * pull * prior + walking + moving
        gain = (PHI * pull * prior + moving) / innovation
        prior = PHI * PHI * prior + moving - gain * gain * innovation
    return Kalman(moving, walking, gain, innovation)


def _draw_reversion(strength: float, bars: int, first: Generator, second: Generator) -> np.ndarray:
    model = kalman(strength)
    pushes = math.sqrt(model.moving) * first.standard_normal(bars)
    deviation = np.fromiter(accumulate(pushes, lambda x, push: PHI * x + push), np.float64, bars)
    return math.sqrt(model.walking) * second.standard_normal(bars) + np.diff(deviation, prepend=0.0)


def _filter_reversion(strength: float, returns: np.ndarray) -> np.ndarray:
    gain = kalman(strength).gain
    keep = PHI + gain * (1 - PHI)
    guess = accumulate(gain * returns, lambda x, seen: keep * x + seen)
    return (PHI - 1) * np.fromiter(guess, np.float64, len(returns))


def _draw_momentum(strength: float, bars: int, first: Generator, second: Generator) -> np.ndarray:
    side = np.where(np.cumsum(first.random(bars) < SWITCH) % 2 == 0, 1.0, -1.0)
    return strength * SIGMA * side + SIGMA * second.standard_normal(bars)


def next_odds(odds: float) -> float:
    """Return the log odds that the next bar drifts upwards, given those of this bar."""
    up = 1.0 / (1.0 + math.exp(-odds))
    up = up * (1.0 - SWITCH) + (1.0 - up) * SWITCH
    return math.log(up / (1.0 - up))


def _filter_momentum(strength: float, returns: np.ndarray) -> np.ndarray:
    drift = strength * SIGMA
    evidence = (2.0 * drift / SIGMA**2 * returns).tolist()
    odds = accumulate(evidence, lambda prior, seen: next_odds(prior + seen), initial=0.0)
    ahead = np.fromiter(odds, np.float64, len(returns) + 1)[1:]
    return drift * np.tanh(ahead / 2.0)


def by_hour(strength: float) -> np.ndarray:
    """Return the drift of each minute of the day, (1440,)."""
    return strength * SIGMA * np.sin(2 * np.pi * np.arange(DAY) / DAY)


def _draw_hours(strength: float, bars: int, first: Generator, second: Generator) -> np.ndarray:
    return np.resize(by_hour(strength), bars) + SIGMA * second.standard_normal(bars)


def _filter_hours(strength: float, returns: np.ndarray) -> np.ndarray:
    return np.resize(by_hour(strength), len(returns) + 1)[1:]


def _draw_none(strength: float, bars: int, first: Generator, second: Generator) -> np.ndarray:
    return SIGMA * second.standard_normal(bars)


def _filter_none(strength: float, returns: np.ndarray) -> np.ndarray:
    return np.zeros(len(returns))


Draw = Callable[[float, int, Generator, Generator], np.ndarray]
DRAWS: dict[str, Draw] = {
    "reversion": _draw_reversion,
    "momentum": _draw_momentum,
    "hours": _draw_hours,
    "none": _draw_none,
}
FILTERS: dict[str, Callable[[float, np.ndarray], np.ndarray]] = {
    "reversion": _filter_reversion,
    "momentum": _filter_momentum,
    "hours": _filter_hours,
    "none": _filter_none,
}
# Strengths: deviation over a day's volatility; drift over a bar's volatility; its amplitude over the same.
PLANTED = {
    planted.name: planted
    for planted in (
        Planted("reversion", "reversion", 0.298),
        Planted("reversion-half", "reversion", 0.25),
        Planted("momentum", "momentum", 0.039),
        Planted("momentum-half", "momentum", 0.03),
        Planted("hours", "hours", 0.022),
        Planted("hours-half", "hours", 0.0153),
        Planted("hours-easy", "hours", 0.08),
        Planted("edgeless", "none", 0.0),
    )
}
