"""What receivers really get, and what never leaves: secrets, requests into the private network."""

import email
import json
import logging
import re
import socket
from email import policy
from pathlib import Path

import pytest

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from tests.trading.notify.conftest import KEY
from trading import alerts
from trading.models import AlertChannel, AlertKind, Delivery
from trading.notify import outbox, wire
from trading.services import channels

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "alerts.md"
TOKEN = "123456:AAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def tell(user, text="The price is stale."):
    return alerts.raise_alert(user, "critical", "k", text, kind=AlertKind.DATA_STALE)


def add(user, kind, address, secret=""):
    return channels.create_channel(owner=user, name=kind, kind=kind, address=address, secret=secret)


def test_the_documented_check_accepts_a_webhook_and_nothing_else(user, channel, hook):
    scope = {}
    exec(re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S)[1], scope)  # noqa: S102  our own text
    tell(user)
    assert outbox.deliver_due() == 1
    path, headers, body = hook.requests[0]
    assert path == "/t?token=abc"
    assert scope["is_genuine"](headers, body, KEY)
    assert not scope["is_genuine"](headers, body + b" ", KEY)
    assert not scope["is_genuine"](headers, body, "another key of enough length")
    assert not scope["is_genuine"]({**headers, "X-Tradebot-Timestamp": "1"}, body, KEY)
    assert headers["Idempotency-Key"] == json.loads(body)["key"]


def test_telegram_gets_the_text_for_its_chat(user, hook, settings, db):
    settings.TELEGRAM_URL = hook.url
    add(user, "telegram", "-100123", TOKEN)
    tell(user)
    assert outbox.deliver_due() == 1
    assert hook.requests[0][0] == f"/bot{TOKEN}/sendMessage"
    assert hook.bodies[0]["chat_id"] == "-100123"
    assert (
        "[CRITICAL] data stale\nThe price is stale.\nhttp://127.0.0.1:8000/alerts/" in hook.bodies[0]["text"]
    )


def test_discord_mentions_nobody_and_slack_reads_no_markup(user, hook, db):
    add(user, "discord", f"{hook.url}/discord")
    add(user, "slack", f"{hook.url}/slack")
    tell(user, "@everyone <b> & " + "x" * 5000)
    assert outbox.deliver_due() == 2
    discord, slack = sorted(hook.bodies, key=lambda body: "content" not in body)
    assert discord["allowed_mentions"] == {"parse": []}
    assert len(discord["content"]) <= 2000
    assert "&lt;b&gt; &amp;" in slack["text"]


def test_a_mail_arrives_with_a_subject_of_one_line(user, mail, db):
    add(user, "email", "ada@example.com, bob@example.com")
    tell(user, "The price\r\nBcc: eve@example.com is stale — Kurs veraltet.")
    assert outbox.deliver_due() == 1
    got = email.message_from_string(mail.mails[0], policy=policy.default)
    assert got["To"] == "ada@example.com, bob@example.com"
    assert got["Subject"].strip().startswith("[CRITICAL] data stale: The price Bcc: eve")
    assert got["Bcc"] is None
    assert got["Message-ID"] == f"<{Delivery.objects.get().key}@tradebot>"


@pytest.mark.parametrize(("answer", "status"), [("451 later", "waiting"), ("554 never", "failed")])
def test_a_mail_server_that_refuses_is_believed(user, mail, db, answer, status):
    mail.refusal = answer
    add(user, "email", "ada@example.com")
    tell(user)
    assert outbox.deliver_due() == 0
    assert Delivery.objects.get().status == status


def test_without_a_mail_server_a_mail_says_what_is_missing(user, db):
    delivery = channels.check_channel(channel=add(user, "email", "ada@example.com"))
    assert (delivery.status, delivery.answer) == ("failed", "no mail server is set: give EMAIL_URL")


def test_a_receiver_that_hangs_is_given_up_and_tried_later(user, channel, hook, monkeypatch):
    monkeypatch.setattr(wire, "TIMEOUT_S", (1.0, 0.2))
    hook.may_answer.clear()
    tell(user)
    assert outbox.deliver_due() == 0
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.answer) == ("waiting", "the receiver cannot be reached (ReadTimeout)")


def test_an_endless_answer_is_cut(user, channel, hook):
    hook.answer(200, "y" * 100_000)
    tell(user)
    assert outbox.deliver_due() == 1
    assert len(Delivery.objects.get().answer) <= 300


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::", "::1",
                                     "fd00::1", "fe80::1", "::ffff:127.0.0.1", "100.64.0.1", "224.0.0.1",
                                     "2002:7f00:1::"])  # fmt: skip
def test_private_addresses_are_private_however_they_are_written(address):
    assert not wire.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111"])
def test_public_addresses_are_public(address):
    assert wire.is_public(address)


