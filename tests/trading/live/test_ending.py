"""An order that only a person can end: the venue has forgotten it, and its wallet differs from the books."""

import json
from decimal import Decimal as D

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import CommandError
from django.urls import reverse

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from tests.api.conftest import client_of
from tests.trading.live.conftest import after
from tests.trading.live.test_working import wait
from trading import services, settle
from trading.models import Alert, Order
from trading.models import OrderStatus as S


@pytest.fixture
def stuck(market, user):
    """A buy that has filled at the venue, which shows it neither by its id nor in its list."""
    live = market((10, 49_980), settings={"style": "limit", "deadline_s": 600})
    live.turn()
    live.venue.advance(12_000)
    hide(live)
    after(live, 60)
    wait()
    after(live, 60)
    user.groups.add(Group.objects.get(name="operator"))
    return live


def hide(live):
    """Have the venue forget its orders."""
    engine = live.venue.server.config.app.engine
    (ids,) = (found for found in engine._order_ids.values() if found)
    found, ids[:] = list(ids), []
    for number in found:
        del engine.orders[number]


def only(live):
    return live.session.orders.order_by("id").first()


def test_a_person_is_told_and_shown_the_order(stuck, client):
    order = only(stuck)
    assert (order.status, order.answer) == (S.OPEN, settle.GONE)
    alert = Alert.objects.get(key=f"uncertain:{order.pk}")
    assert (f"ended order {order.pk} on the Risk page" in alert.text, alert.url) == (True, "/risk/overview/")
    client.force_login(stuck.user)
    page = client.get(reverse("risk-overview")).content.decode()
    assert "Orders that only a person can end" in page
    assert reverse("order-end", args=[order.pk]) in page


def test_what_it_has_traded_becomes_the_sessions_and_the_books_are_compared(stuck):
    order = only(stuck)
    done = services.end_order(
        order=order,
        reason="it is in the venue's history",
        filled=order.quantity,
        price=order.price,
        by=stuck.user,
    )
    assert (done.compared.equal, done.sentence) == (True, "Ended, and the books are the venue's.")
    assert (only(stuck).status, only(stuck).answer) == (
        S.FILLED,
        "ended by a person: it is in the venue's history",
    )
    assert stuck.books() == stuck.ledger()
    assert not stuck.account.ledger.filter(kind="adjustment").exists()
    event = AuditEvent.objects.get(action="order.end")
    assert (event.actor, event.object_id) == (stuck.user, str(order.pk))
    assert (event.detail["before"], event.detail["reason"]) == (S.OPEN, "it is in the venue's history")
    assert not Alert.objects.filter(key=f"uncertain:{order.pk}", closed_at=None).exists()
    stuck.bar()
    assert stuck.session.held == order.quantity
    assert stuck.session.fills.get().role == "MAKER"
    services.flatten_session(session=stuck.session)
    after(stuck, 5, turns=3)
    assert (stuck.session.status, stuck.session.held) == ("stopped", 0)


def test_ended_as_unfilled_the_wallet_still_wins(stuck):
    order = only(stuck)
    done = services.end_order(order=order, reason="I cannot find it", by=stuck.user)
    assert not done.compared.equal
    assert "BTC corrected by" in done.sentence
    assert only(stuck).status == S.CANCELLED
    assert stuck.books().keys() == stuck.ledger().keys()
    assert stuck.books()["BTC"] == stuck.ledger()["BTC"]
    assert stuck.session.fills.count() == 0


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"reason": "sold", "filled": D(-1)}, "filled"),
        ({"reason": "sold", "filled": D(10**6), "price": D(1)}, "filled"),
        ({"reason": "sold", "filled": D("0.1")}, "price"),
        ({"reason": "sold", "filled": D("0.1"), "price": D(0)}, "price"),
    ],
)
def test_figures_that_cannot_be_are_refused_and_nothing_changes(stuck, given, field):
    with pytest.raises(BadInput) as caught:
        services.end_order(order=only(stuck), by=stuck.user, **given)
    assert caught.value.field == field
    assert only(stuck).status == S.OPEN
    assert not AuditEvent.objects.filter(action="order.end").exists()


def test_an_order_that_the_venue_shows_again_is_left_to_the_runner(stuck, market):
    engine = stuck.venue.server.config.app.engine
    order = only(stuck)
    live = market(settings={"style": "limit", "deadline_s": 600})
    live.turn()
    with pytest.raises(Conflict, match="sought in vain for a minute"):
        services.end_order(order=only(live), reason="impatience")
    Order.objects.filter(pk=only(live).pk).update(answer=settle.GONE)
    wait()
    live.venue.advance(20_000)
    with pytest.raises(Conflict, match="the venue shows this order"):
        services.end_order(order=only(live), reason="impatience")
    assert only(live).status == S.OPEN
    assert order.venue_order_id not in map(str, engine.orders)


