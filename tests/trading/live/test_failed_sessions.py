"""A session that lost its model, or failed: its position is never out of reach of its stops and of people."""

import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.urls import reverse

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from tests.agents.council.members import made_model
from tests.agents.markets import stored, walk
from tests.trading.live.conftest import Live, after, check
from trading import services, sessions, states, working
from trading.models import Alert, ForeignOrders, LiveSession, Order, OrderStatus, SessionStatus
from trading.parity import verify

CANDLES = walk(700, seed=4)


@pytest.fixture
def model(user):
    return made_model(user, stored(CANDLES, user), CANDLES, "lost", 1.5, features="price", window=3)


@pytest.fixture
def holding(live, model):
    """A session of a model that holds coins."""
    live.start("", model=model)
    for _ in range(30):
        if live.bar().held:
            return live
    raise AssertionError("the model never bought: the test needs another one")


def lose_files(model, tmp_path):
    files = Path(settings.VAR_DIR) / model.path
    shutil.move(files, tmp_path / "away")
    return lambda: shutil.move(tmp_path / "away", files)


def test_stops_go_on_when_the_model_of_a_running_session_loses_its_files(holding, model, tmp_path):
    restore = lose_files(model, tmp_path)
    holding.die()
    holding.take().bar(2)
    decision = holding.session.decisions.first()
    assert (holding.session.status, holding.session.held > 0) == (SessionStatus.RUNNING, True)
    assert (decision.action, decision.gate_reason) == ("HOLD", f"{model} cannot be asked: it holds")
    assert decision.model_hash != model.file_hash
    alert = Alert.objects.get(key=f"council:{holding.session.pk}")
    assert "holds and only guards its stops" in alert.text
    assert "missing or unreadable" in alert.text

    above = holding.session.price * 2
    LiveSession.objects.update(stop_price=above, bracket_price=above)
    holding.turn()
    assert holding.session.held == 0
    assert "stop" in holding.session.orders.first().reason

    restore()
    holding.die()
    holding.take().bar(1)
    assert holding.session.decisions.first().model_hash == model.file_hash
    alert.refresh_from_db()
    assert alert.closed_at is not None
    found = verify(holding.session)
    without = holding.session.decisions.exclude(model_hash=model.file_hash).values_list("bar_ms", flat=True)
    assert {one.bar_ms for one in found.unrepeated} == set(without)
    assert all(f"{model} could not be asked then" in one.what for one in found.unrepeated)
    assert found.is_equal, found.mismatches


def test_a_session_that_never_began_fails_without_its_model(live, model, tmp_path):
    live.start("", model=model)
    lose_files(model, tmp_path)
    live.die()
    with pytest.raises(BadInput, match="missing or unreadable"):
        live.take()


def fail(live):
    states.fail(live.session, "its pair is not listed any more", live.exchange.now_ms())
    live.die()
    return live


def test_a_failed_session_goes_on_with_its_books_once_a_person_resumes_it(holding):
    before = fail(holding).session
    services.resume_session(session=before, by=holding.user)
    again = holding.take().bar()
    assert (again.status, again.note, again.stopped_ms) == (SessionStatus.RUNNING, "", 0)
    assert (again.held, again.cash, again.entry_price) == (before.held, before.cash, before.entry_price)
    assert Alert.objects.get(key=f"failed:{again.pk}").closed_at is not None
    assert AuditEvent.objects.filter(action="session.resume", actor=holding.user).count() == 1


def test_who_is_told_of_a_failure_is_told_of_what_nobody_guards(holding):
    held = fail(holding).session.held
    alert = Alert.objects.get(key=f"failed:{holding.session.pk}")
    assert f"not listed any more. It still holds {held.normalize():f} BTC, which no stop guards" in alert.text


def test_nobody_is_sent_to_sell_what_no_order_could_sell(holding):
    LiveSession.objects.update(held=Decimal("0.000001"))
    fail(holding)
    assert Alert.objects.get(key=f"failed:{holding.session.pk}").text.endswith("is not listed any more")


def test_what_a_failed_session_left_behind_is_sold_on_request(holding):
    fail(holding)
    services.flatten_session(session=holding.session, by=holding.user)
    holding.take().turn()
    holding.turn()
    assert (holding.session.status, holding.session.held) == (SessionStatus.STOPPED, 0)
    assert holding.ledger().keys() == {"USD"}
    assert set(holding.session.orders.values_list("status", flat=True)) == {OrderStatus.FILLED}
    assert holding.books()["USD"] == pytest.approx(holding.ledger()["USD"], abs=Decimal("0.02"))


