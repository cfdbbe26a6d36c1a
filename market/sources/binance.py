"""Candles from Binance's public REST API, or anything that speaks `GET /api/v3/klines` (our sandbox does)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import requests
import tenacity

from market.candles import MS, Candles, interval_name
from market.errors import BadInput
from market.sources.port import SourceUnavailable, no_candles

BASE_URL = "https://api.binance.com"
PAGE = 1000  # bars; Binance's maximum
UNKNOWN_SYMBOL = -1121
SETTLED_MS = 120_000  # a bar that ended so long ago is closed, whatever two clocks disagree by
NETWORK = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


def symbol_of(pair: str) -> str:
    """Return Binance's symbol of a pair. Dollars are tether there: BTC/USD is BTCUSDT."""
    base, _, quote = pair.partition("/")
    return base + ("USDT" if quote == "USD" else quote)


@dataclass(slots=True)
class Binance:
    """A `DataSource` over HTTP.

    :param base_url: scheme and host; the default is the real exchange, which needs no key for this.
    :param timeout_s: of connecting and of reading each page.
    :param tries: how often a page is asked for while the network fails; answers are never asked for again.
    :param sleep: waits between tries, 0.5 s doubling up to 8 s.
    """

    base_url: str = BASE_URL
    session: requests.Session = field(default_factory=requests.Session)
    timeout_s: float = 10.0
    tries: int = 4
    sleep: Callable[[float], None] = tenacity.nap.sleep

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise BadInput(f"{self.base_url!r} is not an address like {BASE_URL}", field="base_url")
        self.base_url = self.base_url.rstrip("/")
        if parts.hostname in ("127.0.0.1", "localhost", "::1"):
            self.session.trust_env = False  # a proxy of the environment would not find our own sandbox

    def candles(self, pair: str, interval_ms: int, from_ms: int, to_ms: int, *, now_ms: int) -> Candles:
        """Return the closed bars that start in [from_ms, to_ms), page by page; see `DataSource`.

        The newest bar is left out while it is open: its close is still moving. `now_ms` is the venue's clock,
        and the source's may be behind it, so the newest bar counts only once the source shows a later one.
        """
        if interval_ms not in MS.values() or interval_ms == MS["5s"]:
            raise BadInput(f"Binance has no {interval_name(interval_ms)} candles", field="interval")
        end = min(to_ms, now_ms - interval_ms + 1)  # a bar is closed once its end is not after now
        pages, start = [], -(-from_ms // interval_ms) * interval_ms
        while start < end:
            page = self._page(pair, interval_ms, start, end + interval_ms)
            if len(page) == 0:
                break
            pages.append(page)
            start = int(page[-1, 0]) + interval_ms
        if not pages:
            return no_candles(interval_ms)
        return as_candles(
            closed_only(np.concatenate(pages), end, now_ms - interval_ms - SETTLED_MS), interval_ms
        )

    def _page(self, pair: str, interval_ms: int, start: int, end: int) -> np.ndarray:
        """Return one page, shape (n, 6): open time in ms, open, high, low, close, volume."""
        parameters = {
            "symbol": symbol_of(pair),
            "interval": interval_name(interval_ms),
            "startTime": start,
            "endTime": end - 1,
            "limit": PAGE,
        }
        response = self._get(parameters)
        if response.status_code != 200:
            raise _refusal(response, pair)
        try:
            rows = response.json()
            page = np.array([row[:6] for row in rows], dtype=np.float64).reshape(-1, 6)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise SourceUnavailable(f"{self.base_url} answered something that is no candles") from error
        if not is_believable(page, interval_ms, start, end):
            raise SourceUnavailable(f"{self.base_url} answered impossible candles for {pair}")
        return page

    def _get(self, parameters: dict[str, Any]) -> requests.Response:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(NETWORK),
            stop=tenacity.stop_after_attempt(self.tries),
            wait=tenacity.wait_exponential(multiplier=0.5, max=8),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return retrying(
                self.session.get, f"{self.base_url}/api/v3/klines", params=parameters, timeout=self.timeout_s
            )
        except requests.RequestException as error:
            raise SourceUnavailable(f"{self.base_url} cannot be reached") from error


def _refusal(response: requests.Response, pair: str) -> Exception:
    """Return the error that says what to do about an answer other than 200."""
    host = urlsplit(response.url).netloc
    try:
        body = response.json()
    except ValueError:
        body = {}
    code, words = (body.get("code"), body.get("msg", "")) if isinstance(body, dict) else (None, "")
    status = response.status_code
    if code == UNKNOWN_SYMBOL:
        return BadInput(f"{host} has no pair {pair} (symbol {symbol_of(pair)})", field="pair")
    if status in (418, 429):
        wait = response.headers.get("Retry-After", "")
        wait_s = float(wait) if wait.isdigit() else None
        return SourceUnavailable(f"{host} is limiting us (HTTP {status}); try again later", wait_s)
    if status in (403, 451):
        return SourceUnavailable(f"{host} does not serve this address or country (HTTP {status})")
    return SourceUnavailable(f"{host} answered HTTP {status} {words}".strip()[:200])


def is_believable(page: np.ndarray, interval_ms: int, start: int, end: int) -> bool:
    """Say whether rows (n, 6) in [start, end) can be candles."""
    if len(page) == 0:
        return True
    times, opens, highs, lows, closes, volumes = page.T
    return bool(
        np.isfinite(page).all()
        and times[0] >= start
        and times[-1] < end
        and (np.diff(times) > 0).all()
        and (times % interval_ms == 0).all()
        and (lows > 0).all()
        and (highs >= np.maximum(opens, closes)).all()
        and (lows <= np.minimum(opens, closes)).all()
        and (volumes >= 0).all()
    )


def closed_only(page: np.ndarray, end: int, settled_ms: int) -> np.ndarray:
    """Return the rows that start before `end`, without a newest one that may still be open at the source."""
    times = page[:, 0]
    count = int(np.searchsorted(times, end))
    if count == len(page) and times[-1] > settled_ms:
        count -= 1
    return page[:count]


def as_candles(page: np.ndarray, interval_ms: int) -> Candles:
    """Return rows (n, 6) as candles."""
    values = (np.ascontiguousarray(page[:, k]) for k in range(1, 6))
    return Candles(interval_ms, page[:, 0].astype(np.int64), *values)
