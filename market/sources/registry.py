"""Sources of candles by name."""

from collections.abc import Callable
from urllib.parse import urlsplit

from market.errors import BadInput
from market.sources.binance import BASE_URL, Binance
from market.sources.ccxt_candles import CcxtCandles
from market.sources.ccxt_client import PREFIX
from market.sources.port import DataSource
from market.sources.yahoo import BASE_URL as YAHOO_URL
from market.sources.yahoo import Yahoo

SOURCES: dict[str, Callable[[str | None], DataSource]] = {
    "binance": lambda url: Binance(url or BASE_URL),
    "yahoo": lambda url: Yahoo(url or YAHOO_URL),
}
CCXT = f"{PREFIX}NAME"  # how the family of the library's exchanges is called in messages


def connect(name: str, base_url: str | None = None) -> DataSource:
    """Return the source called `name`.

    :param base_url: another address that speaks the same protocol, such as the sandbox.
    :raises BadInput: when there is no such source.
    """
    if name.startswith(PREFIX):
        return CcxtCandles(name.removeprefix(PREFIX), base_url)
    if name not in SOURCES:
        raise BadInput(
            f"there is no source {name[:40]!r}; choose one of {', '.join([*SOURCES, CCXT])}", field="source"
        )
    return SOURCES[name](base_url)


def label(name: str, base_url: str | None = None) -> str:
    """Return what a series from there is filed under: candles of another address are other candles."""
    return f"{name}@{urlsplit(base_url).netloc}"[:60] if base_url else name
