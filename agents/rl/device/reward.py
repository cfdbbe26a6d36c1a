"""What one bar was worth, for many accounts as torch tensors: the kernel's `reward`."""

import math

import torch
from torch import Tensor

from market.kernel.reward import MOST_RATIO, Moments, Terms

QUIET = 1e-14  # moments below it are rounding noise


def bar_reward(
    before: Tensor,
    after: Tensor,
    peaks: tuple[Tensor, Tensor],
    prices: tuple[Tensor, Tensor],
    traded: Tensor | None,
    moments: Moments,
    terms: Terms,
) -> tuple[Tensor, Moments]:
    """Return (reward, moments) of one bar, see `market.kernel.reward.bar_reward`.

    :param peaks: highest equity at a close, up to the first and up to the second of its two closes
    :param prices: of the asset at both
    :param traded: notionals filled in between; None where nothing can have been filled
    """
    rate = after / before - 1
    reward = terms.log_return * log_return(before, after) if terms.log_return else torch.zeros_like(before)
    if terms.sharpe or terms.sortino:
        sharpe, sortino, moments = _ratios(rate, moments, terms.decay)
        reward = reward + terms.sharpe * sharpe.clamp(-MOST_RATIO, MOST_RATIO)
        reward = reward + terms.sortino * sortino.clamp(-MOST_RATIO, MOST_RATIO)
    if terms.drawdown:
        deeper = ((1 - after / peaks[1]) - (1 - before / peaks[0])).clamp(min=0)
        reward = reward - terms.drawdown * deeper
    if terms.holding_risk:
        reward = reward - terms.holding_risk * rate * rate
    if terms.turnover and traded is not None:
        reward = reward - terms.turnover * traded / before
    if terms.benchmark:
        beyond = log_return(before, after) - log_return(*prices)
        reward = reward + terms.benchmark * beyond
    return reward, moments


def log_return(before: Tensor, after: Tensor) -> Tensor:
    """Return log(after / before); what fell to a thousandth or less counts as one thousandth."""
    is_lost = after * 1000 <= before
    return torch.where(is_lost, math.log(1 / 1000), torch.log1p((after - before) / before))


def _ratios(rate: Tensor, moments: Moments, decay: float) -> tuple[Tensor, Tensor, Moments]:
    """Return the differential Sharpe and Sortino ratios of a return, and the updated moments."""
    mean, square, below = moments
    d_mean, d_square = rate - mean, rate * rate - square
    variance = square - mean * mean
    sharpe = (square * d_mean - mean * d_square / 2) / (variance * variance.sqrt())
    loss = rate.clamp(max=0)
    d_below = loss * loss - below
    sortino = (below * d_mean - mean * d_below / 2) / (below * below.sqrt())
    quiet = torch.zeros_like(rate)
    return (
        torch.where(variance > QUIET, sharpe, quiet),
        torch.where(below > QUIET, sortino, quiet),
        Moments(mean + decay * d_mean, square + decay * d_square, below + decay * d_below),
    )
