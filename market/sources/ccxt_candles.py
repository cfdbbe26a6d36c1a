"""Candles from any exchange the ccxt library knows, from its public interface: no key is needed."""

import json
from typing import Any

import numpy as np

from market.candles import Candles, interval_name
from market.errors import BadInput
from market.sources.binance import as_candles, closed_only, is_believable
from market.sources.ccxt_client import open_client
from market.sources.port import SourceUnavailable, no_candles

PAGE = 500  # bars; what every exchange gives at once
SETTLED_MS = 120_000
TIMEOUT_MS = 10_000


class CcxtCandles:
    """A `DataSource`. Pairs are spelled as the library spells them: BTC/USDT.

    :param base_url: takes the place of scheme and host of the exchange's addresses.
    """

    def __init__(self, name: str, base_url: str | None = None) -> None:
        self._name = name
        self._client = open_client(name, base_url)
        self._client.timeout = TIMEOUT_MS
        self._client.number = float  # candles are measurements
        self._client.parse_json = _decoded
        self._client.enableRateLimit = True  # waits as long as the exchange wants between pages

    def candles(self, pair: str, interval_ms: int, from_ms: int, to_ms: int, *, now_ms: int) -> Candles:
        """Return the closed bars that start in [from_ms, to_ms), page by page; see `DataSource`."""
        name = interval_name(interval_ms)
        end = min(to_ms, now_ms - interval_ms + 1)
        pages, start = [], -(-from_ms // interval_ms) * interval_ms
        self._check(pair, name)
        while start < end:
            page = self._page(pair, name, interval_ms, start, end + interval_ms)
            if len(page) == 0:
                break
            pages.append(page)
            start = int(page[-1, 0]) + interval_ms
        if not pages:
            return no_candles(interval_ms)
        return as_candles(
            closed_only(np.concatenate(pages), end, now_ms - interval_ms - SETTLED_MS), interval_ms
        )

    def _check(self, pair: str, interval: str) -> None:
        client = self._client
        if not client.has.get("fetchOHLCV") or interval not in (client.timeframes or {}):
            raise BadInput(f"{self._name} has no {interval} candles through ccxt", field="interval")
        markets = self._asked(client.load_markets)
        if pair not in markets:
            raise BadInput(
                f"{self._name} has no pair {pair} (dollars are often tether: BTC/USDT)", field="pair"
            )

    def _page(self, pair: str, interval: str, interval_ms: int, start: int, end: int) -> np.ndarray:
        """Return one page, shape (n, 6): open time in ms, open, high, low, close, volume."""
        rows = self._asked(lambda: self._client.fetch_ohlcv(pair, interval, start, PAGE))
        try:
            page = np.array([row[:6] for row in rows], dtype=np.float64).reshape(-1, 6)
        except (ValueError, TypeError, IndexError) as error:
            raise SourceUnavailable(f"{self._name} answered something that is no candles") from error
        page = page[
            (page[:, 0] >= start) & (page[:, 0] < end)
        ]  # some give a bar more than they were asked for
        if not is_believable(page, interval_ms, start, end):
            raise SourceUnavailable(f"{self._name} answered impossible candles for {pair}")
        return page

    def _asked(self, act: Any) -> Any:
        import ccxt

        try:
            return act()
        except ccxt.BadSymbol as error:
            raise BadInput(f"{self._name} has no such pair", field="pair") from error
        except (ccxt.DDoSProtection, ccxt.RateLimitExceeded) as error:
            raise SourceUnavailable(f"{self._name} is limiting us; try again later") from error
        except ccxt.BaseError as error:
            words = f"{type(error).__name__} {error}"[:160]
            raise SourceUnavailable(f"{self._name} did not give candles: {words}") from error


def _decoded(text: str) -> Any:
    """Return what a JSON text says; the library itself would take a broken one for an empty answer."""
    import ccxt

    try:
        return json.loads(text)
    except ValueError as error:
        raise ccxt.BadResponse("the answer is no JSON") from error
