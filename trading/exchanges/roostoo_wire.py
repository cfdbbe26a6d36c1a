"""Roostoo on the wire: signing, one HTTP exchange under a deadline, and what each failure means."""

import hashlib
import hmac
import json
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)

from trading.exchanges.clock import VenueClock
from trading.exchanges.errors import (
    BadAnswer,
    BadCredentials,
    ClockSkew,
    ExchangeError,
    OrderRejected,
    OutcomeUnknown,
    Throttled,
    Unreachable,
    VenueClosed,
)

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 20_000_000
THROTTLED_WAIT_S = 15.0  # the venue does not say; half a minute's window usually has room again
WORDS_SHOWN = 200
SUSPECT_OFF_MS = 5_000

# What the venue's words mean. Several texts were never captured, so parts of sentences are looked for.
CLOSED_WORDS = (
    "permission", "not yet a member", "access is terminated", "not running", "not be traded", "can not trade",
    "cannot trade", "maintenance",
)  # fmt: skip
CLOCK_WORDS = ("timestamp", "recvwindow", "request expired")
KEY_WORDS = ("api-key", "api key", "apikey", "signature")
THROTTLE_WORDS = ("too many", "rate limit", "too frequent")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Key and secret of one account; shows neither when printed."""

    key: str = field(repr=False)
    secret: str = field(repr=False)


def canonical(parameters: Mapping[str, str]) -> str:
    """Return the string that is signed: sorted by key, joined as `k=v&k=v`, values raw."""
    return "&".join(f"{key}={parameters[key]}" for key in sorted(parameters))


def signature(secret: str, parameters: Mapping[str, str]) -> str:
    """Return the lower-case hex HMAC-SHA256 of the canonical string."""
    return hmac.new(secret.encode(), canonical(parameters).encode(), hashlib.sha256).hexdigest()


class RoostooWire:
    """Sends one request at a time and answers with the decoded JSON object, or raises an ExchangeError.

    :param spend: called with "order" or "read" before every request; raises Throttled when the budget is used up.
    :param timeout_s: (connect, whole answer), in seconds.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Credentials | None,
        *,
        http: requests.Session,
        clock: VenueClock,
        spend: Callable[[str], None],
        timeout_s: tuple[float, float],
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.clock = clock
        self._credentials = credentials
        self._http = http
        self._spend = spend
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"RoostooWire({self.base_url!r})"

    def server_ms(self, kind: str = "read") -> int:
        """Ask for the venue's time and set our clock by it."""
        self._spend(kind)
        sent_s = self.clock.local_s()
        answer = self._exchange("GET", "/v3/serverTime", {}, {}, moves_money=False)
        venue_ms = answer.get("ServerTime")
        if not _is_time(venue_ms):
            raise BadAnswer(f"{self.base_url} tells no server time: it is not a Roostoo server, or not well")
        self.clock.read(int(venue_ms), sent_s)
        return int(venue_ms)

    def public(
        self, path: str, parameters: Mapping[str, str] | None = None, *, timed: bool
    ) -> dict[str, Any]:
        """GET without a signature; `timed` adds the timestamp that some endpoints want."""
        if timed and not self.clock.is_synchronised:
            self.server_ms()
        self._spend("read")
        sent_s = self.clock.local_s()
        sent = dict(parameters or {}) | ({"timestamp": str(self.clock.now_ms())} if timed else {})
        answer = self._exchange("GET", path, sent, {}, moves_money=False)
        self._require_success(answer, moves_money=False, absent_is_fine=not timed)
        self._set_clock_by(answer, sent_s)
        return answer

    def signed(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        *,
        moves_money: bool = False,
        empty_words: str = "",
    ) -> dict[str, Any]:
        """Send a signed request once; a second time only after the venue refused the first for its timestamp.

        :param empty_words: the refusal that means "nothing there"; such an answer is returned, not raised.
        """
        kind = "order" if method == "POST" else "read"
        if not self.clock.is_synchronised:
            self.server_ms(kind)
        try:
            return self._signed_once(kind, method, path, parameters, moves_money, empty_words)
        except (ClockSkew, BadCredentials) as error:
            before_ms = self.clock.now_ms()
            off_ms = self.server_ms(kind) - before_ms
            # Some servers answer a bad timestamp with the words for a bad key; a good clock rules that out.
            if isinstance(error, BadCredentials) and abs(off_ms) < SUSPECT_OFF_MS * max(1.0, self.clock.rate):
                raise
            logger.warning("venue refused our timestamp; its clock is %+d ms from our estimate", off_ms)
            # Refused means not executed, so that even an order may be sent a second time.
            return self._signed_once(kind, method, path, parameters, moves_money, empty_words)

    def _signed_once(
        self,
        kind: str,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None,
        moves_money: bool,
        empty_words: str,
    ) -> dict[str, Any]:
        if self._credentials is None:
            raise BadCredentials("this account has no key")
        self._spend(kind)
        # One timestamp, made once: the signed string and the sent parameters are the same object.
        sent = dict(parameters or {}) | {"timestamp": str(self.clock.now_ms())}
        headers = {
            "RST-API-KEY": self._credentials.key,
            "MSG-SIGNATURE": signature(self._credentials.secret, sent),
        }
        answer = self._exchange(method, path, sent, headers, moves_money=moves_money)
        if empty_words and answer.get("Success") is False and empty_words in _words(answer).lower():
            return answer
        self._require_success(answer, moves_money=moves_money)
        return answer

    def _exchange(
        self, method: str, path: str, sent: Mapping[str, str], headers: dict[str, str], *, moves_money: bool
    ) -> dict[str, Any]:
        """Do one HTTP exchange and decode its JSON object."""
        place = {"params": sent} if method == "GET" else {"data": sent}
        connect_s, answer_s = self._timeout_s
        deadline_s = self.clock.local_s() + connect_s + answer_s
        try:
            with self._http.request(
                method, self.base_url + path, headers=headers, timeout=self._timeout_s, stream=True,
                allow_redirects=False, **place,
            ) as response:  # fmt: skip
                body = self._body(response, deadline_s)
        except requests.RequestException as error:
            raise _network_error(error, self.base_url, moves_money=moves_money) from None
        self._require_status(response, body, moves_money=moves_money)
        return _decoded(body, self.base_url, moves_money=moves_money)

    def _body(self, response: requests.Response, deadline_s: float) -> bytes:
        """Read an answer that may come in drips; a read timeout alone would only bound each drip."""
        parts, size = [], 0
        for part in response.iter_content(65_536):
            parts.append(part)
            size += len(part)
            if self.clock.local_s() > deadline_s or size > MAX_ANSWER_BYTES:
                raise requests.ReadTimeout("the answer takes too long or does not end")
        return b"".join(parts)

    def _require_status(self, response: requests.Response, body: bytes, *, moves_money: bool) -> None:
        status = response.status_code
        if status == 200:
            return
        words = body[:WORDS_SHOWN].decode("utf-8", "replace").strip()
        if status == 429:
            raise Throttled(_wait_s(response.headers.get("Retry-After")), "the venue says too many requests")
        if status in (401, 403):
            # Without JSON there is no telling a wrong key from a bad signature.
            raise meaning_of(
                words, BadCredentials(f"the venue does not accept the key or the secret ({words})")
            )
        if moves_money:
            raise OutcomeUnknown(f"the venue answered an order with HTTP {status}")
        if status >= 500:
            raise Unreachable(f"{self.base_url} answered HTTP {status}")
        raise BadAnswer(f"{self.base_url} answered HTTP {status}: it is not a Roostoo server, or not well")

    def _require_success(
        self, answer: dict[str, Any], *, moves_money: bool, absent_is_fine: bool = False
    ) -> None:
        success = answer.get("Success")
        if success is True or (success is None and absent_is_fine):
            return
        words = _words(answer)
        if success is False:
            otherwise = OrderRejected(words) if moves_money else BadAnswer(f"the venue refused: {words}")
            raise meaning_of(words, otherwise)
        raise _not_understood("an answer without a verdict", moves_money=moves_money)

    def _set_clock_by(self, answer: dict[str, Any], sent_s: float) -> None:
        """Set our clock by an answer's time, unless it is so old that it may have come out of some cache."""
        venue_ms = answer.get("ServerTime")
        if not _is_time(venue_ms):
            return
        if self.clock.doubts(int(venue_ms)):
            self.server_ms()
        else:
            self.clock.read(int(venue_ms), sent_s)


