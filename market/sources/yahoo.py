"""Candles from Yahoo Finance's chart interface, which its own pages use: no key, and no promise to stay.

Minutes reach back about a month, hours about two years, days to the beginning.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import requests

from market.candles import MS, Candles, interval_name
from market.errors import BadInput
from market.sources.binance import as_candles, closed_only
from market.sources.port import SourceUnavailable, no_candles

BASE_URL = "https://query1.finance.yahoo.com"
NAMES = {MS["1m"]: "1m", MS["5m"]: "5m", MS["15m"]: "15m", MS["1h"]: "60m", MS["1d"]: "1d"}
DAY_MS = 86_400_000
SPAN_MS = {MS["1m"]: 7 * DAY_MS, MS["1d"]: 3650 * DAY_MS}  # of one request
OTHER_SPAN_MS = 50 * DAY_MS
SETTLED_MS = 120_000
COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(slots=True)
class Yahoo:
    """A `DataSource`. BTC/USD is BTC-USD there."""

    base_url: str = BASE_URL
    session: requests.Session = field(default_factory=requests.Session)
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        self.base_url = self.base_url.rstrip("/")
        if urlsplit(self.base_url).hostname in ("127.0.0.1", "localhost", "::1"):
            self.session.trust_env = False
        self.session.headers["User-Agent"] = "Mozilla/5.0"  # others are turned away

    def candles(self, pair: str, interval_ms: int, from_ms: int, to_ms: int, *, now_ms: int) -> Candles:
        """Return the closed bars that start in [from_ms, to_ms); rows without prices are gaps."""
        if interval_ms not in NAMES:
            raise BadInput(
                f"Yahoo has no {interval_name(interval_ms)} candles: choose 1m, 5m, 15m, 1h or 1d",
                field="interval",
            )
        end = min(to_ms, now_ms - interval_ms + 1)
        start, span_ms = -(-from_ms // interval_ms) * interval_ms, SPAN_MS.get(interval_ms, OTHER_SPAN_MS)
        pages = [
            self._page(pair, interval_ms, at_ms, min(at_ms + span_ms, end + interval_ms))
            for at_ms in range(start, end, span_ms)
        ]
        rows = np.concatenate(pages) if pages else np.empty((0, 6))
        _, first = np.unique(rows[:, 0], return_index=True)
        rows = rows[first]
        if len(rows) == 0:
            return no_candles(interval_ms)
        return as_candles(closed_only(rows, end, now_ms - interval_ms - SETTLED_MS), interval_ms)

    def _page(self, pair: str, interval_ms: int, start: int, end: int) -> np.ndarray:
        """Return one page, shape (n, 6): open time in ms, open, high, low, close, volume."""
        symbol = pair.replace("/", "-")
        asked: dict[str, Any] = {
            "period1": start // 1000,
            "period2": -(-end // 1000),
            "interval": NAMES[interval_ms],
        }
        try:
            response = self.session.get(
                f"{self.base_url}/v8/finance/chart/{quote(symbol)}", params=asked, timeout=self.timeout_s
            )
        except requests.RequestException as error:
            raise SourceUnavailable(f"{self.base_url} cannot be reached") from error
        chart = self._chart(response, pair)
        try:
            found = chart["result"][0]
            columns = found["indicators"]["quote"][0]
            times = np.array(found.get("timestamp") or [], dtype=np.float64) * 1000
            values = [np.array(columns.get(name) or [], dtype=np.float64) for name in COLUMNS]
            page = np.column_stack([times, *values])
        except (ValueError, TypeError, LookupError) as error:
            raise SourceUnavailable(f"{self.base_url} answered something that is no candles") from error
        return _usable(page, interval_ms, start, end)

    def _chart(self, response: requests.Response, pair: str) -> dict[str, Any]:
        host = urlsplit(self.base_url).netloc
        try:
            chart = response.json()["chart"]
            refused = chart.get("error")
        except (ValueError, TypeError, LookupError, AttributeError):
            chart, refused = {}, None
        if response.status_code == 404 or (refused and refused.get("code") == "Not Found"):
            raise BadInput(f"{host} has no pair {pair} ({pair.replace('/', '-')})", field="pair")
        if response.status_code == 429:
            raise SourceUnavailable(f"{host} is limiting us (HTTP 429); try again later")
        if response.status_code != 200 or refused or not chart:
            words = (
                refused.get("description") if isinstance(refused, dict) else f"HTTP {response.status_code}"
            )
            raise SourceUnavailable(f"{host} did not give candles: {words}"[:200])
        found: dict[str, Any] = chart
        return found


def _usable(page: np.ndarray, interval_ms: int, start: int, end: int) -> np.ndarray:
    """Return the rows that are whole bars in [start, end): the moving last price comes as a row, too."""
    times, opens, highs, lows, closes, volumes = page.T
    whole = np.isfinite(page).all(axis=1) & (times % interval_ms == 0) & (times >= start) & (times < end)
    ordered = (lows > 0) & (lows <= np.minimum(opens, closes)) & (highs >= np.maximum(opens, closes))
    return page[whole & ordered & (volumes >= 0)]
