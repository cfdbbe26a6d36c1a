"""A client of the ccxt library for one exchange's spot market, at an address of our choice.

The library is 74 MB and takes a quarter of a second to load, so only those who use it import it.
"""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from market.errors import BadInput

PREFIX = "ccxt:"
SPOT = {"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot", "fetchCurrencies": False,
        "fetchMargins": False}  # fmt: skip


def open_client(name: str, base_url: str | None = None, **options: Any) -> Any:
    """Return a `ccxt.Exchange` that has made no call yet. Its numbers are texts; it does not wait by itself.

    :param base_url: takes the place of scheme and host in every address of the exchange.
    :param options: more of the library's own options.
    :raises BadInput: when the library knows no such exchange.
    """
    import ccxt

    if name not in ccxt.exchanges:
        raise BadInput(f"ccxt knows no exchange {name[:40]!r}: its names are like binance, bybit, kraken")
    client = getattr(ccxt, name)({"enableRateLimit": False})
    client.number = str  # floats would lose the last digits of prices
    client.options = {**client.options, **SPOT, **options}
    client.has["fetchCurrencies"] = False  # a call that needs a key and tells nothing about pairs
    if base_url:
        client.urls["api"] = _moved(client.urls["api"], base_url.rstrip("/"))
        if urlsplit(base_url).hostname in ("127.0.0.1", "localhost", "::1"):
            client.session.trust_env = False  # a proxy of the environment would not find our own servers
    return client


def _moved(address: Any, base_url: str) -> Any:
    if isinstance(address, dict):
        return {name: _moved(one, base_url) for name, one in address.items()}
    base, parts = urlsplit(base_url), urlsplit(str(address))
    return urlunsplit((base.scheme, base.netloc, base.path + parts.path, "", ""))
