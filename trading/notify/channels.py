"""How each kind of channel says a message, and what a person must give for it."""

import hashlib
import hmac
import json
import re
import smtplib
import time
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email

from market.errors import BadInput
from trading.models import AlertChannel, ChannelKind
from trading.notify import wire
from trading.notify.message import Message
from trading.secrets import seal, unseal

LONGEST_TEXT = {ChannelKind.TELEGRAM: 4000, ChannelKind.DISCORD: 1900, ChannelKind.SLACK: 3500}
JSON = {"Content-Type": "application/json", "User-Agent": "tradebot"}
SHORTEST_KEY = 16


def send(channel: AlertChannel, message: Message) -> str:
    """Say `message` once; return what the receiver answered.

    :raises NotSent: with one sentence that holds no secret.
    """
    try:
        address, secret = opened(channel)
    except BadInput as error:
        raise wire.NotSent(error.message, is_final=True) from None
    return SENDERS[ChannelKind(channel.kind)](address, secret, message)


def sealed(address: str, secret: str) -> bytes:
    """Return address and secret as one token: of some kinds the address is the secret."""
    return seal(json.dumps({"address": address, "secret": secret}))


def opened(channel: AlertChannel) -> tuple[str, str]:
    """Return (address, secret). For sending only; never show or log them.

    :raises BadInput: when FERNET_KEYS does not open them.
    """
    held = json.loads(unseal(channel.sealed))
    return held["address"], held["secret"]


def check(kind: str, address: str, secret: str) -> str:
    """Return what of the address people may see.

    :raises BadInput: when address or secret cannot be one of that kind.
    """
    if kind not in ChannelKind.values:
        raise BadInput(f"there is no kind {kind!r}; use one of {', '.join(ChannelKind.values)}", field="kind")
    if not address or len(address) > 500 or not address.isprintable():
        raise BadInput("the address must have 1 to 500 printable characters", field="address")
    if len(secret) > 500 or not secret.isprintable() or not secret.isascii():
        raise BadInput("the secret must have at most 500 printable ASCII characters", field="secret")
    return CHECKS[ChannelKind(kind)](address, secret)


def _check_email(address: str, secret: str) -> str:
    for one in _addresses(address):
        try:
            validate_email(one)
        except ValidationError:
            raise BadInput(f"{one!r} is no e-mail address", field="address") from None
    return address[:200]


def _check_telegram(address: str, secret: str) -> str:
    if not re.fullmatch(r"-?\d{1,20}|@\w{5,40}", address, re.ASCII):
        raise BadInput("the chat must be its number or a channel's @name", field="address")
    if not re.fullmatch(r"\d+:[\w-]{20,100}", secret, re.ASCII):
        raise BadInput("the bot's token looks like 123456:ABC…; @BotFather shows it", field="secret")
    return f"chat {address}"


def _check_hook(address: str, secret: str) -> str:
    return f"{_host(address)}/…"


def _check_webhook(address: str, secret: str) -> str:
    if len(secret) < SHORTEST_KEY:
        raise BadInput(f"the signing key must have at least {SHORTEST_KEY} characters", field="secret")
    return f"{_host(address)}{urlsplit(address).path}"[:200]


def _host(address: str) -> str:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("https", "http") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.fragment or " " in address:
        raise BadInput("the address must be like https://example.com/path", field="address")
    if parts.scheme == "http" and not settings.ALERTS_TO_PRIVATE:
        raise BadInput("the address must start with https://", field="address")
    return f"{parts.scheme}://{parts.netloc}"


def _addresses(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")]


def _email(address: str, secret: str, message: Message) -> str:
    if not settings.EMAIL_HOST:
        raise wire.NotSent("no mail server is set: give EMAIL_URL", is_final=True)
    first_line = " ".join(message.text.split())[:120]
    headers = {"Message-ID": f"<{message.key}@tradebot>", "Auto-Submitted": "auto-generated"}
    mail = EmailMessage(
        f"{message.title}: {first_line}", message.lines, to=_addresses(address), headers=headers
    )
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused:
        raise wire.NotSent("the mail server refused the addresses", is_final=True) from None
    except smtplib.SMTPResponseException as error:
        is_final = isinstance(error, smtplib.SMTPAuthenticationError) or 500 <= error.smtp_code < 600
        raise wire.NotSent(f"the mail server answered {error.smtp_code}", is_final=is_final) from None
    except (OSError, smtplib.SMTPException) as error:
        raise wire.NotSent(f"the mail server cannot be reached ({type(error).__name__})") from None
    return "taken by the mail server"


def _telegram(address: str, secret: str, message: Message) -> str:
    url = f"{settings.TELEGRAM_URL}/bot{quote(secret, safe=':')}/sendMessage"
    text = _shortened(message, ChannelKind.TELEGRAM)
    return _json(
        url, {"chat_id": address, "text": text, "link_preview_options": {"is_disabled": True}}, secret
    )


def _discord(address: str, secret: str, message: Message) -> str:
    text = _shortened(message, ChannelKind.DISCORD)
    return _json(address, {"content": text, "allowed_mentions": {"parse": []}})


def _slack(address: str, secret: str, message: Message) -> str:
    text = _shortened(message, ChannelKind.SLACK)
    return _json(address, {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")})


def _webhook(address: str, secret: str, message: Message) -> str:
    body = json.dumps(message.as_dict()).encode()
    stamp = str(int(time.time()))
    headers = JSON | {
        "Idempotency-Key": message.key,
        "X-Tradebot-Timestamp": stamp,
        "X-Tradebot-Signature": signature(secret, stamp, body),
    }
    return wire.post(address, body=body, headers=headers, secrets=(secret,))


def signature(secret: str, stamp: str, body: bytes) -> str:
    """Return what proves to the receiver that a webhook is ours and when it was sent (docs/alerts.md)."""
    signed = stamp.encode() + b"." + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _json(url: str, body: dict, *secrets: str) -> str:
    return wire.post(url, body=json.dumps(body).encode(), headers=JSON, secrets=secrets)


def _shortened(message: Message, kind: ChannelKind) -> str:
    text, most = message.lines, LONGEST_TEXT[kind]
    return text if len(text) <= most else f"{text[: most - 1]}…"


Sender = Callable[[str, str, Message], str]
SENDERS: dict[ChannelKind, Sender] = {
    ChannelKind.EMAIL: _email,
    ChannelKind.TELEGRAM: _telegram,
    ChannelKind.DISCORD: _discord,
    ChannelKind.SLACK: _slack,
    ChannelKind.WEBHOOK: _webhook,
}
CHECKS: dict[ChannelKind, Callable[[str, str], str]] = {
    ChannelKind.EMAIL: _check_email,
    ChannelKind.TELEGRAM: _check_telegram,
    ChannelKind.DISCORD: _check_hook,
    ChannelKind.SLACK: _check_hook,
    ChannelKind.WEBHOOK: _check_webhook,
}
