"""Accounts of one market tell its time by one clock, whichever of them reads the prices."""

from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.kernel import guards
from market.sandbox import options
from tests.sandbox_server import START_MS, start_sandbox
from tests.trading.exchanges.test_clock import Local
from tests.trading.live.conftest import Inline
from trading import accounts, entry, services
from trading.exchanges.clock import BASELINE_S, REAL_TIME, VenueClock
from trading.exchanges.port import Quote
from trading.models import LiveSession, RiskProfile
from trading.runner.loop import Runner

SPEED = 1200.0
OTHER = "T" * 64


class Busy(Local):
    """Our clock in a process where every look at it takes a while: a call takes many."""

    def __call__(self):
        self.now_s += 0.002
        return self.now_s


@pytest.fixture
def local():
    return Busy()


@pytest.fixture
def replay(tmp_path, monkeypatch, local):
    """A market that runs `SPEED` times as fast as our clock, with two accounts."""
    ours = SimpleNamespace(monotonic=lambda: local.now_s, time=lambda: local.now_s)
    monkeypatch.setattr(options, "time", ours)
    accounts = [f"{OTHER}:{OTHER}:50000"]
    with start_sandbox(state_dir=tmp_path / "s", clock="real", speed=SPEED, accounts=accounts) as venue:
        yield venue


@pytest.fixture
def start(user, replay, db):
    """Start a session on an account of its own, at what a stale price is by default."""
    off = dict.fromkeys(("stop_loss", "daily_loss", "weekly_loss", "max_drawdown"), 0.0)
    risk = RiskProfile.objects.create(owner=user, name="ordinary", price_collar=0.0, **off)

    def start(baseline, key, secret):
        account = accounts.create_account(
            owner=user, name=key[:5], venue="roostoo", base_url=replay.url, candles_url=replay.url, key=key,
            secret=secret, calls_per_minute=100_000, poll_s=0.5,
        )  # fmt: skip
        return services.start_session(
            account=account, pair="BTC/USD", interval="15m", baseline=baseline, risk=risk, by=user
        )

    return start


def drive(local, rounds, later):
    """Drive everything for so many rounds; `later` is called at half of them."""
    left = [rounds]

    def sleep(_seconds):
        local.now_s += 0.7
        left[0] -= 1
        if left[0] == rounds // 2:
            later()

    Runner(monotonic_s=local, sleep=sleep, must_end=lambda: left[0] <= 0, hands=Inline()).run(10**9)


def test_on_an_accelerated_replay_an_account_that_reads_no_prices_enters_too(replay, start, local):
    start("cash", replay.key, replay.secret)
    drive(local, 20, lambda: start("buy_and_hold", OTHER, OTHER))
    late = LiveSession.objects.get(baseline="buy_and_hold")
    assert late.held > 0, list(late.decisions.values_list("action", "risk_reason"))


@given(
    reads=st.lists(
        st.tuples(st.floats(0.0, 30.0), st.floats(0.0, 0.05), st.floats(0.0, 0.05)), min_size=1, max_size=40
    ),
    age_ms=st.integers(0, 10_000),
)
def test_in_real_time_a_shared_clock_leaves_every_decision_on_age_as_it_was(reads, age_ms):
    """Whoever reads, at whatever distances and delays: the rate is 1, so an age is what it is."""
    local = Local()
    shared, alone = VenueClock(local), VenueClock(local)
    for number, (pause_s, there_s, back_s) in enumerate(reads):
        local.now_s += pause_s
        sent_s = local.now_s
        local.now_s += there_s
        venue_ms = START_MS + round(local.now_s * 1000)
        local.now_s += back_s
        shared.read(venue_ms, sent_s)
        if number == 0:
            alone.read(venue_ms, sent_s)
    assert shared.rate == alone.rate == 1.0
    assert 2 * 0.05 / BASELINE_S < REAL_TIME
    assert abs(shared.now_ms() - (START_MS + local.now_s * 1000)) <= 26  # half the difference of the ways
    session, profile = LiveSession(), RiskProfile()
    quote = Quote("BTC/USD", Decimal(10), Decimal(10), Decimal(10), 0)
    seen = [
        entry.entry_of(session, quote, now_ms=age_ms, trades_today=0, rate=clock.rate)
        for clock in (shared, alone)
    ]
    assert seen[0] == seen[1]
    is_late = age_ms > profile.entry_stale_s * 1000
    assert (guards.entry_refusal(seen[0], entry.limits_of(profile)) == guards.STALE) == is_late
