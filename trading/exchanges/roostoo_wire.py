"""Roostoo on the wire: signing, timestamps, and what the venue's words mean."""

import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

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
from trading.exchanges.http import THROTTLED_WAIT_S, WORDS_SHOWN, JsonHttp, Refused
from trading.exchanges.port import always

logger = logging.getLogger(__name__)

SUSPECT_OFF_MS = 5_000
SEND_SHARE = 0.5  # of a call's time that must be left when its order is sent

# Several of the venue's texts were never captured, so parts of sentences are looked for.
CLOCK_WORDS = ("timestamp", "recvwindow", "request expired")
KEY_WORDS = ("api-key", "api key", "apikey", "signature")
THROTTLE_WORDS = ("too many", "rate limit", "too frequent")
CLOSED_WORDS = ("permission", "not yet a member", "access is terminated", "not running", "not be traded",
                "can not trade", "cannot trade", "maintenance")  # fmt: skip
# How a refusal begins that certainly left nothing behind. Words that are not here may stand for anything.
REFUSALS = (
    "quantity error", "quantity step size error", "price error", "price step size error", "side error",
    "order type error", "parameter error", "insufficient balance", "order amount too small",
    "minimum collateral", "pair not found", "no price for this pair", "no open short position",
    "this competition does not allow short", "limit order requires a price", "no order canceled",
    "order_id and pair can not be combined",
)  # fmt: skip


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


@dataclass(frozen=True, slots=True)
class Call:
    """One signed request: what is asked, and how its refusals are read."""

    method: str
    path: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    moves_money: bool = False
    before_send: Callable[[], None] = always  # raises where it must not leave any more
    empty_words: str = ""  # the refusal that means "nothing there": answered, not raised

    @property
    def kind(self) -> str:
        return "order" if self.method == "POST" else "read"


