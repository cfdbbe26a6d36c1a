"""A seeded market for a sandbox without data: calm and nervous hours, no drift. One-minute bars."""

import zlib

import numpy as np

from market.candles import Candles

START_PRICES = {"BTC/USD": 60_000.0, "ETH/USD": 2_500.0, "SIM/USD": 100.0}
HISTORY, FUTURE = 5 * 1440, 60 * 1440  # bars before and after live time begins
SUBSTEPS = 10  # points of a bar's own walk, from which its high and low come
CALM = 0.0005  # volatility of a minute's return


def synthetic_candles(pair: str, seed: int, start_ms: int) -> Candles:
    """Return five days of history and sixty of future around `start_ms`; same arguments, same bars."""
    random = np.random.default_rng([seed, zlib.crc32(pair.encode())])
    bars = HISTORY + FUTURE
    mood = np.exp(
        np.interp(np.arange(bars), np.arange(0, bars + 60, 60), random.normal(0, 0.5, bars // 60 + 1))
    )
    moves = random.standard_normal((bars, SUBSTEPS)) * (mood * CALM / np.sqrt(SUBSTEPS))[:, None]
    walk = START_PRICES.get(pair, 100.0) * np.exp(np.cumsum(moves).reshape(bars, SUBSTEPS))
    close = walk[:, -1]
    open_ = np.append(START_PRICES.get(pair, 100.0), close[:-1])
    high, low = np.maximum(open_, walk.max(axis=1)), np.minimum(open_, walk.min(axis=1))
    volume = random.gamma(2.0, 5.0, bars) * mood
    first_ms = start_ms // 60_000 * 60_000 - HISTORY * 60_000
    places = 2 if close[0] >= 10 else 6
    open_, high, low, close = (np.round(column, places) for column in (open_, high, low, close))
    open_ms = first_ms + np.arange(bars, dtype=np.int64) * 60_000
    return Candles(60_000, open_ms, open_, high, low, close, np.round(volume, 5))
