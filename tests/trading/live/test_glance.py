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
from trading.runner.glance import GOOD_S, Glance, Sight

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


def test_a_glance_gets_old(two):
    live, _ = two
    clock = Clock()
    found = Glance([one.session for one in two], clock)
    clock.now_s = GOOD_S
    assert found.row(live.session) is not None
    clock.now_s = GOOD_S + 0.1
    assert found.row(live.session) is None


def test_behind_an_act_the_others_of_the_account_look_at_their_row_and_the_orders_once_more(two):
    live, other = two
    for one in two:
        taken_over(one)
    sight = Sight()
    found, ahead = (Glance([one.session for one in two], Clock(), sight) for _ in range(2))
    order = live.session.orders.first() or pytest.fail("it has not traded")
    settle = Order.objects.filter(pk=order.pk).update
    settle(status=OrderStatus.SENDING)
    assert found.row(other.session) is other.session  # nobody has said that he is about to act
    sight.note_act(live.account.pk)
    for one in (found, ahead):  # whoever looks by the same sight
        assert one.row(live.session) is one.row(other.session) is None
    settle(status=OrderStatus.FILLED)
    sight.note_act(live.account.pk)
    with CaptureQueriesContext(connection) as asked:
        assert found.row(other.session) is other.session  # nothing has changed: no object is made
        assert found.row(other.session) is other.session
    assert len(asked) == 2  # once
    LiveSession.objects.filter(pk=other.session.pk).update(held=7)  # as an adopted order changes it
    sight.note_act(live.account.pk)
    row = found.row(other.session)
    assert row is not other.session
    assert row.held == 7
    states.adopt(other.session, row)
    assert glance_of(other).row(other.session) is other.session


def test_a_session_that_was_not_in_line_has_no_row(two):
    live, other = two
    assert glance_of(live).row(other.session) is None


def test_sessions_of_a_plan_look_for_themselves(two, user, account):
    from tests import factories

    live, other = two
    plan = factories.PlanFactory(owner=user, account=account)
    LiveSession.objects.filter(pk=live.session.pk).update(plan=plan)
    assert glance_of(*two).row(live.session) is None  # even if it joined only now
    assert glance_of(*two).row(other.session) is not None


def test_behind_an_order_the_others_of_the_account_trade_on_what_is_true_then(
    live,
    give_back,
    user,
    venue,
    account,
    monkeypatch,
):
    """Through the real runner: who comes after an order on the same tick has looked once more."""
    give_back("buy_and_hold", **CAPITAL)
    other = Live(user, venue, account)
    other.start("buy_and_hold", pair="ETH/USD", **CAPITAL)
    other.seat.lease.release()
    given, looks = [], []
    step, look = sessions.step, Glance._look_again

    def noting(seat, **asked):
        before = seat.session.orders.count()
        looked = [pk for pk in looks if pk == seat.session.pk]
        looks.clear()
        step(seat, **asked)
        given.append((seat.session.pk, bool(looked), seat.session.orders.count() > before, asked["row"]))

    monkeypatch.setattr(sessions, "step", noting)
    monkeypatch.setattr(
        Glance, "_look_again", lambda self, session: looks.append(session.pk) or look(self, session)
    )
    Hand(venue, 8).drive()
    followers = [later for first, later in itertools.pairwise(given) if first[2] and first[0] != later[0]]
    assert any(traded for _, _, traded, _ in given)
    assert followers
    assert all(looked and row is not None for pk, looked, _, row in followers if pk == other.session.pk)
    assert any(row is not None and not looked for _, looked, _, row in given[-4:])  # calm again
    assert live.books() == live.ledger()
