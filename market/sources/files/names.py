"""What the name of a file, a symbol or a column says about pair and source."""

import re
from itertools import pairwise

from market.errors import BadInput

QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD", "EUR", "GBP", "JPY", "TRY", "BTC", "ETH", "BNB")
# A lower-case name is only believed when its base is one of these: "status" is not STAT/US.
BASES = (
    "BTC",
    "ETH",
    "XRP",
    "LTC",
    "BCH",
    "ADA",
    "DOGE",
    "SOL",
    "BNB",
    "DOT",
    "AVAX",
    "LINK",
    "TRX",
    "MATIC",
)
SOURCES = (
    "binance",
    "bitfinex",
    "bitstamp",
    "gemini",
    "coinbase",
    "kraken",
    "bybit",
    "okx",
    "kucoin",
    "roostoo",
)
ALIKE = {"USD", "USDT", "USDC", "BUSD", "FDUSD", "TUSD"}
PAIR = re.compile(r"[A-Z0-9]{1,15}/[A-Z0-9]{2,10}")


def checked_pair(pair: str) -> str:
    """Return `pair` in the spelling `BTC/USD`.

    :raises BadInput: when it is not a pair.
    """
    spelled = pair.strip().upper().replace("-", "/").replace("_", "/")
    if not PAIR.fullmatch(spelled):
        raise BadInput(f"{pair!r} is not a pair; write it like BTC/USD", field="pair")
    return spelled


def split_symbol(symbol: str) -> str | None:
    """Return `BTC/USDT` for `BTCUSDT`, `BTC/USDT` or `BTC_USDT`; None when it is no pair."""
    if re.fullmatch(r"[A-Z0-9]{1,15}[/_-][A-Z0-9]{2,10}", symbol):
        return checked_pair(symbol)
    for quote in QUOTES:
        base = symbol.removesuffix(quote)
        if base != symbol and len(base) >= 2 and re.fullmatch(r"[A-Z0-9]{2,12}", base):
            return f"{base}/{quote}"
    return None


def pair_in_name(name: str) -> str | None:
    """Return the pair a file name speaks of: `ADA_USDT-1m.json`, `BTCUSDT-1h-2024-12.csv`."""
    tokens = re.split(r"[^A-Za-z0-9]+", name)
    for first, second in pairwise(tokens):
        if second in QUOTES and re.fullmatch(r"[A-Z0-9]{1,12}", first):
            return f"{first}/{second}"
    for token in tokens:
        if token.isupper() and (pair := split_symbol(token)):
            return pair
    for token in tokens:  # Kaggle's bitstampUSD and coinbaseUSD: bitcoin against that currency
        venue = next((s for s in SOURCES if token.lower().startswith(s)), "")
        if venue and token[len(venue) :] in QUOTES:
            return f"BTC/{token[len(venue) :]}"
    lower = [split_symbol(token.upper()) for token in tokens]
    return next((pair for pair in lower if pair and pair.split("/")[0] in BASES), None)


def source_in_name(name: str) -> str | None:
    """Return the venue a file name speaks of; perpetual futures are another market than spot."""
    tokens = re.split(r"[^a-z0-9]+", name.lower())
    venue = next((s for s in SOURCES if any(token.startswith(s) for token in tokens)), None)
    futures = {"um", "futures"} & set(tokens)
    return f"{venue}-um" if venue and futures else venue


def agreed_pair(given: str | None, found: str | None) -> tuple[str, str | None]:
    """Return (pair, note) from what the person says and what the file says.

    USD and its stablecoins are alike: Roostoo's BTC/USD follows Binance's BTC/USDT.

    :raises BadInput: when they contradict each other, or nobody says.
    """
    if given is None and found is None:
        raise BadInput(
            "the file does not say which pair it holds; name it, for example BTC/USD", field="pair"
        )
    if given is None:
        return str(found), None
    pair = checked_pair(given)
    if found is None or found == pair:
        return pair, None
    base, quote = pair.split("/")
    found_base, found_quote = found.split("/")
    if base != found_base or not {quote, found_quote} <= ALIKE:
        raise BadInput(f"the file holds {found}, not {pair}", field="pair")
    return pair, f"the file says {found}; stored as {pair}"