def test_a_failed_session_that_holds_nothing_has_ended(live):
    fail(live.start("cash"))
    assert Alert.objects.get(key=f"failed:{live.session.pk}").text.endswith("is not listed any more")
    for act in (services.stop_session, services.flatten_session, services.pause_session):
        with pytest.raises(Conflict, match="failed"):
            act(session=live.session)


def test_a_failed_session_does_not_come_back_beside_its_successor(holding):
    fail(holding)
    heir = services.start_session(
        account=holding.account, pair="BTC/USD", interval="1m", baseline="cash",
        risk=holding.session.risk,
    )  # fmt: skip
    for act in (services.resume_session, services.flatten_session):
        with pytest.raises(Conflict, match=rf"session {heir.pk} .* stop it first"):
            act(session=holding.session)
    holding.session.refresh_from_db()
    assert holding.session.status == SessionStatus.FAILED
    services.stop_session(session=heir)
    LiveSession.objects.filter(pk=heir.pk).update(status=SessionStatus.STOPPED)
    assert services.resume_session(session=holding.session).status == SessionStatus.RUNNING


def test_a_failed_session_does_not_come_back_on_an_account_that_is_switched_off(holding):
    fail(holding)
    account = holding.account
    type(account).objects.filter(pk=account.pk).update(is_active=False)
    for act in (services.resume_session, services.flatten_session):
        with pytest.raises(Conflict, match="switched off: switch it on first"):
            act(session=holding.session)
    type(account).objects.filter(pk=account.pk).update(is_active=True)
    services.flatten_session(session=holding.session, by=holding.user)
    event = AuditEvent.objects.filter(action="session.stop").latest("id")
    assert event.detail == {"flatten": True}
    assert holding.take().turn().held == 0


def test_a_position_sold_by_hand_while_its_session_has_failed_is_closed_in_its_books(holding):
    held, fills = holding.session.held, holding.session.fills.count()
    fail(holding)
    holding.venue.order("SELL", held)
    done = services.reconcile_account(account=holding.account, by=holding.user).differences[0]["done"]
    assert "were the position of" in done
    holding.session.refresh_from_db()
    assert (holding.session.held, holding.session.fills.count()) == (0, fills + 1)
    services.resume_session(session=holding.session)
    services.flatten_session(session=holding.session)
    assert holding.take().turn().status == SessionStatus.STOPPED
    assert holding.books() == pytest.approx(holding.ledger(), abs=Decimal("0.02"))


def test_where_orders_by_hand_are_ignored_a_position_that_is_gone_is_not_taken_up_again(holding):
    holding.account.foreign_orders = ForeignOrders.IGNORE
    holding.account.save(update_fields=["foreign_orders"])  # what is opened stays so
    held = holding.session.held
    fail(holding)
    holding.venue.order("SELL", held)
    services.reconcile_account(account=holding.account, by=holding.user)
    for act in (services.resume_session, services.flatten_session):
        with pytest.raises(Conflict, match="its position was closed outside of it"):
            act(session=holding.session)


def test_what_is_sold_by_hand_is_the_failed_sessions_first_and_then_its_heirs(live):
    live.start("buy_and_hold", capital=Decimal(10_000)).bar(2)
    fail(live)
    heir = Live(live.user, live.venue, live.account)
    heir.start("buy_and_hold", capital=Decimal(20_000)).bar(2)
    old, new = live.session.held, heir.session.held
    assert old > 0
    assert new > 0
    half = (new / 2).quantize(Decimal("0.00001"))
    live.venue.order("SELL", old + half)
    services.reconcile_account(account=live.account)
    live.session.refresh_from_db()
    heir.session.refresh_from_db()
    assert (live.session.held, heir.session.held) == (0, new - half)
    assert heir.books() == pytest.approx(heir.ledger(), abs=Decimal("0.02"))
    orders = Order.objects.filter(reason="placed by hand")
    assert sorted(bool(one.venue_order_id) for one in orders) == [False, True]


