"""One HTTP request to an address a person typed in: no way into the private network, never for ever.

A name is resolved once and the connection goes to the address that was checked, so that a name which answers
differently the second time gains nothing. Redirects are not followed, proxies of the environment not used.
"""

import ipaddress
import logging
import socket
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

logger = logging.getLogger(__name__)

TIMEOUT_S = (5.0, 10.0)  # to connect, between two bytes
LONGEST_S = 15.0  # for the whole answer
MOST_BYTES = 2000
LONGEST_WAIT_S = 3600.0


class NotSent(Exception):
    """A message did not arrive. `is_final`: trying again is no use. `wait_s`: what was asked for."""

    def __init__(self, sentence: str, *, is_final: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.is_final, self.wait_s = is_final, wait_s


class PrivateAddress(Exception):
    """The name leads into a private network."""


def is_public(address: str) -> bool:
    """Say whether an IP address is one of the open internet; IPv4 inside IPv6 counts as what it carries."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    return (inner or ip).is_global and not (inner or ip).is_multicast


def checked_address(host: str, port: int) -> str:
    """Return the IP address to connect to.

    :raises PrivateAddress: when any address of the name is private and ALERTS_TO_PRIVATE is off.
    """
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not settings.ALERTS_TO_PRIVATE and not all(map(is_public, found)):
        raise PrivateAddress(host)
    return found[0]


class _Pinned:
    """Connects to the checked address; the name stays what TLS and the Host header see."""

    _dns_host: str
    port: int

    def _new_conn(self) -> socket.socket:
        named = self._dns_host
        self._dns_host = checked_address(named, self.port)
        try:
            return super()._new_conn()  # type: ignore[misc]
        finally:
            self._dns_host = named


class _Http(_Pinned, HTTPConnection):
    pass


class _Https(_Pinned, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class GuardedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


def post(url: str, *, body: bytes, headers: dict[str, str], secrets: tuple[str, ...] = ()) -> str:
    """POST once and return the start of the answer. No message or log line repeats the address.

    :param secrets: words that the answer might repeat; they are cut out.
    :raises NotSent: when it was refused, unanswered or answered with anything but 2xx.
    """
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", GuardedAdapter())
        session.mount("https://", GuardedAdapter())
        try:
            answer = session.post(
                url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False, stream=True
            )
            said = _start_of(answer)
        except PrivateAddress:
            raise NotSent(PRIVATE, is_final=True) from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise NotSent(f"the receiver cannot be reached ({type(error).__name__})") from None
    for word in (url, *secrets):
        said = said.replace(word, "…") if word else said
    return _judged(answer, said[:200])


PRIVATE = "the address leads into a private network: set ALERTS_TO_PRIVATE=1 if that is meant"


def _start_of(answer: requests.Response) -> str:
    """Return the first bytes of the answer: a receiver that never ends is not waited for."""
    until, said = time.monotonic() + LONGEST_S, b""
    for chunk in answer.iter_content(256):
        said += chunk
        if len(said) >= MOST_BYTES or time.monotonic() > until:
            break
    return " ".join(said.decode(errors="replace").replace("\0", "").split())


def _judged(answer: requests.Response, said: str) -> str:
    status = answer.status_code
    told = f"{status} {said}".strip()
    if 200 <= status < 300:
        return told
    may_help = status in (408, 425, 429) or status >= 500
    raise NotSent(
        f"the receiver answered {told}",
        is_final=not may_help,
        wait_s=_asked_wait_s(answer) if may_help else 0.0,
    )


def _asked_wait_s(answer: requests.Response) -> float:
    """Return the seconds of Retry-After, which is a number or a date; 0 when there is none."""
    text = answer.headers.get("Retry-After", "").strip()
    if not text:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT_S) if seconds == seconds else 0.0
