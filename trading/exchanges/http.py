"""One HTTP exchange with a venue under a deadline: JSON in Decimal out, and what each failure means."""

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

from trading.exchanges.errors import BadAnswer, ExchangeError, OutcomeUnknown, Throttled, Unreachable

MAX_ANSWER_BYTES = 40_000_000
THROTTLED_WAIT_S = 15.0  # where the venue does not say; half a minute's window usually has room again
WORDS_SHOWN = 200


class Refused(Exception):
    """HTTP 400, 401, 403: the venue did not do it and said why. Adapters know what its words mean."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever it says."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class JsonHttp:
    """Sends one request at a time to one venue.

    :param timeout_s: (to connect, for the whole answer), in seconds.
    :param dialect: what a healthy server there is called in messages.
    """

    def __init__(
        self,
        base_url: str,
        *,
        http: requests.Session,
        timeout_s: tuple[float, float],
        local_s: Callable[[], float],
        dialect: str,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.dialect = dialect
        self.total_s = sum(timeout_s)
        self._http = http
        self._timeout_s = timeout_s
        self._local_s = local_s

    def exchange(
        self,
        method: str,
        path: str,
        sent: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        *,
        moves_money: bool = False,
        within_s: float | None = None,
    ) -> Any:
        """Return the decoded answer.

        :param within_s: seconds left for it, where that is less than usual.
        :param moves_money: then whatever is not certainly without effect is `OutcomeUnknown`.
        :raises Refused: on HTTP 400, 401 and 403 (400 only for reads).
        """
        fields: dict[str, Any] = {"params": sent} if method == "GET" else {"data": sent}
        answer = self.answer(
            method, self.base_url + path, headers, moves_money=moves_money, within_s=within_s, **fields
        )
        self._require_status(answer, moves_money=moves_money)
        return self.decoded(answer.body, moves_money=moves_money)

    def answer(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        moves_money: bool = False,
        within_s: float | None = None,
        **fields: Any,
    ) -> Answer:
        """Return whatever answers at a whole `url`; parameters as for `exchange`, `fields` as for requests.

        :raises ExchangeError: when no answer came, as `exchange` does.
        """
        share = 1.0 if within_s is None else min(1.0, within_s / self.total_s)
        connect_s, answer_s = (share * part_s for part_s in self._timeout_s)
        deadline_s = self._local_s() + connect_s + answer_s
        try:
            with self._http.request(
                method,
                url,
                headers=headers,
                timeout=(connect_s, answer_s),
                stream=True,
                allow_redirects=False,
                **fields,
            ) as response:
                body = self._body(response, deadline_s)
        except requests.RequestException as error:
            # `from None`: the library's error carries the request, and the request carries the key.
            raise network_error(error, self.base_url, moves_money=moves_money) from None
        return Answer(response.status_code, response.headers, body)

    def not_understood(self, *, moves_money: bool = False) -> ExchangeError:
        """Return the error for an answer that makes no sense."""
        if moves_money:
            return OutcomeUnknown("the venue answered an order with something that cannot be understood")
        return BadAnswer(f"{self.base_url} did not answer as {self.dialect} does: wrong address, or not well")

    def _body(self, response: requests.Response, deadline_s: float) -> bytes:
        """Read an answer that may come in drips; a read timeout alone would bound each drip only."""
        parts, size = [], 0
        for part in response.iter_content(65_536):
            parts.append(part)
            size += len(part)
            if self._local_s() > deadline_s or size > MAX_ANSWER_BYTES:
                raise requests.ReadTimeout("the answer takes too long or does not end")
        return b"".join(parts)

    def _require_status(self, answer: Answer, *, moves_money: bool) -> None:
        status = answer.status
        if status == 200:
            return
        if status in (418, 429):
            raise throttled(answer)
        if status in (401, 403) or (status == 400 and not moves_money):
            raise Refused(status, answer.body[:WORDS_SHOWN].decode("utf-8", "replace").strip())
        if status == 451:
            raise Unreachable(f"{self.base_url} does not serve this country (HTTP 451)")
        if moves_money or status >= 500:
            raise self.failed(status, moves_money=moves_money)
        raise self.not_understood()

    def failed(self, status: int, *, moves_money: bool) -> ExchangeError:
        """Return the error for an HTTP status that says that something went wrong over there."""
        if moves_money:
            return OutcomeUnknown(f"the venue answered an order with HTTP {status}")
        return Unreachable(f"{self.base_url} answered HTTP {status}")

    def decoded(self, body: bytes, *, moves_money: bool) -> Any:
        """Return a JSON body, its fractions as Decimal."""
        try:
            return json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise self.not_understood(moves_money=moves_money) from None


def throttled(answer: Answer) -> Throttled:
    """Return the error for HTTP 418 and 429."""
    return Throttled(_wait_s(answer.headers.get("Retry-After")), "the venue says too many requests")


def network_error(error: requests.RequestException, url: str, *, moves_money: bool) -> ExchangeError:
    """Return what a failed exchange means."""
    if _never_sent(error):
        return Unreachable(f"nothing answers at {url}")
    if moves_money:
        return OutcomeUnknown("the connection was lost, or no answer came, after an order was sent")
    if isinstance(error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return BadAnswer(f"an answer of {url} broke off")
    if isinstance(error, requests.Timeout):
        return Unreachable(f"{url} did not answer in time")
    if isinstance(error, requests.exceptions.SSLError):
        return Unreachable(f"no secure connection to {url}")
    return Unreachable(f"the connection to {url} was lost")


def _never_sent(error: requests.RequestException) -> bool:
    """Say whether a connection was never made. Only then is an order certainly not on the venue."""
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.InvalidURL):
        return True
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(reason, SSLError):
        return bool(reason.args) and isinstance(reason.args[0], ssl.SSLCertVerificationError)
    return isinstance(reason, NewConnectionError | NameResolutionError | ConnectTimeoutError)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _wait_s(retry_after: str | None) -> float:
    try:
        return min(300.0, max(1.0, float(retry_after or THROTTLED_WAIT_S)))
    except ValueError:  # an HTTP date
        return THROTTLED_WAIT_S
