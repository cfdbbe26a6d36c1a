"""A real sandbox on a scripted book, and the adapters that talk to it."""

import pytest

from tests.sandbox_server import start_sandbox
from tests.venues.server import start_venue
from trading import accounts
from trading.exchanges.registry import connect

T0 = 1_790_777_200_000
PAIR = "BTC/USD"
QUOTES = [("84596.00", "84596.01"), ("84595.99", "84596.00"), ("84480.00", "84480.01"), ("84600", "84600.01")]


@pytest.fixture
def sandbox():
    """BTC/USD quotes one second apart from T0 on, manual clock, 50,000 USD."""
    rows = [(T0 + 1000 * second, PAIR, bid, ask, bid) for second, (bid, ask) in enumerate(QUOTES)]
    rows += [(T0, "ETH/USD", "3000.00", "3000.01", "3000.00")]
    with start_sandbox(feed=rows, start_ms=T0) as running:
        yield running


@pytest.fixture
def account(db, user, sandbox):
    """The sandbox's account, as a person would add it."""
    return add(user, sandbox)


@pytest.fixture
def exchange(account):
    return connect(account)


@pytest.fixture
def paper(db, user, sandbox):
    return connect(add(user, sandbox, name="paper", venue="paper"))


@pytest.fixture
def binance(sandbox):
    """Binance's API over the sandbox's market, its dollars called USD as in the other venues' suite."""
    with start_venue("binance", sandbox, quote="USD") as running:
        yield running


@pytest.fixture
def bybit(sandbox):
    with start_venue("bybit", sandbox, quote="USD") as running:
        yield running


@pytest.fixture
def ccxt_binance(db, user, binance):
    return connect(add(user, binance, name="binance", venue="ccxt:binance"))


@pytest.fixture
def ccxt_bybit(db, user, bybit):
    return connect(add(user, bybit, name="bybit", venue="ccxt:bybit"))


def add(user, sandbox, **changes):
    given = {"owner": user, "name": "test", "venue": "roostoo", "base_url": sandbox.url, "key": sandbox.key,
             "secret": sandbox.secret, "calls_per_minute": 100_000}  # fmt: skip
    return accounts.create_account(**given | changes)
