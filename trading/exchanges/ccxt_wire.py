"""Other venues on the wire: the ccxt library signs and spells; we send, keep time and name the failures."""

import json
import logging
import threading
from collections.abc import Callable
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
from trading.exchanges.http import THROTTLED_WAIT_S, WORDS_SHOWN, Answer, JsonHttp, throttled
from trading.exchanges.port import always

logger = logging.getLogger(__name__)

Act = Callable[[Any], Any]
CLOCK_FRESH_S = 60.0
STUMBLES = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)  # over an odd answer
DOUBTFUL = ("timeout", "timed out", "duplicate", "processing", "unknown")  # words of no refusal


class Sending(threading.local):
    """What the call of this thread is about, for the request it leads to."""

    kind = "read"
    client: Any = None
    before_send: Callable[[], None] = staticmethod(always)


class CcxtWire:
    """Runs calls of a ccxt client over our own HTTP, on the venue's clock, within the account's budget.

    :param open_client: makes a client; a new one takes the old one's place when the markets are read afresh,
        because the library changes its own while other threads look at them.
    :param spend: called with "order" or "read" before each request; raises Throttled when none is left.
    """

    def __init__(
        self,
        http: JsonHttp,
        open_client: Callable[[], Any],
        *,
        clock: VenueClock,
        spend: Callable[[str], None],
    ) -> None:
        self.clock = clock
        self.base_url = http.base_url
        self._http, self._open, self._spend = http, open_client, spend
        self._client: Any = None
        self._clock_read_s = 0.0
        self._sending = Sending()

    def server_ms(self, kind: str = "read") -> int:
        """Ask for the venue's time and set our clock by it."""
        self._client = self._client or self._new_client()  # before the time is taken: the first one is slow
        sent_s = self.clock.local_s()
        venue_ms = self._once(lambda client: client.fetch_time(), kind, moves_money=False, before_send=always)
        if not isinstance(venue_ms, int) or venue_ms <= 0:
            raise self._http.not_understood()
        self.clock.read(venue_ms, sent_s)
        self._clock_read_s = self.clock.local_s()
        return venue_ms

    def now_ms(self) -> int:
        """Estimate the venue's time; it is asked for once a minute."""
        is_old = self.clock.local_s() - self._clock_read_s > CLOCK_FRESH_S
        return self.server_ms() if is_old or not self.clock.is_synchronised else self.clock.now_ms()

    def call(
        self,
        act: Act,
        *,
        kind: str = "read",
        moves_money: bool = False,
        before_send: Callable[[], None] = always,
    ) -> Any:
        """Return what `act(client)` returns; done a second time only after the venue refused our timestamp.

        :param before_send: called right before a request that moves money leaves; raises to stop it.
        """
        if not self.clock.is_synchronised:
            self.server_ms(kind)
        try:
            return self._once(act, kind, moves_money=moves_money, before_send=before_send)
        except ClockSkew:
            off_ms = -self.clock.now_ms() + self.server_ms(kind)
            logger.warning("venue refused our timestamp; its clock is %+d ms from our estimate", off_ms)
            # Refused means not executed, so even an order may be sent a second time.
            return self._once(act, kind, moves_money=moves_money, before_send=before_send)

    def fresh_markets(self) -> dict[str, Any]:
        """Read the venue's markets and return them by the library's symbol."""
        if not self.clock.is_synchronised:
            self.server_ms()
        client = self._new_client()
        self._once(
            lambda one: one.load_markets(), "read", moves_money=False, before_send=always, client=client
        )
        self._client = client
        markets: dict[str, Any] = client.markets
        return markets

    def _new_client(self) -> Any:
        client = self._open()
        client.fetch = self._fetch
        client.nonce = self.clock.now_ms  # what requests are stamped with
        return client

    def _once(
        self,
        act: Act,
        kind: str,
        *,
        moves_money: bool,
        before_send: Callable[[], None],
        client: Any = None,
    ) -> Any:
        if client is None:
            client = self._client = self._client or self._new_client()
        import ccxt

        about = self._sending
        about.client, about.kind, about.before_send = client, kind, before_send
        try:
            return act(client)
        except (ccxt.BaseError, *STUMBLES) as error:
            # `from None`: errors of the library may hold what was sent.
            raise meaning_of(error, moves_money=moves_money) from None

    def _fetch(self, url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> Any:
        """Stand in for the library's own HTTP: same answers, our time limits and our errors."""
        about, writes = self._sending, method != "GET"
        self._spend(about.kind)
        if writes:
            about.before_send()
        fields: dict[str, Any] = {} if body is None else {"data": body.encode()}
        answer = self._http.answer(method, url, headers, moves_money=writes, **fields)
        if answer.status in (418, 429):
            raise throttled(answer)
        if answer.status >= 500:
            raise self._http.failed(answer.status, moves_money=writes)
        return self._believed(answer, url, method, moves_money=writes)

    def _believed(self, answer: Answer, url: str, method: str, *, moves_money: bool) -> Any:
        """Return the decoded answer unless it says no: then the library names the refusal."""
        text = answer.body.decode("utf-8", "replace")
        try:
            decoded = json.loads(text, parse_float=str)
        except ValueError:
            decoded = None
        if decoded is None and answer.status in (401, 403, 451):  # a firewall before the venue
            raise Unreachable(f"{self.base_url} does not let this machine in (HTTP {answer.status})")
        if not isinstance(decoded, dict | list):
            raise self._http.not_understood(moves_money=moves_money)
        self._sending.client.handle_errors(
            answer.status, "", url, method, dict(answer.headers), text, decoded, None, None
        )
        if answer.status != 200:
            raise self._http.not_understood(moves_money=moves_money)
        return decoded


def meaning_of(error: Exception, *, moves_money: bool) -> ExchangeError:
    """Return our error for one of the library's, or for an answer that it stumbled over."""
    import ccxt

    words = words_of(error)
    match error:
        case ccxt.OrderNotFound():
            return NoSuchOrder(words)
        case ccxt.InvalidNonce():
            return ClockSkew(f"the venue refuses our time ({words})")
        case ccxt.DDoSProtection() | ccxt.RateLimitExceeded():
            return Throttled(THROTTLED_WAIT_S, "the venue says too many requests")
        case ccxt.AccountSuspended() | ccxt.MarketClosed() | ccxt.OnMaintenance() | ccxt.RestrictedLocation():
            return VenueClosed(words)
        case ccxt.AuthenticationError():
            return BadCredentials(f"the venue does not accept the key or the secret ({words})")
        case ccxt.OperationFailed() if not moves_money:
            return Unreachable(f"the venue failed ({words})")
        case ccxt.ExchangeError() if moves_money and is_refusal(error, words):
            return OrderRejected(words)
    if moves_money:  # a failure over there, or words that nobody has a name for
        return OutcomeUnknown(f"the venue answered an order with {words}")
    return BadAnswer(f"refused: {words}")


def is_refusal(error: Exception, words: str) -> bool:
    """Say whether the library's name for an answer to an order means that the order is certainly not there.

    It files some under invalid orders that are none: Bybit's "Order creation timeout", "Submitted to the
    system for processing", "Duplicate clientOrderId".
    """
    import ccxt

    if type(error) is ccxt.ExchangeError or isinstance(error, ccxt.DuplicateOrderId):
        return False
    return not any(part in words.lower() for part in DOUBTFUL)


class NoSuchOrder(BadAnswer):
    """The venue knows no order of that id."""


def words_of(error: Exception) -> str:
    """Return the venue's own words out of the library's, which are like `binance {"code":…,"msg":"…"}`."""
    import ccxt

    if not isinstance(error, ccxt.BaseError):
        return f"something that cannot be understood ({type(error).__name__})"
    text = str(error)
    try:
        told = json.loads(text[text.index("{") :])
    except ValueError:
        return text[:WORDS_SHOWN]
    found = told.get("msg") or told.get("retMsg") or text if isinstance(told, dict) else text
    return str(found)[:WORDS_SHOWN]