def test_an_order_that_waits_for_a_person_ends_with_a_session_that_fails(live):
    live.start("buy_and_hold", risk={"approval_above": 1000.0}).bar()
    order = live.session.orders.get()
    assert order.status == OrderStatus.WAITING
    fail(live)
    order.refresh_from_db()
    assert (order.status, order.answer) == (OrderStatus.REFUSED, "the session has failed")
    assert not Alert.objects.filter(key=f"approval:{order.pk}", closed_at=None).exists()
    heir = Live(live.user, live.venue, live.account)
    heir.start("buy_and_hold").bar(2)
    assert heir.session.held > 0


def test_a_yes_can_be_taken_back_while_the_order_is_not_on_its_way(live):
    live.start("buy_and_hold", risk={"approval_above": 1000.0}).bar()
    order = live.session.orders.get()
    services.approve_order(order=order, by=live.user)
    services.reject_order(order=order, by=live.user)
    assert order.status == OrderStatus.REFUSED
    with pytest.raises(Conflict):
        services.reject_order(order=order, by=live.user)


def test_a_flatten_pressed_while_the_session_stops_is_not_lost(live, monkeypatch):
    live.start("buy_and_hold").bar(2)
    held = live.session.held
    services.stop_session(session=live.session)
    real = sessions.summaries.close_days

    def pressed(session, *given, **options):
        if options.get("is_end"):
            monkeypatch.setattr(sessions.summaries, "close_days", real)
            services.flatten_session(session=LiveSession.objects.get(pk=session.pk))
        return real(session, *given, **options)

    monkeypatch.setattr(sessions.summaries, "close_days", pressed)
    assert live.turn().status == SessionStatus.STOPPING
    assert live.session.held == held > 0
    live.turn()
    live.turn()
    assert (live.session.status, live.session.held) == (SessionStatus.STOPPED, 0)


def test_stopping_everything_with_flatten_takes_failed_sessions_with_positions_along(holding, client):
    fail(holding)
    client.force_login(holding.user)
    holding.user.groups.add(Group.objects.get(name="operator"))
    page = client.post(reverse("stop-all"), {"flatten": "yes"}, follow=True).content.decode()
    assert "1 session asked to stop" in page
    holding.take().turn()
    assert holding.session.held == 0


def test_a_session_that_failed_while_it_was_to_sell_and_stop_trades_again_when_resumed(live):
    live.start("buy_and_hold").bar()
    held = live.session.held
    services.flatten_session(session=live.session, by=live.user)
    fail(live)
    assert live.session.flatten_wanted
    services.resume_session(session=live.session, by=live.user)
    again = live.take().bar(4)
    assert (again.status, again.flatten_wanted) == (SessionStatus.RUNNING, False)
    assert again.held == held > 0, "nothing is sold and bought anew at every bar"
    assert again.orders.count() == 1


RESTS = {"style": "limit", "deadline_s": 3000, "requote_s": 3600}


def test_an_order_that_could_not_be_withdrawn_when_its_session_failed_is_when_it_is_resumed(market):
    live = market((0, 50_000), settings=RESTS)
    after(live, 60, 2)
    assert live.session.orders.get().status == OrderStatus.OPEN
    live.venue.faults(drop_before={"value": True, "paths": ["cancel_order", "query_order"]})
    working.withdraw_left(live.session, live.seat.exchange)
    fail(live)
    live.venue.faults(clear=True)
    assert live.session.orders.get().status == OrderStatus.OPEN
    services.resume_session(session=live.session)
    live.take().turn()
    assert live.session.orders.get().status == OrderStatus.CANCELLED
    assert [one["status"] for one in live.venue_orders()] == ["CANCELED"]
    after(live, 60, 2)
    assert live.session.orders.count() == 2, "the pair is free for the next wish"


def test_an_order_nobody_answered_when_its_session_failed_does_not_rest_unseen_once_it_is_found(market):
    live = market((0, 50_000), settings=RESTS)
    live.venue.faults(drop_after={"value": True, "paths": ["place_order"], "times": 1})
    after(live, 60)
    assert live.session.orders.get().status == OrderStatus.UNCERTAIN
    working.withdraw_left(live.session, live.seat.exchange)
    fail(live)
    services.resume_session(session=live.session)
    live.take()
    after(live, 1, 2)
    assert live.session.orders.get().status == OrderStatus.CANCELLED
    check(live)
