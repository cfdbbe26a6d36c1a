"""Pages, API, admin and commands act on channels and alerts through the same services."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from market.models import AuditEvent
from market.web.roles import Role
from tests import factories
from trading.models import Alert, AlertChannel, AlertRule

KEY = "a signing key nobody knows"


@pytest.fixture
def ada(db, client):
    user = factories.UserFactory(username="ada", role=Role.OPERATOR)
    client.force_login(user)
    return user


def act(client, page, /, *args, **form):
    return client.post(reverse(page, args=args), form, follow=True)


def test_a_person_adds_tests_changes_and_forgets_a_channel(client, ada, hook):
    form = {"name": "hook", "kind": "webhook", "address": f"{hook.url}/t", "secret": KEY}
    assert KEY not in act(client, "channels", **form).content.decode()
    channel = AlertChannel.objects.get()
    assert b"was taken by the receiver" in act(client, "channel-act", channel.pk, "test").content
    hook.answer(404, "gone")
    assert (
        b"did not arrive: the receiver answered 404 gone"
        in act(client, "channel-act", channel.pk, "test").content
    )
    act(client, "channel", channel.pk, address=f"{hook.url}/new", secret=KEY)
    act(client, "channel-act", channel.pk, "test")
    assert hook.requests[-1][0] == "/new"
    assert b"Switched off" in act(client, "channel-act", channel.pk, "switch").content
    act(client, "channel-act", channel.pk, "delete")
    done = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"channel.create", "channel.test", "channel.change", "channel.delete"} <= done
    assert not AlertChannel.objects.exists()


def test_a_wrong_channel_is_explained_beside_its_field(client, ada):
    answer = client.post(reverse("channels"), {"name": "x", "kind": "email", "address": "nobody"})
    assert answer.status_code == 422
    assert "is no e-mail address" in answer.content.decode()


def test_a_rule_is_made_and_changed_and_keeps_its_quiet_time(client, ada):
    channel = factories.ChannelFactory(owner=ada)
    form = {"channel": channel.pk, "kinds": ["fill"], "min_level": "info", "again_s": "60", "is_active": "on"}
    act(client, "rule", **form, quiet_from="22:00", quiet_to="06:30")
    rule = AlertRule.objects.get()
    assert (rule.kinds, str(rule.quiet_to)) == (["fill"], "06:30:00")
    assert (
        client.post(reverse("rule-edit", args=[rule.pk]), {**form, "quiet_from": "22:00"}).status_code == 422
    )
    act(client, "rule-edit", rule.pk, **form)
    rule.refresh_from_db()
    assert (rule.quiet_from, rule.again_s) == (None, 60)
    act(client, "rule-delete", rule.pk)
    assert not AlertRule.objects.exists()


def test_nobody_makes_a_rule_for_a_foreign_channel(client, ada):
    channel = factories.ChannelFactory()
    form = {"channel": channel.pk, "min_level": "info", "again_s": "60"}
    assert client.post(reverse("rule"), form).status_code == 422
    answer = client.post("/api/v1/alert-rules/", {"channel": channel.pk}, "application/json")
    assert (answer.status_code, "channel" in answer.json()["errors"]) == (400, True)


def test_an_alert_is_acknowledged_and_closed(client, ada):
    alert = factories.AlertFactory(owner=ada)
    act(client, "alert-acknowledge", alert.pk)
    assert Alert.objects.get().acknowledged_at is not None
    act(client, "alert-close", alert.pk)
    assert Alert.objects.get().closed_at is not None


def test_alerts_are_filtered_by_kind(client, ada):
    factories.AlertFactory(owner=ada, kind="books", text="The books differ.")
    factories.AlertFactory(owner=ada, kind="order", text="The order was refused.")
    page = client.get(reverse("alerts"), {"kind": "books"}).content.decode()
    assert "The books differ." in page
    assert "The order was refused." not in page


def test_a_viewer_changes_nothing(client, ada):
    ada.groups.clear()
    channel = factories.ChannelFactory(owner=ada)
    assert client.post(reverse("channel-act", args=[channel.pk, "test"])).status_code == 403


def test_the_api_does_the_same(client, ada, hook):
    post = {"content_type": "application/json"}
    body = {"name": "hook", "kind": "webhook", "address": f"{hook.url}/t?secret=1", "secret": KEY}
    made = client.post("/api/v1/alert-channels/", body, **post)
    assert (made.status_code, made.json()["address"]) == (201, f"{hook.url}/t")
    address = f"/api/v1/alert-channels/{made.json()['id']}/"
    assert client.post(f"{address}test/", **post).json()["status"] == "sent"
    rule = client.get("/api/v1/alert-rules/").json()["results"][0]
    changed = client.patch(f"/api/v1/alert-rules/{rule['id']}/", {"kinds": ["books"]}, **post).json()
    assert (changed["kinds"], changed["min_level"]) == (["books"], "warning")
    assert client.patch(address, {"is_active": False}, **post).json()["is_active"] is False
    assert client.delete(address).status_code == 204


def test_commands_add_and_test_a_channel(ada, hook, monkeypatch):
    monkeypatch.setenv("HOOK_KEY", KEY)
    out = StringIO()
    where = ["--kind", "webhook", "--user", "ada", "--address", f"{hook.url}/t", "--secret-env", "HOOK_KEY"]
    call_command("add_channel", "mine", *where, "--json", stdout=out, stderr=StringIO())
    assert json.loads(out.getvalue())["name"] == "mine"
    call_command("test_channel", "mine", stdout=StringIO())
    hook.answer(500, "sorry")
    with pytest.raises(CommandError, match="500 sorry") as ended:
        call_command("test_channel", "mine", stdout=StringIO())
    assert ended.value.returncode == 2


def test_the_admin_adds_and_tests_a_channel(client, hook, db):
    client.force_login(factories.UserFactory(is_superuser=True, is_staff=True))
    form = {"name": "hook", "kind": "webhook", "address": f"{hook.url}/t", "secret": KEY}
    client.post(reverse("admin:trading_alertchannel_add"), form)
    channel = AlertChannel.objects.get()
    chosen = {"action": "test", "_selected_action": [channel.pk], "confirmed": "yes"}
    client.post(reverse("admin:trading_alertchannel_changelist"), chosen)
    assert hook.bodies[0]["kind"] == "test"
    form = {"channel": channel.pk, "min_level": "info", "kinds": ["fill"], "again_s": 5}
    client.post(reverse("admin:trading_alertrule_add"), form)
    assert AlertRule.objects.filter(again_s=5).exists()