class RoostooWire:
    """Answers a request with the venue's JSON object, or raises an ExchangeError.

    :param spend: called with "order" or "read" before each request; raises Throttled when none is left.
    """

    def __init__(
        self,
        http: JsonHttp,
        credentials: Credentials | None,
        *,
        clock: VenueClock,
        spend: Callable[[str], None],
    ) -> None:
        self.clock = clock
        self.base_url = http.base_url
        self._http = http
        self._credentials = credentials
        self._spend = spend

    def server_ms(self, kind: str = "read") -> int:
        """Ask for the venue's time and set our clock by it."""
        self._spend(kind)
        sent_s = self.clock.local_s()
        venue_ms = _time_in(self._exchange("GET", "/v3/serverTime", {}, {}))
        if venue_ms is None:
            raise self._http.not_understood()
        self.clock.read(venue_ms, sent_s)
        return venue_ms

    def public(self, path: str, *, timed: bool) -> dict[str, Any]:
        """GET without a signature. A `timed` endpoint wants a timestamp and answers with `Success`."""
        if timed and not self.clock.is_synchronised:
            self.server_ms()
        try:
            return self._public_once(path, timed=timed)
        except ClockSkew:
            if not timed:
                raise
            self.server_ms()
            return self._public_once(path, timed=timed)

    def _public_once(self, path: str, *, timed: bool) -> dict[str, Any]:
        self._spend("read")
        sent_s = self.clock.local_s()
        answer = self._exchange("GET", path, {"timestamp": str(self.clock.now_ms())} if timed else {}, {})
        if timed or answer.get("Success") is False:
            self._require_success(answer, moves_money=False)
        self._set_clock_by(answer, sent_s)
        return answer

    def signed(self, call: Call) -> dict[str, Any]:
        """Send a signed request once; again only after the venue refused it for its timestamp.

        All that belongs to a call that moves money ends within one time limit: its caller's lease is not
        checked again in between, and a process that was suspended must not send when it wakes.
        """
        deadline_s = self.clock.local_s() + self._http.total_s if call.moves_money else None
        if not self.clock.is_synchronised:
            self.server_ms(call.kind)
        try:
            return self._signed_once(call, deadline_s)
        except (ClockSkew, BadCredentials) as error:
            off_ms = -self.clock.now_ms() + self.server_ms(call.kind)
            # A bad timestamp may be answered with the words for a bad key; a good clock rules that out.
            if isinstance(error, BadCredentials) and abs(off_ms) < SUSPECT_OFF_MS * max(1.0, self.clock.rate):
                raise
            logger.warning("venue refused our timestamp; its clock is %+d ms from our estimate", off_ms)
            # Refused means not executed, so even an order may be sent a second time.
            return self._signed_once(call, deadline_s)

    def _signed_once(self, call: Call, deadline_s: float | None) -> dict[str, Any]:
        if self._credentials is None:
            raise BadCredentials("this account has no key")
        self._spend(call.kind)
        # One timestamp, made once: the signed string and the sent parameters are the same object.
        sent = dict(call.parameters) | {"timestamp": str(self.clock.now_ms())}
        headers = {
            "RST-API-KEY": self._credentials.key,
            "MSG-SIGNATURE": signature(self._credentials.secret, sent),
        }
        within_s = self._time_left(deadline_s)
        call.before_send()
        answer = self._exchange(
            call.method, call.path, sent, headers, moves_money=call.moves_money, within_s=within_s
        )
        if call.empty_words and answer.get("Success") is False and call.empty_words in _words(answer).lower():
            return answer
        self._require_success(answer, moves_money=call.moves_money)
        return answer

    def _exchange(
        self,
        method: str,
        path: str,
        sent: Mapping[str, str],
        headers: Mapping[str, str],
        *,
        moves_money: bool = False,
        within_s: float | None = None,
    ) -> dict[str, Any]:
        try:
            answer = self._http.exchange(
                method, path, sent, headers, moves_money=moves_money, within_s=within_s
            )
        except Refused as refused:
            raise meaning_of(refused.words, self._refusal(refused)) from None
        if not isinstance(answer, dict):
            raise self._http.not_understood(moves_money=moves_money)
        return answer

    def _time_left(self, deadline_s: float | None) -> float | None:
        if deadline_s is None:
            return None
        left_s = deadline_s - self.clock.local_s()
        if left_s < SEND_SHARE * self._http.total_s:
            raise Unreachable("what goes before an order took too long; nothing was sent")
        return left_s

    def _refusal(self, refused: Refused) -> ExchangeError:
        if refused.status == 401:
            return bad_credentials(refused.words)
        if refused.status == 403:  # a firewall before the venue, not the venue
            return Unreachable(f"{self.base_url} does not let this machine in (HTTP 403)")
        return self._http.not_understood()

    def _require_success(self, answer: dict[str, Any], *, moves_money: bool) -> None:
        if answer.get("Success") is False:
            words = _words(answer)
            raise meaning_of(words, said_no(words) if moves_money else BadAnswer(f"refused: {words}"))
        if answer.get("Success") is not True:
            raise self._http.not_understood(moves_money=moves_money)

    def _set_clock_by(self, answer: dict[str, Any], sent_s: float) -> None:
        """Set our clock by an answer's time, unless it is so old that it may come out of some cache."""
        venue_ms = _time_in(answer)
        if venue_ms is not None and self.clock.doubts(venue_ms):
            self.server_ms()
        elif venue_ms is not None:
            self.clock.read(venue_ms, sent_s)


def meaning_of(words: str, otherwise: ExchangeError) -> ExchangeError:
    """Return the error that the venue's words stand for; `otherwise` when they are nothing special."""
    low = words.lower()
    if any(part in low for part in CLOCK_WORDS):
        return ClockSkew(f"the venue refuses our time ({words})")
    if any(part in low for part in KEY_WORDS):
        return bad_credentials(words)
    if any(part in low for part in THROTTLE_WORDS):
        return Throttled(THROTTLED_WAIT_S, "the venue says too many requests")
    if any(part in low for part in CLOSED_WORDS):
        return VenueClosed(words)
    return otherwise


def said_no(words: str) -> ExchangeError:
    """Return what a refusal of a call that moves money means: only one that has a name is without effect."""
    if words.strip().lower().startswith(REFUSALS):
        return OrderRejected(words)
    return OutcomeUnknown(f"the venue answered an order with words that nobody has a name for: {words}")


def bad_credentials(words: str) -> BadCredentials:
    return BadCredentials(f"the venue does not accept the key or the secret ({words})")


def _words(answer: dict[str, Any]) -> str:
    return str(answer.get("ErrMsg") or "no reason given")[:WORDS_SHOWN]


def _time_in(answer: dict[str, Any]) -> int | None:
    value = answer.get("ServerTime")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