def test_a_venue_that_cannot_be_read_ends_nothing(stuck):
    stuck.venue.faults(http_5xx_before={"value": 503})
    with pytest.raises(BadInput):
        services.end_order(order=only(stuck), reason="gone")
    assert only(stuck).status == S.OPEN


def test_an_unanswered_order_is_ended_as_absent(live):
    live.start("buy_and_hold")
    live.venue.faults(drop_before={"value": True, "paths": ["place_order"], "times": 1})
    live.turn()
    purse = next(iter(live.venue.server.config.app.engine.accounts.values())).purses["USD"]
    purse.free += 500  # money that was paid in meanwhile: the wallet proves nothing any more
    wait()
    after(live, 60)
    assert only(live).status == S.UNCERTAIN
    with pytest.raises(BadInput, match="leave it at 0"):
        services.end_order(order=only(live), reason="paid in", filled=D("0.1"), price=D(1))
    done = services.end_order(order=only(live), reason="paid in")
    assert (only(live).status, done.compared.equal) == (S.ABSENT, False)
    live.bar(2)
    assert live.session.held > 0
    assert live.books() == live.ledger()


def test_the_page_and_the_api_end_it_as_well(stuck, client):
    order = only(stuck)
    answer = client_of(stuck.user).post(f"/api/v1/stuck-orders/{order.pk}/end/", {})
    assert (answer.status_code, "reason" in answer.json()["errors"]) == (400, True)
    assert [row["id"] for row in client_of(stuck.user).get("/api/v1/stuck-orders/").json()["results"]] == [
        order.pk
    ]
    for wrong in (["--filled", "many"], ["--filled", "nan"], ["--filled", "0.1"], ["--user", "nobody"]):
        with pytest.raises(CommandError):
            call_command("end_order", str(order.pk), "--reason", "gone", *wrong)
    client.force_login(stuck.user)
    where = reverse("order-end", args=[order.pk])
    assert "reason" in client.post(where, {"reason": ""}, follow=True).content.decode()
    page = client.post(
        where, {"reason": "seen", "filled": f"{order.quantity:f}", "price": f"{order.price:f}"}, follow=True
    )
    assert "the books are the venue" in page.content.decode()
    assert only(stuck).status == S.FILLED
    again = client_of(stuck.user).post(f"/api/v1/stuck-orders/{order.pk}/end/", {"reason": "again"})
    assert again.status_code == 409


def test_the_command_ends_it(stuck, capsys):
    order = only(stuck)
    figures = ["--filled", f"{order.quantity:f}", "--price", f"{order.price:f}"]
    call_command("end_order", str(order.pk), "--reason", "seen", *figures, "--json")
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["id"], said["status"], said["books_equal"]) == (order.pk, "filled", True)


def test_the_admin_asks_what_is_known_and_ends_it(stuck, client):
    type(stuck.user).objects.filter(pk=stuck.user.pk).update(is_staff=True)
    client.force_login(stuck.user)
    order, where = only(stuck), reverse("admin:trading_order_changelist")
    asked = {"action": "end", "_selected_action": [order.pk]}
    assert 'name="reason"' in client.post(where, asked).content.decode()
    refused = client.post(where, asked | {"confirmed": "yes", "reason": ""}, follow=True)
    assert "reason: This field is required" in refused.content.decode()
    assert only(stuck).status == S.OPEN
    done = client.post(where, asked | {"confirmed": "yes", "reason": "I cannot find it"}, follow=True)
    assert "BTC corrected by" in done.content.decode()
    assert only(stuck).status == S.CANCELLED


def test_only_an_operator_ends_it_and_only_his_own(stuck, client, django_user_model):
    order = only(stuck)
    stranger = django_user_model.objects.create_user("eve", password="x")
    stranger.groups.add(Group.objects.get(name="operator"))
    client.force_login(stranger)
    where = reverse("order-end", args=[order.pk])
    assert client.post(where, {"reason": "mine now"}).status_code == 404
    stuck.user.groups.clear()
    client.force_login(stuck.user)
    assert client.post(where, {"reason": "as a viewer"}).status_code == 403
    api = client_of(type(stuck.user).objects.get(pk=stuck.user.pk))
    assert api.post(f"/api/v1/stuck-orders/{order.pk}/end/", {"reason": "viewer"}).status_code == 403
    assert only(stuck).status == S.OPEN