def meaning_of(words: str, otherwise: ExchangeError) -> ExchangeError:
    """Return the error that the venue's words stand for; `otherwise` when they are nothing special."""
    low = words.lower()
    if any(part in low for part in CLOCK_WORDS):
        return ClockSkew(f"the venue refuses our time ({words})")
    if any(part in low for part in KEY_WORDS):
        return BadCredentials(f"the venue does not accept the key or the secret ({words})")
    if any(part in low for part in THROTTLE_WORDS):
        return Throttled(THROTTLED_WAIT_S, "the venue says too many requests")
    if any(part in low for part in CLOSED_WORDS):
        return VenueClosed(words)
    return otherwise


def _network_error(error: requests.RequestException, url: str, *, moves_money: bool) -> ExchangeError:
    if _never_sent(error):
        return Unreachable(f"nothing answers at {url}")
    if moves_money:
        return OutcomeUnknown("the connection was lost after an order was sent")
    if isinstance(error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return BadAnswer(f"an answer of {url} broke off")
    if isinstance(error, requests.Timeout):
        return Unreachable(f"{url} did not answer in time")
    if isinstance(error, requests.exceptions.SSLError):
        return Unreachable(f"no secure connection to {url}")
    return Unreachable(f"the connection to {url} was lost")


def _never_sent(error: requests.RequestException) -> bool:
    """Say whether the connection was never made. Only then is an order certainly not on the venue."""
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.InvalidURL):
        return True
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(reason, SSLError):
        return bool(reason.args) and isinstance(reason.args[0], ssl.SSLCertVerificationError)
    return isinstance(reason, NewConnectionError | NameResolutionError | ConnectTimeoutError)


def _decoded(body: bytes, url: str, *, moves_money: bool) -> dict[str, Any]:
    try:
        answer = json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        return answer
    raise _not_understood(f"what {url} answered", moves_money=moves_money)


def _not_understood(what: str, *, moves_money: bool) -> ExchangeError:
    if moves_money:
        return OutcomeUnknown("the venue answered an order with something that cannot be understood")
    return BadAnswer(f"{what} is not an answer of a Roostoo server")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _words(answer: dict[str, Any]) -> str:
    return str(answer.get("ErrMsg") or "no reason given")[:WORDS_SHOWN]


def _is_time(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _wait_s(retry_after: str | None) -> float:
    try:
        return min(300.0, max(1.0, float(retry_after or THROTTLED_WAIT_S)))
    except ValueError:  # an HTTP date
        return THROTTLED_WAIT_S