def test_nothing_is_sent_into_the_private_network(user, channel, hook, settings):
    settings.ALERTS_TO_PRIVATE = False
    tell(user)
    assert outbox.deliver_due() == 0
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.answer) == ("failed", wire.PRIVATE)
    assert hook.requests == []


def test_a_name_that_answers_differently_the_second_time_gains_nothing(hook, settings, monkeypatch):
    settings.ALERTS_TO_PRIVATE = False
    real, asked = socket.getaddrinfo, []

    def rebinding(host, port, *args, **given):
        asked.append(host)
        shown = "1.1.1.1" if asked.count("rebind.example") == 1 else "127.0.0.1"
        return real(shown if host == "rebind.example" else host, port, *args, **given)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert wire.checked_address("rebind.example", 80) == "1.1.1.1"
    with pytest.raises(wire.NotSent, match="private network"):
        wire.post(f"http://rebind.example:{hook.server.server_port}/", body=b"{}", headers={})
    assert hook.requests == []


def test_the_connection_goes_to_the_address_that_was_checked(hook, settings, monkeypatch):
    settings.ALERTS_TO_PRIVATE = True
    monkeypatch.setattr(wire, "checked_address", lambda host, port: "127.0.0.1")
    wire.post(f"http://no-such-name.invalid:{hook.server.server_port}/x", body=b"{}", headers={})
    assert hook.requests[0][1]["Host"].startswith("no-such-name.invalid:")


SECRETS = ["token=abc", KEY, TOKEN, "hidden-path"]


def test_no_secret_shows_in_rows_logs_pages_or_the_api(client, user, channel, hook, caplog, settings):
    caplog.set_level(logging.DEBUG)
    settings.TELEGRAM_URL = hook.url
    add(user, "telegram", "-100123", TOKEN)
    add(user, "discord", f"{hook.url}/hidden-path")
    hook.answer(404, f"{hook.url}/t?token=abc is not signed with {KEY}")
    hook.answer(404, f"there is no bot{TOKEN}")
    hook.answer(404, f"{hook.url}/hidden-path is gone")
    tell(user)
    outbox.deliver_due()
    user.is_superuser = user.is_staff = True
    user.save()
    client.force_login(user)
    addresses = ["/alerts/", "/alerts/channels/", "/alerts/deliveries/", "/api/v1/alert-channels/",
                 "/api/v1/alert-deliveries/", "/audit/", "/admin/trading/alertchannel/",
                 "/admin/trading/delivery/", f"/admin/trading/alertchannel/{channel.pk}/change/"]  # fmt: skip
    shown = caplog.text + "".join(client.get(address).content.decode() for address in addresses)
    shown += "".join(str(vars(row)) for row in (*Delivery.objects.all(), *AlertChannel.objects.all()))
    assert [word for word in SECRETS if word in shown] == []


WRONG = [
    ("email", "nobody", "", "address"),
    ("email", "a@b.com,", "", "address"),
    ("telegram", "chat one", TOKEN, "address"),
    ("telegram", "1", "no token", "secret"),
    ("webhook", "https://example.com/", "short", "secret"),
    ("webhook", "ftp://example.com/", KEY, "address"),
    ("webhook", "http://example.com/", KEY, "address"),
    ("slack", "https://user:pw@example.com/", "", "address"),
    ("discord", "https://[bad/", "", "address"),
    ("pigeon", "x", "", "kind"),
]


@pytest.mark.parametrize(("kind", "address", "secret", "field"), WRONG)
def test_what_cannot_be_a_channel_is_refused_beside_its_field(user, kind, address, secret, field):
    with pytest.raises(BadInput) as refused:
        add(user, kind, address, secret)
    assert refused.value.field == field
    assert AlertChannel.objects.count() == 0


def test_a_new_address_does_not_take_the_old_secret_along(user, channel, hook):
    with pytest.raises(BadInput, match="secret again"):
        channels.change_channel(channel=channel, address=f"{hook.url}/evil")
    channels.change_channel(channel=channel, address=f"{hook.url}/new", secret=KEY)
    assert channels.check_channel(channel=channel).status == "sent"


def test_a_test_says_what_came_of_it_is_audited_and_bounded(user, channel, hook):
    hook.answer(500, "sorry")
    failed = channels.check_channel(channel=channel, by=user)
    assert (failed.status, failed.answer) == ("failed", "the receiver answered 500 sorry")
    for _ in range(channels.TESTS_A_MINUTE - 1):
        assert channels.check_channel(channel=channel, by=user).status == "sent"
    with pytest.raises(Conflict, match="a minute"):
        channels.check_channel(channel=channel, by=user)
    assert AuditEvent.objects.filter(action="channel.test").count() == channels.TESTS_A_MINUTE


def test_two_channels_of_one_name_are_refused(user, channel, hook):
    with pytest.raises(Conflict, match="already"):
        channels.create_channel(owner=user, name="hook", kind="slack", address=f"{hook.url}/s")
