"""How far a mean of daily returns can be believed: resampled over days and seeds together."""

import math

import numpy as np

BLOCK_DAYS = 7  # days drawn together, so that what lasts a week stays in
DRAWS = 2_000
LEVELS = (2.5, 97.5)  # percentiles of a 95 % interval


def mean_interval(returns: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean by a circular block bootstrap.

    Every draw takes seeds with replacement and as many days, in blocks: what another set of seeds, and other
    weeks of the same kind, might have given.

    :param returns: (seeds, days) of log returns, days in order
    """
    seeds, days = returns.shape
    rng = np.random.default_rng(seed)
    block = min(BLOCK_DAYS, days)
    starts = rng.integers(0, days, (DRAWS, math.ceil(days / block)))
    at = ((starts[:, :, None] + np.arange(block)) % days).reshape(DRAWS, -1)[:, :days]  # (draws, days)
    drawn = rng.integers(0, seeds, (DRAWS, seeds))
    weights = (drawn[:, :, None] == np.arange(seeds)).mean(1)  # (draws, seeds)
    means = [float((weight @ returns)[days_].mean()) for weight, days_ in zip(weights, at, strict=True)]
    low, high = np.percentile(means, LEVELS)
    return float(low), float(high)


def by_day(open_ms: np.ndarray, equity: np.ndarray) -> dict[int, float]:
    """Return days since 1970 -> log return of equity in that day (UTC), by where each bar begins.

    :param open_ms: (n,) starts of the bars
    :param equity: (n,) at their closes; the first is what the account started with
    """
    days, grown = open_ms[1:] // 86_400_000, np.diff(np.log(equity))
    names, at = np.unique(days, return_inverse=True)
    return dict(zip(names.tolist(), np.bincount(at, weights=grown).tolist(), strict=True))


def pooled(runs: list[tuple[int, dict[int, float]]]) -> tuple[list[int], np.ndarray]:
    """Return days in order, and per seed the mean over all series that have the day, (seeds, days).

    :param runs: (seed, day -> log return) of every series and window; each seed has the same ones
    """
    seeds = sorted({seed for seed, _ in runs})
    days = sorted({day for _, returns in runs for day in returns})
    place = {day: at for at, day in enumerate(days)}
    totals, counts = (np.zeros((len(seeds), len(days))) for _ in range(2))
    for seed, returns in runs:
        row = seeds.index(seed)
        for day, value in returns.items():
            totals[row, place[day]] += value
            counts[row, place[day]] += 1
    return days, totals / np.maximum(counts, 1)
