"""A static book for tests that only look at answers, and a way to make one's own."""

import pytest

from tests.sandbox_server import start_sandbox

T0 = 1_790_777_200_000
BOOK = [
    (T0, "BTC/USD", "84596.00", "84596.01", "84596.01"),
    (T0, "PEPE/USD", "0.00000651", "0.00000653", "0.00000652"),
]
ACCOUNTS = 150


@pytest.fixture(scope="session")
def static_venue():
    """One sandbox whose book and clock stand still, with an untouched account for every test."""
    with start_sandbox(feed=BOOK, accounts=[f"key-{n}:secret-{n}:50000" for n in range(ACCOUNTS)]) as running:
        running.unused = iter(range(ACCOUNTS))
        yield running


@pytest.fixture
def venue(static_venue):
    """The static sandbox with an account of 50,000 USD of this test's own, no rate limit, time T0."""
    number = next(static_venue.unused)
    static_venue.key, static_venue.secret = f"key-{number}", f"secret-{number}"
    return static_venue


@pytest.fixture
def moving():
    """Start a sandbox on BTC/USD quotes (bid, ask) one second apart, the first at T0."""
    started = []

    def start(*quotes, **options):
        rows = [(T0 + 1000 * second, "BTC/USD", bid, ask, bid) for second, (bid, ask) in enumerate(quotes)]
        started.append(start_sandbox(feed=rows, **options))
        return started[-1]

    yield start
    for running in started:
        running.close()
