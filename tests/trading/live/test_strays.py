"""A limit order of ours that was proven absent, and rests at the venue all the same."""

from decimal import Decimal as D

import pytest

from tests.trading.live.conftest import after, check, states
from tests.trading.live.test_working import UNANSWERED, wait
from trading import foreign, reconciliation, services, strays
from trading.exchanges.port import OPEN, Proposal
from trading.models import Alert, Order, ParentOrder
from trading.models import OrderStatus as S


def lost(market, *moves, deadline_s=50):
    """Return a session whose limit order is proven absent: the request is on its way still."""
    live = market(*moves, settings={"style": "limit", "deadline_s": deadline_s}, capital=D(20_000))
    live.venue.faults(drop_before=UNANSWERED)
    live.turn()
    wait()
    after(live, 20)
    first = live.session.orders.order_by("id").first()
    assert first.status == S.ABSENT
    return live, first


def arrives(live, order):
    """Let the request reach the venue at last."""
    return live.exchange.place(Proposal(order.pair, order.side, order.type, order.quantity, order.price))


def compared(live):
    live.seat.is_checked = False
    live.turn()


def at_the_venue(live):
    return sorted(one["status"] for one in live.venue_orders())


def test_it_is_withdrawn_and_what_follows_it_is_the_only_one(market):
    live, first = lost(market)
    arrives(live, first)
    assert at_the_venue(live) == ["PENDING", "PENDING"], "the wish has another order by now"
    compared(live)
    first.refresh_from_db()
    assert (first.status, first.answer) == (S.CANCELLED, strays.RESTED)
    assert at_the_venue(live) == ["CANCELED", "PENDING"]
    assert "was there after all" in Alert.objects.get(key=f"stray:{first.pk}").text
    after(live, 60, turns=3)
    assert ParentOrder.objects.get().status == "done"
    assert live.session.held == live.session.orders.get(status=S.FILLED).quantity
    check(live)


def test_a_cancel_that_is_not_answered_is_tried_again(market):
    live, first = lost(market)
    arrives(live, first)
    live.venue.faults(http_5xx_before={"value": 500, "paths": ["cancel_order"], "times": 1})
    compared(live)
    first.refresh_from_db()
    assert first.status == S.ABSENT
    compared(live)
    first.refresh_from_db()
    assert first.status == S.CANCELLED
    check(live)


def test_a_fill_that_wins_the_race_against_the_cancel_is_the_sessions(market, monkeypatch):
    live, first = lost(market, (60, 49_900), deadline_s=600)
    services.pause_session(session=live.session)
    live.turn()  # the order that follows is withdrawn
    arrives(live, first)
    real = live.exchange.cancel

    def too_late(number):
        live.venue.advance(60_000)
        return real(number)

    monkeypatch.setattr(live.exchange, "cancel", too_late)
    compared(live)
    first.refresh_from_db()
    assert (first.status, live.session.held) == (S.FILLED, first.quantity)
    check(live)


def test_an_order_called_cancelled_by_proof_is_withdrawn_as_well(market, monkeypatch):
    live = market(settings={"style": "limit", "deadline_s": 600})
    live.turn()
    order, exchange = live.session.orders.get(), live.exchange
    with monkeypatch.context() as patch:
        patch.setattr(exchange, "report", lambda number: None)
        patch.setattr(exchange, "reports", lambda pair, **options: [])
        patch.setattr(exchange, "cancel", lambda number: False)
        services.pause_session(session=live.session)
        after(live, 30)
        wait()
        after(live, 30)
        assert states(live) == [("LIMIT", S.CANCELLED)]
    assert at_the_venue(live) == ["PENDING"]
    compared(live)
    assert at_the_venue(live) == ["CANCELED"]
    order.refresh_from_db()
    assert (order.status, order.answer) == (S.CANCELLED, strays.RESTED)
    assert strays.sought(live.account, exchange.now_ms()) == []
    check(live)


@pytest.mark.parametrize("differs", ["price", "quantity", "side"])
def test_an_order_by_hand_that_is_not_wholly_like_it_is_left_alone(market, differs):
    live, first = lost(market)
    services.pause_session(session=live.session)
    live.turn()
    made = {"side": first.side, "quantity": first.quantity, "price": first.price}
    made |= {"price": {"price": first.price - 5}, "quantity": {"quantity": first.quantity - D("0.01")},
             "side": {"side": "SELL"}}[differs]  # fmt: skip
    if differs == "side":
        live.exchange.place(Proposal(first.pair, "BUY", "MARKET", D("0.03")))
        made |= {"quantity": D("0.02"), "price": first.price + 500}
        Order.objects.filter(pk=first.pk).update(quantity=D("0.02"), price=first.price + 500)
    by_hand = live.exchange.place(
        Proposal(first.pair, made["side"], "LIMIT", made["quantity"], made["price"])
    )
    compared(live)
    assert live.exchange.report(by_hand.venue_order_id).status == OPEN
    first.refresh_from_db()
    assert first.status == S.ABSENT


def test_nothing_is_asked_for_where_no_order_was_given_up(live, monkeypatch):
    live.start("buy_and_hold").bar()
    live.venue.advance(10_000)
    monkeypatch.setattr(live.exchange, "reports", lambda *_, **__: pytest.fail("a call for nothing"))
    assert reconciliation.reconcile(live.account, live.exchange).equal


def test_an_hour_later_its_figures_may_be_another_orders(market):
    live, first = lost(market)
    now_ms = live.exchange.now_ms()
    assert [one.pk for one in strays.sought(live.account, now_ms)] == [first.pk]
    assert strays.sought(live.account, now_ms + 3_600_000) == []


def test_one_that_had_reached_the_venue_after_all_is_not_called_cancelled(market):
    live, first = lost(market)
    placed = arrives(live, first)
    live.venue.advance(1000)
    Order.objects.filter(pk=first.pk).update(venue_order_id=placed.venue_order_id)
    live.exchange.cancel(placed.venue_order_id)
    traded = live.exchange.place(Proposal(first.pair, "BUY", "MARKET", D("0.001")))
    Order.objects.filter(pk=first.pk).update(venue_order_id=traded.venue_order_id)
    said = foreign.late_fills(live.account, live.exchange.reports(None))
    assert said == [f"order {first.client_ref} had reached the venue after all"]
