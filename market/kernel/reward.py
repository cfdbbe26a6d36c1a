"""What one bar was worth to a learner. Rewards are measurements: float only, compiled by `batch.py` too."""

import math

LOG_RETURN, DIFFERENTIAL_SHARPE = 0, 1
KINDS = {"log_return": LOG_RETURN, "differential_sharpe": DIFFERENTIAL_SHARPE}


def log_return(before, after):
    """Return log(after / before); equity that fell below a thousandth counts as one thousandth.

    Returns of one bar are small: below 1 % eight terms of the series are exact to 1e-18 and several times
    faster than the logarithm.
    """
    x = (after - before) / before
    if -1 / 100 < x < 1 / 100:
        return x * (
            1 - x * (1 / 2 - x * (1 / 3 - x * (1 / 4 - x * (1 / 5 - x * (1 / 6 - x * (1 / 7 - x / 8))))))
        )
    return math.log(max(1 + x, 1 / 1000))


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
