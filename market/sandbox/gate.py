"""What stands before every endpoint: routing, signature, rate limit, time window; and how answers look."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from market.sandbox import auth, texts
from market.sandbox.api import ENDPOINTS, Api, Call, Endpoint, Level, Struck
from market.sandbox.books import Account
from market.sandbox.klines import KlineError, klines, symbol_of
from market.sandbox.limiter import Limiter
from market.sandbox.texts import Refused
from market.sandbox.wire import encode

TEXT, BINANCE = b"text/plain; charset=utf-8", b"application/json;charset=UTF-8"
NOBODY = Account("")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: bytes = TEXT


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as far as the venue looks at it."""

    method: str
    path: str
    query: bytes
    body: bytes
    key: str = ""
    signature: str = ""


UNKNOWN_KEY = Reply(401, texts.API_KEY.encode())
NOT_FOUND = Reply(404, b"404 page not found")


def said(answer: Mapping[str, Any], status: int = 200) -> Reply:
    return Reply(status, encode(answer).encode())


def refusal(text: str, status: int = 200) -> Reply:
    return said({"Success": False, "ErrMsg": text}, status)


@dataclass(slots=True)
class Gate:
    """Decides whether a request reaches its endpoint.

    `window_ms` is how far a timestamp may be off; `secrets` maps keys to secrets.
    """

    api: Api
    secrets: Mapping[str, str]
    limiter: Limiter
    window_ms: float
    calls: dict[str, Counter[str]] = field(default_factory=dict)  # by key, "" for unsigned, then by path

    def answer(self, request: Request, now_ms: int, struck: Struck) -> Reply:
        """Answer one request of the venue or of the Binance-compatible part."""
        endpoint = ENDPOINTS.get((request.method, request.path))
        if endpoint is None:
            return self._binance(request, now_ms, struck)
        known = request.key in self.secrets
        key = request.key if known else ""
        self.calls.setdefault(key, Counter())[request.path] += 1
        parameters = auth.decoded(request.query if request.method == "GET" else request.body)
        if endpoint.level is Level.SIGNED and not (known and self._is_signed(request, endpoint, parameters)):
            return UNKNOWN_KEY
        counts = endpoint.level is Level.SIGNED or (known and self.api.engine.quirks.count_unsigned)
        if "http_429" in struck or (counts and not self.limiter.allows(key, now_ms)):
            return refusal(texts.TOO_MANY, 429)
        shown_ms = int(struck.get("frozen_clock", now_ms) + struck.get("clock_skew_ms", 0))
        window_ms = struck.get("window_ms", self.window_ms)
        is_timely = auth.is_timely(parameters.get("timestamp"), shown_ms, window_ms)
        if not (is_timely or endpoint.level is Level.OPEN):
            return refusal(texts.TIMESTAMP)
        account = self.api.engine.accounts.get(key, NOBODY)
        try:
            return said(endpoint.answer(self.api, Call(account, parameters, now_ms, shown_ms, struck)))
        except Refused as refused:
            return refusal(str(refused))

    def _is_signed(self, request: Request, endpoint: Endpoint, parameters: Mapping[str, str]) -> bool:
        return auth.is_signed(self.secrets[request.key], parameters, endpoint.documented, request.signature)

    def _binance(self, request: Request, now_ms: int, struck: Struck) -> Reply:
        found = BINANCE_ENDPOINTS.get(request.path) if request.method == "GET" else None
        if found is None:
            return NOT_FOUND
        self.calls.setdefault("", Counter())[request.path] += 1
        if "http_429" in struck:
            return _binance_error(429, -1003, "Too many requests.")
        try:
            answer = found(self, auth.decoded(request.query), now_ms)
        except KlineError as error:
            return _binance_error(400, error.code, error.message)
        return Reply(200, encode(answer).encode(), BINANCE)

    def _klines(self, parameters: dict[str, str], now_ms: int) -> list[list[int | str]]:
        feeds = {symbol_of(name): feed for name, feed in self.api.engine.feeds.items()}
        return klines(feeds, parameters, now_ms)

    def _time(self, parameters: dict[str, str], now_ms: int) -> dict[str, int]:
        return {"serverTime": now_ms}

    def _ping(self, parameters: dict[str, str], now_ms: int) -> dict[str, int]:
        return {}


def _binance_error(status: int, code: int, message: str) -> Reply:
    return Reply(status, encode({"code": code, "msg": message}).encode(), BINANCE)


BINANCE_ENDPOINTS: dict[str, Callable[[Gate, dict[str, str], int], Any]] = {
    "/api/v3/klines": Gate._klines,
    "/api/v3/time": Gate._time,
    "/api/v3/ping": Gate._ping,
}
