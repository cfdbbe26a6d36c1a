"""What one bar was worth to a learner. Rewards are measurements: float only, compiled by `batch.py` too."""

import math

LOG_RETURN, DIFFERENTIAL_SHARPE = 0, 1
KINDS = {"log_return": LOG_RETURN, "differential_sharpe": DIFFERENTIAL_SHARPE}


def log_return(before, after):
    """Return log(after / before); equity that fell to a thousandth or less counts as one thousandth.

    Returns of one bar are small. Within 1 % five terms of log(a / b) = 2 artanh((a - b) / (a + b)) are exact
    to the last bit; a logarithm would cost as much as the rest of the bar.
    """
    if after * 1000 <= before:
        return math.log(1 / 1000)
    ratio = (after - before) / (after + before)
    if -1 / 200 < ratio < 1 / 200:
        square = ratio * ratio
        return ratio * (2 + square * (2 / 3 + square * (2 / 5 + square * (2 / 7 + square * (2 / 9)))))
    return math.log(after / before)


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
