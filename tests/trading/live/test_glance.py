"""One look at the database for all the turns on a tick, as long as nobody acts at the venue."""

import itertools
from datetime import timedelta

import pytest
from django.db import connection
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.trading.live.conftest import Hand, Live
from trading import services, sessions, states
from trading.models import LiveSession, Order, OrderStatus, SessionStatus
from trading.runner import glance
from trading.runner.glance import GOOD_S, Glance

CAPITAL = {"capital": "9000"}


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def two(live, user, venue, account):
    """Two sessions on one account, at work."""
    other = Live(user, venue, account)
    live.start("buy_and_hold", **CAPITAL)
    other.start("cash", pair="ETH/USD", **CAPITAL)
    for _ in range(2):
        live.turn()
        other.turn()
    return live, other


def glance_of(*lives):
    return Glance([one.session for one in lives], Clock())


def test_a_row_equals_the_one_read_alone(two):
    live, _ = two
    row = glance_of(*two).row(live.session)
    alone = LiveSession.objects.get(pk=live.session.pk)
    assert all(
        getattr(row, field.attname) == getattr(alone, field.attname) for field in row._meta.concrete_fields
    )


@pytest.mark.parametrize(("age_s", "written"), [(-60, []), (2, ["UPDATE"])])
def test_a_quiet_turn_on_a_glance_costs_at_most_one_write_a_second(two, age_s, written):
    _live, other = two
    for one in two:
        one.bar()
    LiveSession.objects.update(turn_at=timezone.now() - timedelta(seconds=age_s))
    found = glance_of(*two)
    quote = other.exchange.quotes()["ETH/USD"]
    other.seat.lease.renew()  # else a slow machine renews it within the turn
    with CaptureQueriesContext(connection) as asked:
        sessions.step(other.seat, quote=quote, now_ms=other.exchange.now_ms(), row=found.row(other.session))
    statements = [query["sql"] for query in asked if "clock_timestamp" not in query["sql"]]  # of the lease
    assert [statement.split()[0] for statement in statements] == written


def test_what_a_person_changed_since_the_last_turn_is_seen(two):
    _, other = two
    services.pause_session(session=other.session, by=other.user)
    found = glance_of(*two)
    other.session.status = SessionStatus.RUNNING  # what the driver still believes
    sessions.step(other.seat, quote=None, now_ms=other.exchange.now_ms(), row=found.row(other.session))
    assert other.seat.session.status == SessionStatus.PAUSED


def test_limits_changed_by_a_person_count_from_the_next_glance(two):
    live, _ = two
    type(live.session.risk).objects.filter(pk=live.session.risk_id).update(max_exposure=0.25)
    found = glance_of(*two)
    sessions.step(live.seat, quote=None, now_ms=live.exchange.now_ms(), row=found.row(live.session))
    assert live.seat.session.risk.max_exposure == 0.25


def taken_over(live):
    """A driver that has taken its row over from a glance."""
    states.adopt(live.seat.session, glance_of(live).row(live.seat.session))
    return live.seat.session


def test_a_row_nobody_has_changed_is_not_read_again(two):
    session = taken_over(two[0])
    session.price += 1  # a mark that was not stored: the driver's own
    assert glance_of(two[0]).row(session) is session


CHANGES = {
    "session": lambda one: LiveSession.objects.filter(pk=one.pk).update(status=SessionStatus.PAUSED),
    "books": lambda one: LiveSession.objects.filter(pk=one.pk).update(cash=1),
    "limits": lambda one: type(one.risk).objects.filter(pk=one.risk_id).update(max_exposure=0.25),
    "account": lambda one: type(one.account).objects.filter(pk=one.account_id).update(is_active=False),
    "owner": lambda one: type(one.owner).objects.filter(pk=one.owner_id).update(email="new@example.com"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_somebody_changes_is_read_again_once(two, what):
    session = taken_over(two[0])
    CHANGES[what](session)
    found = glance_of(two[0])
    row = found.row(session)
    assert row is not session
    states.adopt(session, row)
    alone = states.WITH_RELATED.get(pk=session.pk)
    for mine, theirs in ((session, alone), (session.risk, alone.risk), (session.account, alone.account)):
        assert model_to_dict(mine) == model_to_dict(theirs)
    assert glance_of(two[0]).row(session) is session


def test_what_a_failed_turn_left_unstored_is_read_again(two):
    session = taken_over(two[0])
    found = glance_of(two[0])
    session.cash += 1
    session.stored_marks = None  # as a failed turn, or marks over which a person has written, leave it
    assert found.row(session) is None
    row = glance_of(two[0]).row(session)
    assert row is not session
    assert row.cash == session.cash - 1


def test_more_than_a_few_changed_rows_are_left_to_those_who_need_them(two, monkeypatch):
    monkeypatch.setattr(glance, "ANEW", 1)
    rows = [glance_of(*two).row(one.seat.session) for one in two]
    assert [row is None for row in rows].count(True) == 1


def test_an_account_with_an_unsettled_order_is_looked_at_turn_by_turn(two):
    live, other = two
    order = live.session.orders.first() or pytest.fail("it has not traded")
    Order.objects.filter(pk=order.pk).update(status=OrderStatus.UNCERTAIN)
    found = glance_of(*two)
    assert found.row(live.session) is None
    assert found.row(other.session) is None  # it must not trade before the books are known


def test_a_glance_gets_old_and_is_dropped_when_somebody_acts(two):
    live, other = two
    clock = Clock()
    found = Glance([one.session for one in two], clock)
    clock.now_s = GOOD_S
    assert found.row(live.session) is not None
    clock.now_s = GOOD_S + 0.1
    assert found.row(live.session) is None
    found = glance_of(*two)
    found.drop(live.account.pk)
    assert found.row(live.session) is None
    assert found.row(other.session) is None


def test_sessions_of_a_plan_look_for_themselves(two, user, account):
    from tests import factories

    live, other = two
    plan = factories.PlanFactory(owner=user, account=account)
    LiveSession.objects.filter(pk=live.session.pk).update(plan=plan)
    assert glance_of(*two).row(live.session) is None  # even if it joined only now
    assert glance_of(*two).row(other.session) is not None


def test_an_order_of_one_session_makes_the_others_of_its_account_look(
    live,
    give_back,
    user,
    venue,
    account,
    monkeypatch,
):
    """Through the real runner: who comes after an order on the same tick is given no glance."""
    give_back("buy_and_hold", **CAPITAL)
    other = Live(user, venue, account)
    other.start("buy_and_hold", pair="ETH/USD", **CAPITAL)
    other.seat.lease.release()
    given = []
    step = sessions.step

    def noting(seat, **asked):
        before = seat.session.orders.count()
        step(seat, **asked)
        given.append((seat.session.pk, asked["row"] is not None, seat.session.orders.count() > before))

    monkeypatch.setattr(sessions, "step", noting)
    Hand(venue, 8).drive()
    followers = [later for first, later in itertools.pairwise(given) if first[2] and first[0] != later[0]]
    assert any(traded for _, _, traded in given)
    assert followers
    assert not any(had_glance for pk, had_glance, _ in followers if pk == other.session.pk)
    assert any(had_glance for _, had_glance, _ in given[-4:])  # calm again
