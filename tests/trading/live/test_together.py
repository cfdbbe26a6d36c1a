"""Sessions of one model in one process, through the real runner: they share bars and forwards only."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.agents.markets import network_policy, stored_model, walk
from tests.sandbox_server import start_sandbox
from tests.trading.live.conftest import Hand, Live
from trading import accounts, sessions
from trading.models import Decision
from trading.parity import verify
from trading.runner.glance import Glance
from trading.runner.shared import Minds, SharedPolicy

SECRET = "s" * 64
TOUCHED = r"(INSERT INTO|UPDATE|DELETE FROM|SELECT)(?:.*? FROM)? ([a-z_]+)"
KEYS = [letter * 64 for letter in "abc"]


@pytest.fixture
def venue(tmp_path):
    others = [f"{key}:{SECRET}:50000" for key in KEYS]
    with start_sandbox(state_dir=tmp_path / "sandbox", accounts=others) as running:
        yield running


@pytest.fixture
def three(user, venue, db):
    model = stored_model(user, network_policy(walk()), walk())
    lives = []
    for number, key in enumerate(KEYS):
        account = accounts.create_account(
            owner=user, name=f"of {key[0]}", venue="roostoo", base_url=venue.url, candles_url=venue.url,
            key=key, secret=SECRET, calls_per_minute=100_000, poll_s=0.05,
        )  # fmt: skip
        live = Live(user, venue, account)
        lives.append(live.start("", model=model, settings={"sample": True, "seed": number}))
    return lives


def test_one_forward_a_bar_serves_all_and_each_decision_is_repeated_alone(three, venue, monkeypatch):
    shared, real = [], Minds.shared
    monkeypatch.setattr(Minds, "shared", lambda self, policy: shared.append(real(self, policy)) or shared[-1])
    for live in three:
        live.seat.lease.release()
    Hand(venue, 26).drive()
    [policy] = {id(one): one for one in shared}.values()
    assert isinstance(policy, SharedPolicy)
    assert policy.questions == Decision.objects.count() >= 3 * 7
    assert policy.questions / policy.forwards > 2  # a fill in between changes what is asked
    for live in three:
        found = verify(live.session)
        assert found.decisions >= 7
        assert found.is_equal, found.mismatches
        live.account.refresh_from_db()
        assert live.session.fills.count() > 0


def test_a_decision_without_an_order_costs_three_writes(live, venue):
    """Whatever is added here is added 500 times a second."""
    live.start("cash")
    for _ in range(3):
        live.bar()
    for _ in range(2):
        venue.advance(60_000)
        statements = _glanced(live)
    assert live.session.decisions.count() == 5
    touched = [re.match(TOUCHED, text.replace('"', "")) for text in statements]
    own = [
        found.groups() for found in touched if found and found[2] != "market_livebar"
    ]  # bars: once for all
    assert own == [
        ("INSERT INTO", "trading_equitypoint"), ("INSERT INTO", "trading_decision"),
        ("UPDATE", "trading_livesession"),
    ]  # fmt: skip


def _glanced(live):
    quote, now_ms = live.exchange.quotes()[live.session.pair], live.exchange.now_ms()
    row = Glance([live.seat.session], lambda: 0.0).row(live.seat.session)
    live.seat.lease.renew()
    with CaptureQueriesContext(connection) as asked:
        sessions.step(live.seat, quote=quote, now_ms=now_ms, row=row)
    return [query["sql"] for query in asked if "clock_timestamp" not in query["sql"]]
