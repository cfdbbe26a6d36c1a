"""Orders that wait for a person."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from tests import factories
from tests.trading.live.conftest import after, check
from trading import approvals, services, waiting
from trading.models import Alert, LiveSession, Order, OrderStatus, RiskProfile, RiskState
from trading.notify.message import message_of

S = OrderStatus


@pytest.fixture
def asked(live):
    """A session whose first order waits."""
    live.start("buy_and_hold", risk={"approval_above": 1000.0, "weekly_loss": 0.0}).bar()
    return live


def only(live):
    return live.session.orders.get()


def expire(order):
    Order.objects.filter(pk=order.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def test_a_large_entry_waits_and_a_person_is_told(asked):
    order = only(asked)
    assert (order.status, order.sent_ms, asked.session.held) == (S.WAITING, 0, 0)
    alert = Alert.objects.get(key=f"approval:{order.pk}")
    assert "wants to BUY" in alert.text
    assert (alert.kind, alert.url) == ("approval", "/risk/overview/")
    assert "approve/" not in alert.text
    asked.bar(3)
    assert only(asked).status == S.WAITING
    assert "waits for a person" in asked.session.decisions.first().risk_reason
    assert asked.venue_orders() == []


def test_an_approved_order_is_sent_once_and_booked(asked):
    services.approve_order(order=only(asked), by=asked.user)
    asked.turn()
    asked.turn()
    assert only(asked).status == S.FILLED
    assert asked.books() == asked.ledger()
    assert len(asked.venue_orders()) == 1
    assert not Alert.objects.filter(key=f"approval:{only(asked).pk}", closed_at=None).exists()
    assert AuditEvent.objects.get(action="order.approve").actor == asked.user


def test_a_smaller_entry_does_not_wait(live):
    live.start("buy_and_hold", risk={"approval_above": 1000.0, "max_position": 900.0}).bar()
    assert only(live).status == S.FILLED


def test_a_rejected_order_is_never_sent(asked):
    order = services.reject_order(order=only(asked), reason="too early", by=asked.user)
    assert (order.status, order.answer) == (S.REFUSED, "rejected by a person: too early")
    asked.turn()
    assert asked.venue_orders() == []
    with pytest.raises(Conflict, match="it is refused"):
        services.approve_order(order=order, by=asked.user)


def test_a_no_is_not_asked_again_at_the_next_bar(asked):
    """It lasts as long as the question would have; else a person is asked once a bar."""
    services.reject_order(order=only(asked), by=asked.user)
    asked.bar(2)
    assert only(asked).status == S.REFUSED
    assert "asked again from" in asked.session.decisions.first().risk_reason
    Order.objects.update(changed_at=timezone.now() - timedelta(seconds=901))
    asked.bar()
    assert list(asked.session.orders.order_by("id").values_list("status", flat=True)) == [
        S.REFUSED,
        S.WAITING,
    ]


def test_nobody_answers_and_it_is_dropped(asked):
    expire(only(asked))
    with pytest.raises(Conflict, match="time is over"):
        services.approve_order(order=only(asked))
    asked.turn()
    assert (only(asked).status, only(asked).answer) == (S.REFUSED, "nobody approved it within 900 s")


def test_a_yes_does_not_outlive_its_time(asked):
    services.approve_order(order=only(asked), by=asked.user)
    asked.die()
    Order.objects.update(expires_at=timezone.now() - timedelta(hours=5))
    asked.venue.advance(3 * 3_600_000)
    asked.take().turn()
    assert asked.session.orders.get(status=S.REFUSED).answer.startswith("approved, but its time was over")
    assert asked.venue_orders() == []


def test_an_approved_order_of_a_paused_session_waits_until_it_is_resumed(asked):
    services.approve_order(order=only(asked), by=asked.user)
    services.pause_session(session=asked.session)
    asked.turn()
    assert (only(asked).status, asked.session.held) == (S.APPROVED, 0)
    services.resume_session(session=asked.session)
    asked.turn()
    assert only(asked).status == S.FILLED


def test_and_no_longer_than_it_has_time(asked):
    services.approve_order(order=only(asked), by=asked.user)
    services.pause_session(session=asked.session)
    expire(only(asked))
    asked.turn()
    assert (only(asked).status, asked.venue_orders()) == (S.REFUSED, [])


def test_the_price_collar_is_checked_again(asked):
    order = services.approve_order(order=only(asked), by=asked.user)
    Order.objects.filter(pk=order.pk).update(expected_price=order.expected_price / 2)
    asked.turn()
    assert only(asked).status == S.REFUSED
    assert "away from the price it was approved at" in only(asked).answer
    assert asked.venue_orders() == []


def test_money_that_is_gone_by_then_refuses_it(asked):
    services.approve_order(order=only(asked), by=asked.user)
    LiveSession.objects.update(cash=Decimal(100))
    asked.turn()
    assert "it would cost" in only(asked).answer


def test_a_breaker_ends_the_waiting(asked):
    LiveSession.objects.update(risk_state=RiskState.HALTED)
    services.approve_order(order=only(asked), by=asked.user)
    asked.turn()
    assert (only(asked).status, only(asked).answer) == (S.REFUSED, "the session is halted")


def test_stopping_ends_the_waiting(asked):
    services.stop_session(session=asked.session)
    asked.turn()
    assert (only(asked).status, only(asked).answer) == (S.REFUSED, "the session has ended")


def test_an_exit_waits_for_nobody_and_comes_first(live):
    live.start("buy_and_hold").bar()
    RiskProfile.objects.update(approval_above=1.0)
    services.flatten_session(session=live.session)
    live.turn()
    assert live.session.held == 0


def test_a_waiting_order_survives_its_driver(asked):
    asked.die()
    asked.take().turn()
    assert only(asked).status == S.WAITING
    services.approve_order(order=only(asked), by=asked.user)
    asked.die()
    asked.take().turn()
    assert only(asked).status == S.FILLED


def test_the_message_carries_the_link_and_the_pages_do_not(asked):
    channel = factories.RuleFactory(owner=asked.user, channel__owner=asked.user).channel
    delivery = factories.DeliveryFactory(channel=channel, alert=Alert.objects.get(), kind="approval")
    path = message_of(delivery).url.partition("//")[2].partition("/")[2]
    assert b"Approve" in Client().get(f"/{path}").content
    assert waiting.order_of(path.split("/")[1]) == only(asked)


def test_the_link_shows_and_only_a_post_decides(asked):
    client, link = Client(), waiting.link_of(only(asked))
    for _ in range(3):  # what a preview of the link does
        assert b"Approve" in client.get(link).content
    assert client.head(link).status_code == 200
    assert only(asked).status == S.WAITING
    assert client.post(link, {"answer": "maybe"}).status_code == 400
    assert client.post(link, {"answer": "approve"}).status_code == 200
    assert only(asked).status == S.APPROVED
    assert AuditEvent.objects.get(action="order.approve").detail["via"] == "link"
    again = client.post(link, {"answer": "reject"})
    assert again.status_code == 409
    assert b"does not wait" in again.content


def test_a_link_needs_csrf_and_an_untouched_signature(asked):
    link = waiting.link_of(only(asked))
    assert Client(enforce_csrf_checks=True).post(link, {"answer": "approve"}).status_code == 403
    assert Client().get(link[:-2] + "x/").status_code == 404
    expire(only(asked))
    assert b"does not wait any more" in Client().get(link).content
    assert Client().post(link, {"answer": "approve"}).status_code == 409
    assert only(asked).status == S.WAITING


def test_the_command_answers_too(asked, capsys):
    call_command("approve_order", str(only(asked).pk), "--reject", "--reason", "no", "--json")
    assert '"status": "refused"' in capsys.readouterr().out
    assert only(asked).answer == "rejected by a person: no"


def test_the_reason_has_a_length(asked):
    with pytest.raises(BadInput, match="200"):
        services.reject_order(order=only(asked), reason="x" * 201)


ALL_IN = {"approval_above": 1000.0, "weekly_loss": 0.0, "price_collar": 0.05}


def approved(market, *moves, risk=ALL_IN, **options):
    """Return a session whose all-in entry is approved, the market having moved meanwhile."""
    live = market(*moves, settings={"style": "market"}, risk=risk, **options)
    live.turn()
    services.approve_order(order=only(live), by=live.user)
    return live


@pytest.mark.parametrize("price", [50_200, 50_400, 50_900])
def test_an_all_in_entry_is_cut_to_the_cash_where_the_price_has_risen(market, price):
    live = approved(market, (20, price))
    before = only(live).quantity
    after(live, 30)
    order = only(live)
    assert order.status == S.FILLED
    assert before * (1 - approvals.LARGEST_CUT) <= order.quantity < before
    assert live.session.cash >= 0
    check(live)


def test_the_cut_is_said_and_is_told_from_other_orders(market, monkeypatch):
    live = approved(market, (20, 50_400))
    before, sent = only(live).quantity, []
    monkeypatch.setattr(approvals, "carry_out", lambda seat, order, quote: sent.append(order))
    after(live, 30)
    order = only(live)
    assert [one.quantity for one in sent] == [order.quantity]
    words = f"cut from {before.normalize():f} to {order.quantity.normalize():f}, which its cash covers by now"
    assert order.answer == f"approved; {words}"


def test_more_than_a_small_cut_is_another_order_and_refused(market):
    live = approved(market, (20, 51_500))
    before = only(live).quantity
    after(live, 30)
    assert (only(live).status, only(live).quantity) == (S.REFUSED, before)
    assert "it would cost" in only(live).answer
    assert live.venue_orders() == []


def test_a_no_that_comes_while_it_is_cut_counts(market, monkeypatch):
    live = approved(market, (20, 50_400))
    real = approvals.refusal

    def taken_back(seat, order, *rest):
        services.reject_order(order=Order.objects.get(pk=order.pk), by=live.user)
        return real(seat, order, *rest)

    monkeypatch.setattr(approvals, "refusal", taken_back)
    after(live, 30)
    assert (only(live).status, only(live).answer) == (S.REFUSED, "rejected by a person")
    assert live.venue_orders() == []


@given(
    cash=st.integers(1, 10**9).map(lambda n: Decimal(n) / 10**4), price=st.integers(1, 10**8),
    share=st.integers(1, 1100), spread=st.integers(0, 500), short=st.booleans(),
)  # fmt: skip
@settings(max_examples=120)
def never_beyond_the_cash(live, cash, price, share, spread, short):
    seat, session = live.seat, live.seat.session
    session.cash, session.held, session.shorted = cash, Decimal(0), Decimal(0)
    bid = Decimal(price) / 100
    quote = replace(live.exchange.quotes()["BTC/USD"], bid=bid, ask=bid + Decimal(spread) / 100)
    step = Decimal(seat.instrument.step)
    quantity = (cash * share / 1000 / bid) // step * step
    if quantity <= 0:
        return
    side = "SHORT_OPEN" if short else "BUY"
    collateral = (quantity * bid).quantize(Decimal("0.01"), "ROUND_FLOOR") if short else None
    order = Order(account=live.account, session=session, pair="BTC/USD", side=side, quantity=quantity,
                  collateral=collateral, step=step if short else None)  # fmt: skip
    leg, why = approvals.covered(seat, order, quote, quote.at_ms)
    touch = quote.bid if short else quote.ask
    fee = 1 + Decimal(seat.instrument.taker_fee)
    cost = (leg.collateral or leg.quantity * touch) * fee
    assert why or cost <= cash
    assert quantity * (1 - approvals.LARGEST_CUT) <= leg.quantity <= quantity
    assert leg.quantity % step == 0
    if (collateral or quantity * touch) * fee <= cash:
        assert (leg.quantity, leg.collateral, why) == (quantity, collateral, "")


def test_an_approved_order_never_costs_more_than_the_cash(live):
    live.start("cash").turn()
    never_beyond_the_cash(live)
