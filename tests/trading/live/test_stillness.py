"""A ticker that is answered promptly and never moves: told from a quiet pair, and not traded on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox_server import START_MS, start_sandbox
from tests.trading.live.conftest import Live
from trading import accounts, services
from trading.exchanges.roostoo import Roostoo
from trading.exchanges.stillness import BOUND_MS, LEAST_PAIRS, LEAST_READS, Stillness
from trading.models import Alert, SessionStatus
from trading.watch.silence import Silence

OTHERS = [f"AA{n}/USD" for n in range(LEAST_PAIRS)]


def rows():
    """Half an hour and a quarter: BTC is quiet all the time, one other pair moves every 10 s."""
    for second in range(-1800, 900, 10):
        yield START_MS + second * 1000, "BTC/USD", 50_000, 50_010, 50_000
        for n, pair in enumerate(OTHERS):
            price = 100 + (second // 10 % 2 if n == 0 else 0)
            yield START_MS + second * 1000, pair, price, price + 1, price


@pytest.fixture
def wide(user, db, tmp_path, monkeypatch):
    """A venue of eleven pairs."""
    monkeypatch.setattr(Roostoo, "clock_rate", 1.0)  # a clock moved by hand has no rate
    with start_sandbox(feed=list(rows()), start_ms=START_MS, state_dir=tmp_path / "wide") as venue:
        account = accounts.create_account(
            owner=user, name="wide", venue="roostoo", base_url=venue.url, candles_url=venue.url,
            key=venue.key, secret=venue.secret, calls_per_minute=100_000, poll_s=0.05,
        )  # fmt: skip
        live = Live(user, venue, account)
        live.start("random", settings={"turnover": 1.0, "seed": 5}, risk={"max_stale_s": 3600.0})
        live.turn()
        yield live


def turns(live, count):
    for _ in range(count):
        live.venue.advance(5000)
        live.turn()


def told(live):
    return Alert.objects.filter(key=f"prices:{live.account.pk}", closed_at=None).first()


def test_a_quiet_pair_of_a_living_venue_is_traded_on(wide):
    turns(wide, 36)
    assert told(wide) is None
    assert wide.session.orders.count() >= 2


def test_a_venue_that_stands_still_is_unknown_until_it_moves(wide):
    turns(wide, 6)
    wide.venue.faults(stale_ticker=True)
    turns(wide, 14)
    count, priced_ms = wide.session.orders.count(), wide.session.price_ms
    alert = told(wide)
    assert alert.kind == "data_stale"
    assert "the whole venue have stood still for more than 60 s" in alert.text
    services.flatten_session(session=wide.session)
    turns(wide, 30)
    assert (wide.session.orders.count(), wide.session.price_ms) == (count, priced_ms)
    wide.venue.faults(clear=True)
    turns(wide, 3)
    assert told(wide) is None
    assert (wide.session.status, wide.session.held) == (SessionStatus.STOPPED, 0)


def test_the_watchdog_sees_it_where_the_driver_says_nothing(wide):
    clock = [0.0]
    silence = Silence(lambda: clock[0])
    wide.venue.faults(stale_ticker=True)
    turns(wide, 14)
    Alert.objects.all().delete()
    assert silence.stale([]) == []
    turns(wide, 7)
    clock[0] = 35.0
    Alert.objects.all().delete()
    assert silence.stale([]) == [wide.session]


tickers = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40_000)), min_size=1, max_size=80)


@given(reads=tickers, pairs=st.integers(1, 2 * LEAST_PAIRS), rate=st.sampled_from([0.0, 1.0, 60.0]))
def test_only_many_pairs_in_many_reads_over_a_long_time_are_still(reads, pairs, rate):
    still, at_ms, moved_ms, seen, before = Stillness(), 0, 0, 0, None
    for price, step_ms in reads:
        at_ms += step_ms
        moved_ms, seen = (at_ms, 1) if price != before else (moved_ms, seen + 1)
        before = price
        found = still.since(frozenset((n, price if n == 0 else 7) for n in range(pairs)), at_ms, rate)
        is_still = pairs >= LEAST_PAIRS and seen > LEAST_READS and at_ms - moved_ms > BOUND_MS * max(1, rate)
        assert found == (moved_ms if is_still else None)
