"""Seeded markets that do not exist, as alike to bitcoin's minute bars as their purpose needs.

`regime_market`: volatility switches between regimes on eight time scales at once, from minutes to months
(the Markov-switching multifractal of Calvet & Fisher, 2004), with rare jumps. Prices are a martingale:
there is nothing to predict but volatility. Measured against eleven months of real minutes (2017 to 2025,
`tests/market/test_synthetic.py`): daily volatility 1.7 to 5.6 %, kurtosis of returns 9 to 440, and
autocorrelation of absolute returns 0.28 to 0.45 after one minute, 0.10 to 0.26 after an hour.

`planted_market`: constant volatility and a drift that can be predicted, with a known optimum, to see whether
an algorithm learns at all (market/planted.py, market/optimum.py).

The same seed gives the same arrays on every machine: every stream of random numbers has its own PCG64,
and whatever passed through a transcendental function is rounded to a grid far coarser than the last bit
in which processors may differ. More bars with the same seed begin with the same bars.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

from market.candles import Candles
from market.errors import BadInput
from market.planted import PLANTED, SIGMA, Planted

START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z
MINUTE_MS = 60_000
DAY_MS = 86_400_000
MOST_BARS = 20_000_000
SCALES_MIN = (7.0, 25.0, 90.0, 330.0, 1_200.0, 4_400.0, 16_000.0, 60_000.0)  # mean life of a regime, minutes
CALM = 0.5  # variance multiplier of a calm regime; a wild one has 2 - CALM
DAY_VOLATILITY = 0.03  # of an ordinary day
JUMPS_PER_DAY = 1.0
JUMP_SIZE = 7.0  # standard deviation of a jump, in ordinary standard deviations of a minute
LARGEST_RETURN = 0.2  # of a bar
REACH = 0.65  # share of a Brownian bar's range: real bars are a handful of trades and reach less far
GRID = 1e9  # returns are whole billionths
TICK = 100.0  # prices are whole hundredths, volumes whole millionths
MEAN_VOLUME = 10.0  # base units per ordinary minute


def regime_market(
    bars: int,
    seed: int,
    interval_ms: int = MINUTE_MS,
    start_ms: int = START_MS,
    start_price: float = 40_000.0,
) -> Candles:
    """Return `bars` gapless candles of a market with switching volatility and jumps.

    :param start_ms: start of the first bar, a multiple of `interval_ms`.
    :param start_price: at least 1: prices have two decimals.
    :raises BadInput: when a number is out of its range.
    """
    _check(bars, seed, interval_ms, start_ms, start_price)
    streams = _streams(seed, 6 + 2 * len(SCALES_MIN))
    minutes = interval_ms / MINUTE_MS
    level = _volatility(streams[6:], bars, minutes)
    sigma = DAY_VOLATILITY * np.sqrt(interval_ms / 86_400_000) * level
    returns = sigma * streams[0].standard_normal(bars) + _jumps(streams[1:3], bars, minutes)
    return _candles(returns, sigma, level, streams[3:6], interval_ms, start_ms, start_price)


def planted_market(
    planted: Planted,
    bars: int,
    seed: int,
    interval_ms: int = MINUTE_MS,
    start_ms: int = START_MS,
    start_price: float = 40_000.0,
) -> Candles:
    """Return `bars` gapless one-minute candles of a market with a known edge (market/planted.py).

    :param start_ms: midnight UTC, where the market's first day begins
    :raises BadInput: when a number is out of its range
    """
    _check(bars, seed, interval_ms, start_ms, start_price)
    if interval_ms != MINUTE_MS:
        raise BadInput(
            f"the edge of {planted.name!r} is known for one-minute bars: choose interval 1m", "interval"
        )
    if start_ms % DAY_MS:
        raise BadInput(f"{planted.name!r} must start at midnight UTC", "start")
    streams = _streams(seed, 5)
    returns = np.expm1(planted.returns(bars, streams[:2]))
    return _candles(
        returns, np.full(bars, SIGMA), np.ones(bars), streams[2:], interval_ms, start_ms, start_price
    )


def log_returns(candles: Candles) -> np.ndarray:
    """Return the log return of each bar from its open to its close, (n,): what a planted filter reads."""
    return np.log(candles.close / candles.open)


def _streams(seed: int, count: int) -> list[Generator]:
    return [Generator(PCG64(child)) for child in SeedSequence(seed).spawn(count)]


def _candles(
    returns: np.ndarray,
    sigma: np.ndarray,
    level: np.ndarray,
    streams: list[Generator],
    interval_ms: int,
    start_ms: int,
    start_price: float,
) -> Candles:
    """Return candles that make these simple returns, with ranges and volumes drawn from three streams."""
    returns = _on_grid(np.clip(returns, -LARGEST_RETURN, LARGEST_RETURN), GRID)
    close = _prices(returns, start_price)
    opens = np.concatenate([_on_grid(np.array([start_price]), TICK), close[:-1]])
    above, below = (_excursion(stream, sigma, returns) for stream in streams[:2])
    high = np.maximum(_on_grid(np.maximum(opens, close) * (1 + above), TICK), np.maximum(opens, close))
    low = np.minimum(_on_grid(np.minimum(opens, close) * (1 - below), TICK), np.minimum(opens, close))
    volume = _volume(streams[2], level, sigma, returns, interval_ms / MINUTE_MS)
    times = start_ms + np.arange(len(returns), dtype=np.int64) * interval_ms
    return Candles(interval_ms, times, opens, high, np.maximum(low, 1 / TICK), close, volume)


MARKETS: dict[str, Callable[..., Candles]] = {
    "regime": regime_market,
    **{name: partial(planted_market, planted) for name, planted in PLANTED.items()},
}


def _check(bars: int, seed: int, interval_ms: int, start_ms: int, start_price: float) -> None:
    if not 1 <= bars <= MOST_BARS:
        raise BadInput(f"the number of bars must be between 1 and {MOST_BARS:,}, not {bars}", field="bars")
    if seed < 0:
        raise BadInput(f"the seed must be zero or more, not {seed}", field="seed")
    if interval_ms <= 0 or start_ms % interval_ms:
        raise BadInput("the first bar must start at a multiple of its interval", field="start")
    if not 1 <= start_price <= 1e9:
        raise BadInput(f"the first price must be between 1 and 1e9, not {start_price:g}", field="start_price")


def _volatility(streams: list[Generator], bars: int, minutes: float) -> np.ndarray:
    """Return the volatility of each bar in units of the ordinary one: a product of two-valued regimes."""
    variance = np.ones(bars)
    rows = np.arange(bars)
    for k, life in enumerate(SCALES_MIN):
        when, which = streams[2 * k], streams[2 * k + 1]
        # The chance of at least one change in a bar: 1 - exp(-x), here to second order without exp.
        chance = min(1.0, minutes / life) * (1 - min(1.0, minutes / life) / 2)
        changes = when.random(bars) < chance
        changes[:1] = True
        values = np.where(which.random(bars) < 0.5, CALM, 2 - CALM)
        variance *= values[np.maximum.accumulate(np.where(changes, rows, 0))]
    return np.sqrt(variance)


def _jumps(streams: list[Generator], bars: int, minutes: float) -> np.ndarray:
    """Return the jump of each bar, mostly zero."""
    happens = streams[0].random(bars) < min(0.5, JUMPS_PER_DAY * minutes / 1440)
    size = JUMP_SIZE * DAY_VOLATILITY / np.sqrt(1440)
    return np.where(happens, size * streams[1].standard_normal(bars), 0.0)


def _prices(returns: np.ndarray, start_price: float) -> np.ndarray:
    """Return closes from simple returns: a product of plain multiplications, the same on every machine."""
    return np.maximum(_on_grid(start_price * np.multiply.accumulate(1 + returns), TICK), 1 / TICK)


def _excursion(stream: Generator, sigma: np.ndarray, returns: np.ndarray) -> np.ndarray:
    """Return how far a Brownian bridge from open to close reaches beyond the further of the two.

    P(reach > x) = exp(-2 x (x + |r|) / sigma²), solved for x at a uniform probability, then shortened.
    """
    spread = -2 * np.log(1 - stream.random(len(sigma))) * sigma**2
    size = np.abs(returns)
    return _on_grid(REACH * (np.sqrt(size**2 + spread) - size) / 2, GRID)


def _volume(
    stream: Generator, level: np.ndarray, sigma: np.ndarray, returns: np.ndarray, minutes: float
) -> np.ndarray:
    """Return base volume: heavier when volatility is high and the bar moved, log-normal around that."""
    activity = level * (0.5 + 0.5 * np.abs(returns) / sigma)
    return _on_grid(MEAN_VOLUME * minutes * activity * np.exp(0.7 * stream.standard_normal(len(level))), 1e6)


def _on_grid(values: np.ndarray, per_unit: float) -> np.ndarray:
    return np.rint(values * per_unit) / per_unit
