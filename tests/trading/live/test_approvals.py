"""Orders that wait for a person."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from tests import factories
from trading import services, waiting
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
