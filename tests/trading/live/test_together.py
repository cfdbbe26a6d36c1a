"""Sessions of one model in one process, through the real runner: they share bars and forwards only."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.agents.markets import network_policy, stored_model, walk
from tests.sandbox_server import start_sandbox
from tests.trading.live.conftest import Hand, Live
from trading import accounts, services, sessions
from trading.models import Decision, LiveSession, SessionStatus
from trading.parity import verify
from trading.runner.glance import Glance
from trading.runner.shared import Minds, SharedPolicy
from trading.states import PRICES

SECRET = "s" * 64
TOUCHED = r"^(?:\d+ times: )?(INSERT INTO|UPDATE|DELETE FROM|SELECT)(?:.*? FROM)? ([a-z_]+)"
KEYS = [letter * 64 for letter in "abc"]


def crowded(tmp_path):
    """A venue with an account for each of the keys."""
    others = [f"{key}:{SECRET}:50000" for key in KEYS]
    with start_sandbox(state_dir=tmp_path / "sandbox", accounts=others) as running:
        yield running


venue = pytest.fixture(crowded, name="venue")


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
    assert own(statements) == ["INSERT equitypoint", "INSERT decision", "UPDATE livesession"]


ORDER = """
    UPDATE lease, INSERT equitypoint, SELECT exposurecap, INSERT decision, UPDATE livesession,
    SELECT order, SELECT order, INSERT order,
    UPDATE lease, UPDATE order, UPDATE callbudget,
    SELECT livesession, UPDATE order, INSERT fill, INSERT ledgerentry,
    SELECT holding, UPDATE holding, SELECT holding, UPDATE holding,
    UPDATE livesession, SELECT alertrule, INSERT equitypoint
"""


def test_a_decision_with_an_order_costs_these_statements(live, venue):
    """Decided and intended in one transaction, sent, booked in another, marked: nothing is read twice."""
    live.start("random", settings={"turnover": 1.0, "seed": 2})
    for _ in range(4):
        live.bar()
    for is_entry in (True, False, True, False):
        venue.advance(60_000)
        wanted = [one.strip() for one in ORDER.split(",") if is_entry or "cap" not in one]
        if not is_entry:  # the position was opened behind the last close
            wanted.insert(0, "SELECT fill")
        if connection.features.has_select_for_update:  # the account first: docs/architecture.md, "Locks"
            wanted.insert(wanted.index("UPDATE callbudget") + 1, "SELECT account")
        assert own(_glanced(live)) == wanted
        assert (live.seat.session.held != 0) == is_entry
    assert live.books() == live.ledger()


def test_after_an_order_the_driver_holds_what_its_row_says(live, venue):
    """To the last digit as the database keeps it: the next decision must not depend on who books."""
    live.start("random", settings={"turnover": 1.0, "seed": 2})
    for _ in range(4):
        live.bar()
    for _ in range(3):
        venue.advance(60_000)
        _glanced(live)
        mine, row = live.seat.session, LiveSession.objects.get(pk=live.session.pk)
        names = [field.attname for field in row._meta.concrete_fields if field.name not in PRICES]
        assert {name: getattr(mine, name) for name in names} == {name: getattr(row, name) for name in names}
        assert Glance([mine], lambda: 0.0).row(mine) is mine  # nothing is read again for it


def test_what_a_person_changed_while_the_venue_was_asked_is_not_lost_with_the_fill(live, venue, monkeypatch):
    live.start("random", settings={"turnover": 1.0, "seed": 2})
    for _ in range(4):
        live.bar()
    real = live.exchange.place

    def paused_meanwhile(order):
        services.pause_session(session=live.session, by=live.user)
        return real(order)

    monkeypatch.setattr(live.exchange, "place", paused_meanwhile)
    venue.advance(60_000)
    _glanced(live)
    live.session.refresh_from_db()
    assert live.session.status == live.seat.session.status == SessionStatus.PAUSED
    assert live.seat.session.held == live.session.held > 0
    assert live.books() == live.ledger()


def own(statements):
    """What a turn asks of the database for itself; bars are read and written once for all."""
    touched = [re.search(TOUCHED, text.replace('"', "")) for text in statements]
    found = [f"{one[1].split()[0]} {one[2].split('_')[1]}" for one in touched if one]
    return [one for one in found if not one.endswith("livebar")]


def _glanced(live):
    quote, now_ms = live.exchange.quotes()[live.session.pair], live.exchange.now_ms()
    row = Glance([live.seat.session], lambda: 0.0).row(live.seat.session)
    live.seat.lease.renew()
    with CaptureQueriesContext(connection) as asked:
        sessions.step(live.seat, quote=quote, now_ms=now_ms, row=row)
    return [query["sql"] for query in asked if "clock_timestamp" not in query["sql"]]
