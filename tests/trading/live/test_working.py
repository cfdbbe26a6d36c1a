"""Limit orders that rest and are re-quoted, and split orders: scripted market, faults, deaths."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from market.models import Lease
from tests.trading.live.conftest import after, check, states
from tests.trading.live.test_turns import Crash
from trading import reconciliation, services, sessions, settle
from trading.exchanges.port import CANCELLED
from trading.exchanges.roostoo import Roostoo
from trading.guard import LeaseLost
from trading.models import Alert, LiveSession, Order, ParentOrder, Reconciliation, SessionStatus
from trading.models import OrderStatus as S

LOST = {"value": True, "paths": ["cancel_order"], "times": 1}
UNANSWERED = {"value": True, "paths": ["place_order"], "times": 1}


def test_a_limit_order_rests_and_fills_as_maker_for_half_the_fee(market):
    live = market((10, 49_980))
    live.turn()
    order = live.session.orders.get()
    assert (order.type, order.status, order.price) == ("LIMIT", S.OPEN, D(50_000))
    assert live.session.held == 0
    after(live, 12)
    fill = live.session.fills.get()
    assert (fill.role, fill.price) == ("MAKER", D(50_000))
    assert fill.fee == (fill.quantity * fill.price * D("0.0005")).quantize(D("0.000001"), "ROUND_FLOOR")
    live.turn()
    assert ParentOrder.objects.get().status == "done"
    check(live)


def test_it_is_quoted_again_where_the_touch_has_moved(market):
    live = market((10, 50_100))
    live.turn()
    after(live, 20)  # moved, but quoted less than 30 s ago
    assert states(live) == [("LIMIT", S.OPEN)]
    after(live, 15, turns=2)
    assert states(live) == [("LIMIT", S.CANCELLED), ("LIMIT", S.OPEN)]
    assert live.session.orders.first().price == D(50_100)
    check(live)


def test_after_the_deadline_the_rest_goes_to_market(market):
    live = market()
    live.turn()
    after(live, 51, turns=2)
    assert states(live) == [("LIMIT", S.CANCELLED), ("MARKET", S.FILLED)]
    assert live.session.fills.get().role == "TAKER"
    check(live)


def test_the_same_wish_of_the_next_bar_lets_the_order_rest(market):
    live = market(settings={"style": "limit", "deadline_s": 150})
    live.turn()
    after(live, 62)
    assert states(live) == [("LIMIT", S.OPEN)]
    assert "at work already" in live.session.decisions.first().risk_reason
    after(live, 90, turns=2)
    assert states(live) == [("LIMIT", S.CANCELLED), ("MARKET", S.FILLED)]


def test_a_newer_wish_withdraws_the_older_order(market, monkeypatch):
    live = market(settings={"style": "limit", "deadline_s": 600})
    live.turn()
    rule = live.seat.decider.policy
    monkeypatch.setattr(rule, "wish", lambda values, held: 0.5)
    after(live, 62)
    assert states(live) == [("LIMIT", S.CANCELLED), ("LIMIT", S.OPEN)]
    first, second = ParentOrder.objects.order_by("id")
    assert (first.status, first.note) == ("ended", "a newer decision")
    assert second.target == 0.5
    assert second.until_ms == first.until_ms  # a wish that keeps changing does not rest for ever
    check(live)


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "http_5xx_after", "http_5xx_before"])
def test_an_unanswered_cancel_is_looked_at_and_tried_again(market, fault):
    live = market()
    live.turn()
    live.venue.faults(**{fault: {**LOST, **({"value": 502} if "5xx" in fault else {})}})
    after(live, 51, turns=3)
    assert states(live) == [("LIMIT", S.CANCELLED), ("MARKET", S.FILLED)]
    check(live)


def test_a_fill_that_wins_the_race_against_the_cancel_is_booked_once(market):
    live = market((52, 49_990))
    live.turn()
    real = live.exchange.cancel

    def slow_cancel(order_id):
        live.venue.advance(2000)  # the touch comes while the cancel is on its way
        return real(order_id)

    live.exchange.cancel = slow_cancel
    after(live, 51, turns=2)
    assert states(live) == [("LIMIT", S.FILLED)]
    assert live.session.fills.count() == 1
    check(live)


@pytest.mark.parametrize("fault", ["drop_after", "http_5xx_after", "truncated_json"])
def test_a_limit_order_whose_answer_was_lost_is_found_resting(market, fault):
    live = market()
    live.venue.faults(**{fault: {**UNANSWERED, **({"value": 502} if "5xx" in fault else {})}})
    live.turn()
    assert states(live) == [("LIMIT", S.UNCERTAIN)]
    live.turn()
    assert states(live) == [("LIMIT", S.OPEN)]
    after(live, 51, turns=2)
    assert states(live) == [("LIMIT", S.CANCELLED), ("MARKET", S.FILLED)]
    check(live)


def dies(*_args, **_kwargs):
    raise Crash


@pytest.mark.parametrize("seconds", [5, 51])
@pytest.mark.parametrize("where", ["before the cancel", "after the cancel", "before it is booked"])
def test_a_death_while_cancelling_is_gone_on_from(market, monkeypatch, where, seconds):
    live = market((10, 50_100))
    live.turn()
    real = live.exchange.cancel
    if where == "before it is booked":
        monkeypatch.setattr(settle.books, "book", dies)
    elif where == "before the cancel":
        monkeypatch.setattr(live.exchange, "cancel", dies)
    else:
        monkeypatch.setattr(live.exchange, "cancel", lambda order_id: dies(real(order_id)))
    live.venue.advance(40_000)
    with pytest.raises(Crash):
        live.turn()
    monkeypatch.undo()
    live.die()
    live.take()
    after(live, seconds, turns=3)
    types = {kind for kind, _ in states(live)}
    assert types == ({"LIMIT"} if seconds == 5 else {"LIMIT", "MARKET"})
    assert live.session.orders.resting().count() == (1 if seconds == 5 else 0)
    check(live)


def test_a_stop_withdraws_what_rests_before_it_leaves(market):
    live = market(
        (10, 49_990), (40, 49_000), settings={"style": "limit", "deadline_s": 600}, risk={"stop_loss": 0.01}
    )
    live.turn()
    after(live, 12, turns=2)
    assert live.session.held > 0
    ParentOrder.objects.update(status="working")  # a rest of it is still at work
    after(live, 30, turns=2)
    assert live.session.held == 0
    assert live.session.orders.first().reason == "stop-loss"
    check(live)


@pytest.mark.parametrize("act", ["pause", "stop", "flatten"])
def test_people_who_stop_a_session_have_its_resting_order_withdrawn(market, act):
    live = market(settings={"style": "limit", "deadline_s": 600})
    live.turn()
    getattr(services, f"{act}_session")(session=live.session)
    after(live, 5, turns=2)
    assert states(live) == [("LIMIT", S.CANCELLED)]
    assert live.session.status == (SessionStatus.PAUSED if act == "pause" else SessionStatus.STOPPED)
    check(live)


def test_a_stop_waits_until_the_venue_says_that_nothing_rests(market):
    live = market(settings={"style": "limit", "deadline_s": 600})
    live.turn()
    services.stop_session(session=live.session)
    live.venue.faults(http_5xx_before={"value": 500, "paths": ["cancel_order"]})
    after(live, 5, turns=2)
    assert live.session.status == SessionStatus.STOPPING
    live.venue.faults(clear=True)
    after(live, 5, turns=2)
    assert live.session.status == SessionStatus.STOPPED
    assert states(live) == [("LIMIT", S.CANCELLED)]


def test_a_price_that_is_unknown_does_not_let_an_order_outlive_its_deadline(market):
    live = market()
    live.turn()
    live.venue.advance(51_000)
    sessions.step(live.seat, quote=None, now_ms=live.exchange.server_ms())
    assert states(live) == [("LIMIT", S.CANCELLED)]


def test_nor_does_a_venue_that_shows_no_prices_at_all(market):
    live = market()
    live.turn()
    live.venue.advance(51_000)
    live.exchange.server_ms()
    sessions.step_unseen(live.seat, "the ticker holds no pairs")
    live.session.refresh_from_db()
    assert states(live) == [("LIMIT", S.CANCELLED)]
    assert Alert.objects.filter(key=f"prices:{live.account.pk}").exists()


def forgotten(live, monkeypatch, *, has_filled=False):
    """The venue cancels a resting order, or fills it, and does not know it any more."""
    order = live.session.orders.get()
    assert order.status == S.OPEN
    exchange, number = live.exchange, order.venue_order_id
    if has_filled:
        live.venue.advance(12_000)
    else:
        exchange.cancel(number)
    reports = exchange.reports
    monkeypatch.setattr(exchange, "report", lambda number: None)
    monkeypatch.setattr(
        exchange, "reports",
        lambda pair, **options: [one for one in reports(pair, **options) if one.venue_order_id != number],
    )  # fmt: skip


def wait():
    """Let the bound on our own clock pass."""
    Order.objects.update(changed_at=timezone.now() - timedelta(seconds=90))


def test_a_resting_order_that_the_venue_has_forgotten_is_cancelled_once_that_is_proven(market, monkeypatch):
    """Else it would stay open for ever, and with it the session that is to stop."""
    live = market(settings={"style": "limit", "deadline_s": 600})
    live.turn()
    forgotten(live, monkeypatch)
    services.stop_session(session=live.session, flatten=True)
    after(live, 60, turns=3)
    assert states(live) == [("LIMIT", S.OPEN)]  # the bound on our clock is not over
    assert live.session.orders.get().answer == settle.GONE
    wait()
    after(live, 5, turns=2)
    assert states(live) == [("LIMIT", S.CANCELLED)]
    assert live.session.status == SessionStatus.STOPPED
    assert live.books() == live.ledger()


def test_a_forgotten_order_that_has_traded_is_told_and_not_called_cancelled(market, monkeypatch):
    live = market((10, 49_980), settings={"style": "limit", "deadline_s": 600})
    live.turn()
    forgotten(live, monkeypatch, has_filled=True)
    services.stop_session(session=live.session)
    after(live, 60)
    wait()
    after(live, 60)
    assert states(live) == [("LIMIT", S.OPEN)]
    order = live.session.orders.get()
    assert Alert.objects.get(key=f"uncertain:{order.pk}").closed_at is None
    monkeypatch.undo()  # it is shown again
    after(live, 5, turns=2)
    assert states(live) == [("LIMIT", S.FILLED)]
    assert Alert.objects.get(key=f"uncertain:{order.pk}").closed_at is not None
    check(live)


def test_an_order_that_is_shown_again_is_waited_for_anew(market, monkeypatch):
    live = market(settings={"style": "limit", "deadline_s": 600})
    live.turn()
    monkeypatch.setattr(live.exchange, "report", lambda number: None)
    after(live, 25)
    assert live.session.orders.get().answer == settle.GONE
    wait()
    after(live, 25)  # its id is not found, the list shows it
    assert states(live) == [("LIMIT", S.OPEN)]
    assert live.session.orders.get().answer == ""


def test_a_cancel_that_never_succeeds_is_told_to_a_person(market):
    live = market(settings={"style": "limit", "deadline_s": 600})
    live.turn()
    services.stop_session(session=live.session)
    live.venue.faults(http_5xx_before={"value": 500, "paths": ["cancel_order"]})
    after(live, 5)
    after(live, 90)
    assert not Alert.objects.filter(key=f"resting:{live.session.pk}").exists()
    after(live, 60)
    assert Alert.objects.get(key=f"resting:{live.session.pk}").closed_at is None
    live.venue.faults(clear=True)
    after(live, 5, turns=2)
    assert Alert.objects.get(key=f"resting:{live.session.pk}").closed_at is not None
    assert live.session.status == SessionStatus.STOPPED


def test_a_failed_session_leaves_nothing_on_the_venue(market):
    live = market(settings={"style": "limit", "deadline_s": 600})
    live.turn()
    LiveSession.objects.update(settings={"style": "limit", "deadline_s": -1})
    after(live, 5)
    assert live.session.status == SessionStatus.FAILED
    assert states(live) == [("LIMIT", S.CANCELLED)]


def test_an_ended_sessions_resting_order_is_withdrawn_by_the_next_one(market):
    live = market(settings={"style": "limit", "deadline_s": 600}, capital=D(1000))
    live.turn()
    first = live.session
    LiveSession.objects.update(status=SessionStatus.FAILED)
    live.die()
    live.start("cash", capital=D(1000)).turn()
    assert first.orders.get().status == S.CANCELLED
    check_all = {one.venue_order_id for one in Order.objects.all()}
    assert {str(one["order_id"]) for one in live.venue_orders()} == check_all


def test_a_cancelled_order_that_the_venue_shows_filled_is_booked(market, monkeypatch):
    live = market((60, 49_000))
    live.turn()
    real = live.exchange.report

    def says_cancelled(order_id):
        report = real(order_id)
        return type(report)(**{**{f: getattr(report, f) for f in report.__slots__}, "status": CANCELLED})

    monkeypatch.setattr(live.exchange, "report", says_cancelled)
    monkeypatch.setattr(live.exchange, "cancel", lambda order_id: True)  # it says so, but it rests on
    services.pause_session(session=live.session)
    after(live, 5)
    assert states(live) == [("LIMIT", S.CANCELLED)]
    monkeypatch.undo()
    live.seat.is_checked = False
    after(live, 60)
    assert states(live) == [("LIMIT", S.FILLED)]
    assert live.session.held > 0
    check(live)


def test_the_books_are_compared_while_an_order_rests(market):
    live = market(settings={"style": "limit", "deadline_s": 600})
    live.turn()
    before = Reconciliation.objects.count()
    done = reconciliation.reconcile(live.account, live.exchange)
    assert done.equal
    assert Reconciliation.objects.count() == before + 1


def test_a_fill_nobody_has_looked_at_is_not_corrected_away(market):
    live = market((10, 49_980), settings={"style": "limit", "deadline_s": 600})
    live.turn()
    live.venue.advance(12_000)
    assert reconciliation.reconcile(live.account, live.exchange) is None
    live.turn()
    assert live.session.held > 0
    check(live)


def test_a_resting_order_costs_few_calls(market):
    live = market(settings={"style": "limit", "deadline_s": 600})
    live.turn()
    looks = []
    real = live.exchange.report
    live.exchange.report = lambda order_id: looks.append(order_id) or real(order_id)
    for _ in range(12):
        after(live, 5)
    assert len(looks) <= 3  # a minute of standing still


def test_a_lost_lease_sends_no_cancel(market):
    live = market()
    live.turn()
    Lease.objects.update(fence=99, owner="another")
    live.venue.advance(51_000)
    with pytest.raises(LeaseLost):
        live.turn()
    assert live.venue_orders()[0]["status"] == "PENDING"


def test_a_part_of_a_resting_order_is_dated_when_it_traded(market, monkeypatch):
    live = market((0, 50_000), settings={"style": "limit", "deadline_s": 3600})
    live.turn()
    live.bar()
    created = live.session.orders.get().sent_ms
    real = Roostoo._orders

    def partly(self, asked):
        return [
            replace(one, filled=one.quantity / 2, average_price=one.price) if one.status == "open" else one
            for one in real(self, asked)
        ]

    live.venue.advance(20 * 60_000)
    monkeypatch.setattr(Roostoo, "_orders", partly)
    live.turn()
    assert live.session.fills.get().filled_ms - created > 19 * 60_000
