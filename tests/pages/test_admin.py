"""The admin: everything is there, nothing is edited by hand, nobody sees what is not theirs."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from market.models import AuditEvent, LiveBar
from market.web.roles import Role
from tests import factories
from trading.models import Account, LiveSession

OURS = [model for app in ("market", "agents", "trading") for model in apps.get_app_config(app).get_models()]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_every_model_has_a_list_in_the_admin(as_boss, world, model):
    assert model in admin.site._registry
    meta = model._meta
    assert as_boss.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")).status_code == 200


@pytest.mark.parametrize(
    "held",
    [
        "session",
        "decision",
        "run",
        "model",
        "backtest",
        "council",
        "council-review",
        "series",
        "import",
        "account",
        "risk",
        "channel",
        "rule",
    ],
)
def test_every_object_has_a_page_in_the_admin(as_boss, world, held):
    meta = world[held]._meta
    assert (
        as_boss.get(
            reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[world[held].pk])
        ).status_code
        == 200
    )


@pytest.mark.parametrize(
    "name",
    [
        "trading_livesession",
        "trading_account",
        "trading_riskprofile",
        "agents_trainingrun",
        "agents_experiment",
        "agents_testopening",
        "agents_council",
        "agents_councilreview",
        "trading_alertchannel",
        "trading_alertrule",
    ],
)
def test_things_that_start_have_a_form(as_boss, name):
    assert as_boss.get(reverse(f"admin:{name}_add")).status_code == 200


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_books_and_audit_are_read_only(rf, boss, model):
    request = rf.get("/")
    request.user = boss
    mine = admin.site._registry[model]
    assert not mine.has_delete_permission(request)
    assert mine.has_change_permission(request) is (model.__name__ == "RiskProfile")


def test_staff_see_only_what_is_theirs(client, world):
    staff = factories.UserFactory(is_staff=True, role=Role.OPERATOR)
    client.force_login(staff)
    listing = client.get(reverse("admin:trading_livesession_changelist")).content.decode()
    assert world["session"].name not in listing
    address = reverse("admin:trading_livesession_change", args=[world["session"].pk])
    assert client.get(address).status_code == 302  # the admin's way of saying: does not exist


FILTERED = [model for model in OURS if {"series", "session", "account", "plan", "channel"} & set(
    admin.site._registry[model].list_filter)]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("model", FILTERED, ids=lambda model: model.__name__)
def test_filters_name_nothing_of_others(client, model):
    for n in range(2):  # a filter of one choice is not shown
        stranger = factories.UserFactory()
        factories.SeriesFactory(owner=stranger, source=f"secret-fund-{n}")
        account = factories.AccountFactory(owner=stranger, name=f"secret-account-{n}")
        factories.SessionFactory(owner=stranger, name=f"secret-session-{n}", account=account)
        factories.PlanFactory(owner=stranger, name=f"secret-plan-{n}")
        factories.ChannelFactory(owner=stranger, name=f"secret-channel-{n}")
    client.force_login(factories.UserFactory(is_staff=True))
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    assert "secret-" not in client.get(address).content.decode()


@pytest.mark.django_db
def test_staff_do_not_see_where_others_take_their_candles_from(client):
    stranger = factories.AccountFactory(candles_url="https://x.example/secret-path")
    LiveBar.objects.create(
        market=stranger.bars(with_volume=False), pair="BTC/USD", interval_ms=60_000, open_ms=0, open=1,
        high=1, low=1, close=1, volume=0, origin="candles",
    )  # fmt: skip
    address = reverse("admin:market_livebar_changelist")
    client.force_login(factories.UserFactory(is_staff=True, role=Role.ADMIN))
    assert client.get(address).status_code == 403
    client.force_login(factories.UserFactory(is_staff=True, is_superuser=True))
    assert "secret-path" in client.get(address).content.decode()


@pytest.mark.django_db
def test_filters_name_what_is_ours(client):
    staff = factories.UserFactory(is_staff=True)
    for name in ("my-first", "my-second"):
        account = factories.AccountFactory(owner=staff, name=name)
        factories.SessionFactory(owner=staff, account=account, name=f"of {name}")
    client.force_login(staff)
    address = reverse("admin:trading_livesession_changelist")
    assert f"?account__id__exact={account.pk}" in client.get(address).content.decode()


@pytest.mark.parametrize(
    ("act", "status"), [("pause", "paused"), ("stop", "stopping"), ("flatten", "stopping")]
)
def test_an_action_asks_first_and_then_acts(as_boss, world, act, status):
    session, address = world["session"], reverse("admin:trading_livesession_changelist")
    chosen = {"action": act, "_selected_action": [session.pk], "index": 0}
    asked = as_boss.post(address, chosen)
    session.refresh_from_db()
    assert b'name="confirmed"' in asked.content
    assert session.status == "running"
    as_boss.post(address, chosen | {"confirmed": "yes"})
    session.refresh_from_db()
    assert session.status == status


def test_a_halt_ends_in_the_admin_with_a_persons_own_reason(as_boss, world):
    session, address = world["session"], reverse("admin:trading_livesession_changelist")
    type(session).objects.filter(pk=session.pk).update(risk_state="halted")
    chosen = {"action": "resume_from_halt", "_selected_action": [session.pk], "index": 0}
    assert b'name="reason"' in as_boss.post(address, chosen).content
    as_boss.post(address, chosen | {"confirmed": "yes", "reason": " "})
    session.refresh_from_db()
    assert session.risk_state == "halted"
    as_boss.post(address, chosen | {"confirmed": "yes", "reason": "a deposit was booked late"})
    session.refresh_from_db()
    assert session.risk_state == "active"
    event = AuditEvent.objects.get(action="session.resume_from_halt")
    assert event.detail["reason"] == "a deposit was booked late"


def test_a_viewer_on_the_staff_may_not_act(client, world):
    viewer = factories.UserFactory(is_staff=True)
    mine = factories.SessionFactory(owner=viewer)
    client.force_login(viewer)
    chosen = {"action": "stop", "_selected_action": [mine.pk], "index": 0, "confirmed": "yes"}
    assert client.post(reverse("admin:trading_livesession_changelist"), chosen).status_code == 403


def test_what_a_service_refuses_stands_beside_the_field(as_boss, world):
    form = {"baseline": "momentum", "account": world["account"].pk, "pair": "ETH/USD", "interval": "1m"}
    answer = as_boss.post(reverse("admin:trading_livesession_add"), form)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["account"]
    assert LiveSession.objects.count() == 1


def test_an_account_added_in_the_admin_never_shows_its_secret(as_boss):
    form = {"name": "contest", "venue": "roostoo", "base_url": "http://127.0.0.1:1", "key": "K" * 64,
            "api_secret": "s3cr3t" * 10, "calls_per_minute": 28, "poll_s": 5}  # fmt: skip
    answer = as_boss.post(reverse("admin:trading_account_add"), form)
    assert answer.status_code == 302
    account = Account.objects.get()
    page = as_boss.get(reverse("admin:trading_account_change", args=[account.pk])).content.decode()
    listing = as_boss.get(reverse("admin:trading_account_changelist")).content.decode()
    for text in (page, listing):
        assert "s3cr3t" not in text
        assert "K" * 20 not in text


def test_what_sessions_make_of_orders_by_hand_is_an_action(as_boss, world):
    account = world["account"]
    given = {"action": "ignore_foreign_orders", "_selected_action": [account.pk]}
    asked = as_boss.post(reverse("admin:trading_account_changelist"), given)
    assert "Ignore orders placed by hand" in asked.content.decode()
    as_boss.post(reverse("admin:trading_account_changelist"), given | {"confirmed": "yes"})
    account.refresh_from_db()
    assert account.foreign_orders == "ignore"
    assert AuditEvent.objects.filter(action="account.foreign_orders", detail={"policy": "ignore"}).exists()


def own_actions():
    """Yield (model admin, name) of every action that is ours."""
    for model in OURS:
        registered = admin.site._registry[model]
        for name in registered.actions or ():
            yield pytest.param(registered, name, id=f"{model.__name__}.{name}")


@pytest.mark.parametrize(("registered", "name"), list(own_actions()))
def test_every_action_asks_for_a_role_and_then_for_a_yes(client, db, registered, name):
    action = registered.get_action(name)[0]
    assert action.role >= Role.OPERATOR
    user = factories.UserFactory(role=Role.VIEWER, is_staff=True)
    client.force_login(user)
    meta = registered.model._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    answer = client.post(address, {"action": name, "_selected_action": ["1"], "confirmed": "yes"})
    assert answer.status_code == 403


@pytest.mark.parametrize(("role", "policy"), [(Role.OPERATOR, "adopt"), (Role.ADMIN, "ignore")])
def test_only_an_admin_changes_what_is_made_of_orders_by_hand(client, db, role, policy):
    user = factories.UserFactory(role=role, is_staff=True)
    account = factories.AccountFactory(owner=user)
    client.force_login(user)
    chosen = {"action": "ignore_foreign_orders", "_selected_action": [account.pk], "confirmed": "yes"}
    client.post(reverse("admin:trading_account_changelist"), chosen)
    account.refresh_from_db()
    assert account.foreign_orders == policy


def test_how_often_prices_are_read_is_an_action_that_asks(as_boss, world):
    account, address = world["account"], reverse("admin:trading_account_changelist")
    chosen = {"action": "poll_every", "_selected_action": [account.pk]}
    assert 'name="poll_s"' in as_boss.post(address, chosen).content.decode()
    for given, poll_s in (("0", 5.0), ("2.5", 2.5)):
        as_boss.post(address, chosen | {"confirmed": "yes", "poll_s": given})
        account.refresh_from_db()
        assert account.poll_s == poll_s
