"""What one bar was worth to a learner. Rewards are measurements: float only, compiled by `batch.py` too."""

import math
from typing import Any, NamedTuple

MOST_RATIO = 10  # of a differential ratio: a return after a quiet stretch would be worth millions


class Terms(NamedTuple):
    """Weights of what one bar's reward is the sum of; 0 leaves a term out. See docs/environments.md."""

    log_return: Any = 0  # log return of equity
    sharpe: Any = 0  # differential Sharpe ratio of simple returns
    sortino: Any = 0  # differential Sortino ratio of simple returns
    drawdown: Any = 0  # less: by how much the drawdown deepened
    holding_risk: Any = 0  # less: squared simple return of equity, 0 while flat
    turnover: Any = 0  # less: notional traded, as a share of the equity before
    benchmark: Any = 0  # log return of equity above that of the asset itself
    decay: Any = 1 / 100  # weight of the newest return in the ratios' moments; no term of its own


class Moments(NamedTuple):
    """Exponential moments of simple returns, what the differential ratios remember; 0 at first."""

    mean: Any
    square: Any
    below: Any  # of squared losses


def bar_reward(before, after, peak_before, peak_after, price_before, price, traded, moments, terms):
    """Return (reward, moments) of one bar, from equity and the asset's price at its two closes.

    :param peak_before: highest equity at a close up to the first one, `peak_after` up to the second
    :param traded: sum of the notionals filled in between, quote currency
    """
    zero = before - before
    own = log_return(before, after) if terms.log_return != 0 or terms.benchmark != 0 else zero
    asset = log_return(price_before, price) if terms.benchmark != 0 else zero
    return reward_of(own, asset, before, after, peak_before, peak_after, traded, moments, terms)


def reward_of(own, asset, before, after, peak_before, peak_after, traded, moments, terms):
    """Return what `bar_reward` does, from the log returns `own` of the equity and `asset` of the price."""
    reward = before - before
    if terms.log_return != 0:
        reward += terms.log_return * own
    if terms.sharpe != 0 or terms.sortino != 0:
        rate = after / before - 1
        sharpe, mean, square = differential_sharpe(rate, moments.mean, moments.square, terms.decay)
        sortino, below = differential_sortino(rate, moments.mean, moments.below, terms.decay)
        reward += terms.sharpe * min(max(sharpe, -MOST_RATIO), MOST_RATIO)
        reward += terms.sortino * min(max(sortino, -MOST_RATIO), MOST_RATIO)
        moments = Moments(mean, square, below)
    if terms.drawdown != 0:
        reward -= terms.drawdown * deepening(before, after, peak_before, peak_after)
    if terms.holding_risk != 0:
        rate = after / before - 1
        reward -= terms.holding_risk * rate * rate
    if terms.turnover != 0:
        reward -= terms.turnover * traded / before
    if terms.benchmark != 0:
        reward += terms.benchmark * (own - asset)
    return reward, moments


def log_return(before, after):
    """Return log(after / before); equity that fell to a thousandth or less counts as one thousandth.

    Returns of one bar are small, and `log_series` serves them: a logarithm would cost as much as the bar.
    """
    if after * 1000 <= before:
        return math.log(1 / 1000)
    ratio = (after - before) / (after + before)
    return log_series(ratio) if is_short(ratio) else math.log(after / before)


def is_short(ratio):
    """Say whether `log_series` is exact to the last bit: changes within 1 %."""
    return -1 / 200 < ratio < 1 / 200


def log_series(ratio):
    """Return log(a / b) = 2 artanh(ratio) in five terms, of ratio = (a - b) / (a + b)."""
    square = ratio * ratio
    return ratio * (2 + square * (2 / 3 + square * (2 / 5 + square * (2 / 7 + square * (2 / 9)))))


def deepening(before, after, peak_before, peak_after):
    """Return by how much the drawdown from the running peak grew, as a fraction; 0 when it shrank.

    Over an episode these add up to how far the account fell from its peaks, however long it stayed there.
    """
    return max((1 - after / peak_after) - (1 - before / peak_before), before - before)


def differential_sharpe(rate, mean, square, decay):
    """Return (reward, mean, square): the differential Sharpe ratio of a return and the updated moments.

    Moody & Saffell 1998, eq. 14: D = (B dA - A dB / 2) / (B - A^2)^(3/2) with exponential moments A of the
    return and B of its square. Until the variance is more than rounding noise the reward is 0.
    """
    d_mean, d_square = rate - mean, rate * rate - square
    variance = square - mean * mean
    reward = rate - rate
    if variance > 1 / 10**14:
        reward = (square * d_mean - mean * d_square / 2) / (variance * math.sqrt(variance))
    return reward, mean + decay * d_mean, square + decay * d_square


def differential_sortino(rate, mean, below, decay):
    """Return (reward, below): the differential downside deviation ratio and the updated second moment.

    Moody & Saffell 2001: the derivative by `decay` of A / sqrt(B), with exponential moments A of the return
    (updated by `differential_sharpe`) and B of its square where it is a loss, 0 elsewhere. Until losses are
    more than rounding noise the reward is 0.
    """
    loss = min(rate, rate - rate)
    d_mean, d_below = rate - mean, loss * loss - below
    reward = rate - rate
    if below > 1 / 10**14:
        reward = (below * d_mean - mean * d_below / 2) / (below * math.sqrt(below))
    return reward, below + decay * d_below
