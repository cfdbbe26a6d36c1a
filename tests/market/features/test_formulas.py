"""A sample of the catalogue against formulas written from their definitions."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from market.candles import Candles
from market.errors import BadInput
from market.features import FeatureSet, FeatureSpec, compute

from .markets import MINUTE, bars, random_walk

WALK = random_walk(300, seed=11)
C, H, L, V = WALK.close, WALK.high, WALK.low, WALK.volume


def column(kind, candles=WALK, **params):
    return compute(candles, FeatureSet((FeatureSpec("x", kind, params),)))[:, 0]


def windows(values, period):
    """One row per bar from period - 1 on: the last `period` values."""
    return np.lib.stride_tricks.sliding_window_view(values, period)


def exponential(values, seed, weight):
    out = [seed]
    for value in values:
        out.append(out[-1] + weight * (value - out[-1]))
    return np.array(out)


def smoothed(values, period, weight):
    """A recursive average seeded with the mean of its first period."""
    return exponential(values[period:], values[:period].mean(), weight)


def true_range():
    return np.maximum(H[1:], C[:-1]) - np.minimum(L[1:], C[:-1])


def macd_histogram():
    fast = exponential(C[26:], C[14:26].mean(), 2 / 13)
    slow = smoothed(C, 26, 2 / 27)
    line = fast - slow
    return line[8:] - smoothed(line, 9, 0.2)


def relative_strength():
    moves = np.diff(C)
    gain, loss = (smoothed(np.maximum(sign * moves, 0), 14, 1 / 14) for sign in (1, -1))
    return 2 * gain / (gain + loss) - 1


def efficiency():
    moves = np.abs(np.diff(C))
    return np.abs(C[10:] - C[:-10]) / windows(moves, 10).sum(axis=1)


def commodity_channel():
    typical = (H + L + C) / 3
    mean = windows(typical, 20).mean(axis=1)
    deviation = np.abs(windows(typical, 20) - mean[:, None]).mean(axis=1)
    return (typical[19:] - mean) / (0.015 * deviation) / 100


def stochastic():
    top, bottom = windows(H, 14).max(axis=1), windows(L, 14).min(axis=1)
    smooth = windows((C[13:] - bottom) / (top - bottom), 3).mean(axis=1)
    return 2 * smooth[2:] - 1  # TA-Lib waits for %D before it gives %K


def aroon():
    since_high = 25 - windows(H, 26).argmax(axis=1)
    since_low = 25 - windows(L, 26).argmin(axis=1)
    return (since_low - since_high) / 25


def slope():
    return np.array([np.polyfit(np.arange(14), window, 1)[0] for window in windows(C, 14)]) / C[13:]


def money_flow():
    typical = (H + L + C) / 3
    signed = np.sign(np.diff(typical)) * (typical * V)[1:]
    up, down = windows(np.maximum(signed, 0), 14).sum(axis=1), windows(np.maximum(-signed, 0), 14).sum(axis=1)
    return 2 * up / (up + down) - 1


RETURNS = np.diff(np.log(C))
BODY_PLACE = (2 * C - H - L) / (H - L)
DEFINITIONS = {
    "sma": lambda: 1 - windows(C, 20).mean(axis=1) / C[19:],
    "ema": lambda: 1 - smoothed(C, 20, 2 / 21) / C[19:],
    "wma": lambda: 1 - windows(C, 20) @ (np.arange(1, 21) / 210) / C[19:],
    "rma": lambda: 1 - smoothed(C, 14, 1 / 14) / C[13:],
    "rsi": relative_strength,
    "cmo": relative_strength,
    "macd_hist": lambda: macd_histogram() / C[33:],
    "natr": lambda: smoothed(true_range(), 14, 1 / 14) / C[14:],
    "stoch_k": stochastic,
    "cci": commodity_channel,
    "aroonosc": aroon,
    "er": efficiency,
    "mfi": money_flow,
    "linearreg_slope": slope,
    "donchian_position": lambda: (
        (2 * C[19:] - windows(H, 20).max(axis=1) - windows(L, 20).min(axis=1))
        / (windows(H, 20).max(axis=1) - windows(L, 20).min(axis=1))
    ),
    "bbands_position": lambda: (C[19:] - windows(C, 20).mean(axis=1)) / (2 * windows(C, 20).std(axis=1)),
    "zscore": lambda: (C[59:] - windows(C, 60).mean(axis=1)) / windows(C, 60).std(axis=1),
    "return_zscore": lambda: (
        (RETURNS[59:] - windows(RETURNS, 60).mean(axis=1)) / windows(RETURNS, 60).std(axis=1)
    ),
    "log_return": lambda: RETURNS,
    "volatility": lambda: windows(RETURNS, 30).std(axis=1),
    "realised_volatility": lambda: np.sqrt((windows(RETURNS, 30) ** 2).mean(axis=1)),
    "parkinson": lambda: np.sqrt((windows(np.log(H / L), 30) ** 2).mean(axis=1) / (4 * math.log(2))),
    "skewness": lambda: (
        (windows(RETURNS, 60) ** 3).mean(axis=1) / (windows(RETURNS, 60) ** 2).mean(axis=1) ** 1.5
    ),
    "close_location": lambda: BODY_PLACE,
    "cmf": lambda: windows(BODY_PLACE * V, 20).sum(axis=1) / windows(V, 20).sum(axis=1),
    "vwma": lambda: 1 - windows(C * V, 30).sum(axis=1) / windows(V, 30).sum(axis=1) / C[29:],
    "rvol": lambda: V[19:] / windows(V, 20).mean(axis=1) - 1,
    "obv_share": lambda: (
        windows(np.sign(np.diff(C)) * V[1:], 20).sum(axis=1) / windows(V[1:], 20).sum(axis=1)
    ),
}


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_an_indicator_follows_its_definition(kind):
    expected = DEFINITIONS[kind]()
    found = column(kind)
    np.testing.assert_allclose(found[-len(expected) :], expected, rtol=1e-9, atol=1e-11)
    assert np.isnan(found[: -len(expected)]).all()


def at(*moment):
    """Minute bars of which the last closes at the given moment of 2024, UTC."""
    close_ms = int(datetime(2024, *moment, tzinfo=UTC).timestamp() * 1000)
    return bars([1.0, 1.0], times=np.array([close_ms - 2 * MINUTE, close_ms - MINUTE]))


@pytest.mark.parametrize(
    ("kind", "moment", "expected"),
    [
        ("day_sin", (3, 5, 6, 0), 1.0),
        ("day_cos", (3, 5, 12, 0), -1.0),
        ("day_cos", (3, 5, 0, 0), 1.0),
        ("week_sin", (3, 4, 0, 0), 0.0),  # a Monday
        ("week_cos", (3, 7, 12, 0), -1.0),  # half a week later
        ("weekend", (3, 8, 23, 59), 0.0),  # a Friday
        ("weekend", (3, 9, 0, 0), 1.0),
        ("weekend", (3, 11, 0, 0), 0.0),
        ("session", (3, 5, 13, 59), 0.0),
        ("session", (3, 5, 14, 0), 1.0),
        ("session", (3, 5, 21, 0), 0.0),
    ],
)
def test_the_calendar_reads_the_moment_of_the_bars_close(kind, moment, expected):
    assert column(kind, at(*moment))[-1] == pytest.approx(expected, abs=1e-12)


def test_a_flat_untraded_market_shows_nothing():
    flat = bars(np.full(300, 42.0), volume=0)
    quiet = (
        "zscore",
        "log_return",
        "bbands_position",
        "close_location",
        "cmf",
        "rvol",
        "volatility",
        "efi",
        "sma",
    )
    assert [kind for kind in quiet if abs(column(kind, flat)[-1]) > 1e-12] == []


def test_bars_out_of_use_are_named_by_their_time():
    broken = Candles(MINUTE, WALK.open_ms, WALK.open, H, L, np.where(np.arange(300) == 7, np.nan, C), V)
    with pytest.raises(BadInput, match=r"2023-11-14T22:21:00\.000 UTC has a close price that is missing"):
        column("sma", broken)
