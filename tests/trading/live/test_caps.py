"""Exposure caps over the sessions of an account and of a person."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from tests import factories
from tests.trading.live.conftest import Live
from trading import caps, orders, plans, services
from trading.models import ExposureCap, Holding, LiveSession, Order


@pytest.fixture
def two(live, user, venue, account):
    """Two sessions that want to buy for 20,000 each."""
    one = live.start("buy_and_hold", capital=Decimal(20000))
    return one, Live(user, venue, account).start("buy_and_hold", pair="ETH/USD", capital=Decimal(20000))


def values(*lives):
    sessions = [one.session for one in lives]
    return [s.held * s.orders.first().expected_price if s.held else 0 for s in sessions]


def turn(venue, *lives):
    venue.advance(60_000)
    for one in lives:
        one.turn()


def test_the_second_session_gets_what_the_first_has_left(two, venue, user):
    services.set_cap(owner=user, max_total=Decimal(25000), by=user)
    turn(venue, *two)
    first, second = values(*two)
    assert 19000 < first < 20000
    assert 4000 < second <= 25000 - first + 50  # the first is marked at the last price, not at its fill
    reason = two[1].session.decisions.get().risk_reason
    assert reason.startswith("cap on all accounts in USD: others hold 19")
    assert AuditEvent.objects.get(action="cap.set").object_id == str(ExposureCap.objects.get().pk)


def test_no_more_positions_than_allowed_are_opened_and_exits_are_free(two, venue, user, account):
    services.set_cap(owner=user, account=account, max_open=1, by=user)
    turn(venue, *two)
    assert two[0].session.held > 0 == two[1].session.held
    assert "1 positions are open, 1 are allowed" in two[1].session.decisions.get().risk_reason
    services.set_cap(
        owner=user, account=account, max_total=Decimal(1), cap=ExposureCap.objects.get(), by=user
    )
    services.flatten_session(session=two[0].session)
    turn(venue, *two)
    assert two[0].session.held == 0


def test_a_cap_per_pair_looks_at_that_pair_only(two, venue, user):
    services.set_cap(owner=user, max_per_pair=Decimal(5000), by=user)
    turn(venue, *two)
    assert all(4900 < value <= 5000 for value in values(*two))


@pytest.mark.parametrize("act", ["pause", "stop"])
def test_a_session_that_is_paused_or_has_ended_with_a_position_counts(two, venue, user, act):
    services.set_cap(owner=user, max_total=Decimal(25000), by=user)
    venue.advance(60_000)
    two[0].turn()
    getattr(services, f"{act}_session")(session=two[0].session)
    turn(venue, two[0])
    assert two[0].session.status == {"pause": "paused", "stop": "stopped"}[act]
    assert two[0].session.held > 0
    turn(venue, two[1])
    first, second = values(*two)
    assert 4000 < second <= 25000 - first + 50
    assert (
        two[1]
        .session.decisions.latest("pk")
        .risk_reason.startswith("cap on all accounts in USD: others hold 19")
    )
    assert caps.use_of(ExposureCap.objects.get()).count == 2


def test_what_a_person_sold_of_an_ended_session_no_longer_counts(user, account):
    cap = ExposureCap.objects.create(owner=user, max_total=1000)
    given = {"owner": user, "account": account, "price": 100, "pair": "BTC/USD"}
    factories.SessionFactory(**given, status="running", held=2, price_ms=1)
    ended = factories.SessionFactory(**given, status="stopped", held=3, price_ms=2)
    LiveSession.objects.filter(pk=ended.pk).update(price=110)  # the newest price marks them all
    for quantity, total in [(5, 550), (4, 440), (2, 220), (0, 220)]:
        Holding.objects.update_or_create(account=account, coin="BTC", defaults={"quantity": quantity})
        assert caps.use_of(cap).total == total


def test_another_persons_sessions_do_not_count(two, venue, other_user):
    services.set_cap(owner=other_user, max_total=Decimal(1), by=other_user)
    turn(venue, *two)
    assert all(value > 15000 for value in values(*two))


@pytest.mark.parametrize(
    ("given", "field"),
    [({"max_total": Decimal(-1)}, "max_total"), ({}, "max_total"), ({"max_open": -1}, "max_open"),
     ({"max_open": 1, "currency": " "}, "currency"),
     ({"max_open": 1, "currency": "US$"}, "currency")],
)  # fmt: skip
def test_a_cap_that_makes_no_sense_is_refused(user, given, field):
    with pytest.raises(BadInput) as refused:
        services.set_cap(owner=user, **given)
    assert refused.value.field == field
    assert not ExposureCap.objects.exists()


def test_a_scope_has_one_cap_per_currency(user):
    services.set_cap(owner=user, max_open=1)
    with pytest.raises(Conflict):
        services.set_cap(owner=user, max_open=2)


@transaction.atomic
def planned(pk):
    """Cut and write one intent for 800 USD, as a session does in its turn."""
    session = LiveSession.objects.get(pk=pk)
    quantity, why = caps.fitted(session, Decimal(8), Decimal(100), factories.INSTRUMENT)
    if quantity:
        given = {"expected_price": Decimal(100), "reason": "test", "fence": 1, "now_ms": 1}
        orders.plan(session, quantity=quantity, **given)
    return quantity, why


def until_free(act):
    """Try again while another thread writes: SQLite in memory refuses where a file would wait."""
    for _ in range(10_000):
        try:
            return act()
        except OperationalError:
            continue
    raise AssertionError("the database stayed locked")


@pytest.mark.django_db(transaction=True)
def test_two_sessions_cannot_fill_the_same_room_together():
    user = factories.UserFactory()
    account = factories.AccountFactory(owner=user)
    ExposureCap.objects.create(owner=user, max_total=1000)
    given = {"owner": user, "account": account, "held": 0, "cash": 5000}
    pairs = ["BTC/USD", "ETH/USD", "SOL/USD", "XRP/USD"]
    sessions = [factories.SessionFactory(pair=pair, price=100, **given) for pair in pairs]
    together = Barrier(len(sessions))

    def enter(pk):
        try:
            together.wait(30)
            return until_free(lambda: planned(pk))
        finally:
            connection.close()

    with ThreadPoolExecutor(len(sessions)) as pool:
        done = list(pool.map(enter, [session.pk for session in sessions]))
    assert sorted(quantity for quantity, _ in done) == [0, 0, 2, 8]
    assert sum(order.quantity * order.expected_price for order in Order.objects.all()) == 1000
    assert sum("others hold" in why for _, why in done) == 3


def test_caps_are_locked_before_the_sessions_of_a_plan_that_levels_its_money(user, db):
    """As an intent does: else each could wait for the other."""
    plan = factories.PlanFactory(owner=user)
    session = factories.SessionFactory(owner=user, account=plan.account, plan=plan)
    factories.CapFactory(owner=user)
    with CaptureQueriesContext(connection) as asked:
        plans.level(session, lambda *_: False)
    tables = [query["sql"].partition("FROM ")[2][:40] for query in asked]
    first = {name: [name in table for table in tables].index(True) for name in ("exposurecap", "livesession")}
    assert first["exposurecap"] < first["livesession"]
