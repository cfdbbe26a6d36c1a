"""Channels, rules and alerts as people change them. Every act is in the audit trail, no secret ever is."""

from datetime import time, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from market.web import audit
from trading.models import Alert, AlertChannel, AlertKind, AlertLevel, AlertRule, Delivery
from trading.notify import channels, outbox

TESTS_A_MINUTE = 5
LONGEST_AGAIN_S = 30 * 86_400


def create_channel(
    *, owner: Any, name: str, kind: str, address: str, secret: str = "", by: Any = None
) -> AlertChannel:
    """Add a way to reach `owner`, with a rule that sends it everything from a warning on.

    :param address: e-mail addresses, Telegram chat, or the webhook's URL; stored encrypted.
    :param secret: a Telegram bot's token, a signed webhook's key; empty for the others.
    :raises BadInput: when they cannot be those of such a channel.
    """
    name, address, secret = " ".join(name.split()), address.strip(), secret.strip()
    if not 1 <= len(name) <= 80:
        raise BadInput("the name must have 1 to 80 characters", field="name")
    shown = channels.check(kind, address, secret)
    try:
        with transaction.atomic():
            channel = AlertChannel.objects.create(
                owner=owner, name=name, kind=kind, sealed=channels.sealed(address, secret), shown=shown
            )
            AlertRule.objects.create(owner=owner, channel=channel)
            audit.record(by or owner, "channel.create", channel, kind=kind, address=shown)
    except IntegrityError:
        raise Conflict(f"you already have a channel named {name!r}", field="name") from None
    return channel


@transaction.atomic
def change_channel(
    *,
    channel: AlertChannel,
    address: str = "",
    secret: str = "",
    is_active: bool | None = None,
    by: Any = None,
) -> AlertChannel:
    """Give a channel another address or secret, or switch it on or off; what is left out stays.

    A secret goes only where it was given for: a new address needs the secret again.

    :raises BadInput: when they cannot be those of such a channel.
    """
    address, secret = address.strip(), secret.strip()
    changed: dict[str, Any] = {}
    if address or secret:
        held = channels.opened(channel)
        if address and held[1] and not secret and address != held[0]:
            raise BadInput("give the secret again with the new address", field="secret")
        address, secret = address or held[0], secret or held[1]
        changed["shown"] = channels.check(channel.kind, address, secret)
        changed |= {"sealed": channels.sealed(address, secret), "last_error": ""}
    if is_active is not None:
        changed["is_active"] = is_active
    AlertChannel.objects.filter(pk=channel.pk).update(**changed)
    channel.refresh_from_db()
    told = {name: value for name, value in changed.items() if name not in ("sealed", "last_error")}
    audit.record(by or channel.owner, "channel.change", channel, **told)
    return channel


@transaction.atomic
def delete_channel(*, channel: AlertChannel, by: Any = None) -> None:
    """Forget a channel, its rules and its deliveries."""
    audit.record(by or channel.owner, "channel.delete", channel, name=channel.name, address=channel.shown)
    channel.delete()


def check_channel(*, channel: AlertChannel, by: Any = None) -> Delivery:
    """Send a test message now; return its delivery, whose status and answer say what came of it.

    :raises Conflict: when the owner has tested too often in the last minute, or the channel is off.
    """
    if not channel.is_active:
        raise Conflict(f"the channel {channel} is switched off")
    with transaction.atomic():
        since = timezone.now() - timedelta(minutes=1)
        recent = AuditEvent.objects.filter(owner=channel.owner, action="channel.test", at__gte=since)
        if recent.count() >= TESTS_A_MINUTE:
            raise Conflict(f"at most {TESTS_A_MINUTE} tests a minute: wait a little")
        audit.record(by or channel.owner, "channel.test", channel)
        delivery = outbox.write(_test_alert(channel), channel.pk, at=timezone.now())
    claimed = outbox.claim(timezone.now(), pk=delivery.pk)  # None: a sender was faster
    if claimed is not None:
        outbox.deliver(claimed)
    delivery.refresh_from_db()
    return delivery


def _test_alert(channel: AlertChannel) -> Alert:
    kind = AlertKind.TEST
    now = timezone.now()
    return Alert.objects.create(
        owner=channel.owner, kind=kind, level=kind.level, key=f"test:{channel.pk}", closed_at=now,
        text=f"This is a test of the channel {channel}.", url="/alerts/channels/",
    )  # fmt: skip


def save_rule(
    *,
    owner: Any,
    channel: AlertChannel,
    kinds: list[str],
    min_level: str = AlertLevel.WARNING,
    quiet_from: time | None = None,
    quiet_to: time | None = None,
    again_s: int = 3600,
    is_active: bool = True,
    rule: AlertRule | None = None,
    by: Any = None,
) -> AlertRule:
    """Make a rule, or change `rule`.

    :param kinds: AlertKind values; none means every kind.
    :param quiet_from: UTC; until `quiet_to` only what is critical is sent at once.
    :param again_s: how long the same thing is not told again.
    :raises BadInput: one sentence with the field it belongs to.
    """
    unknown = sorted(set(kinds) - set(AlertKind.values))
    if unknown:
        raise BadInput(f"there is no kind {unknown[0]!r}; use {', '.join(AlertKind.values)}", field="kinds")
    if min_level not in AlertLevel.values:
        raise BadInput(f"the level must be one of {', '.join(AlertLevel.values)}", field="min_level")
    if (quiet_from is None) != (quiet_to is None):
        missing = "quiet_to" if quiet_to is None else "quiet_from"
        raise BadInput("a quiet time needs its start and its end", field=missing)
    if not 0 <= again_s <= LONGEST_AGAIN_S:
        raise BadInput("seconds before it is told again must be 0 to 30 days", field="again_s")
    if channel.owner_id != owner.pk:
        raise BadInput("the channel belongs to somebody else", field="channel")
    rule = rule or AlertRule(owner=owner)
    rule.channel, rule.kinds, rule.min_level = channel, sorted(set(kinds)), min_level
    rule.quiet_from, rule.quiet_to, rule.again_s, rule.is_active = quiet_from, quiet_to, again_s, is_active
    with transaction.atomic():
        rule.save()
        detail = {"channel": channel.pk, "kinds": rule.kinds, "min_level": min_level, "active": is_active}
        audit.record(by or owner, "rule.change", rule, **detail)
    return rule


@transaction.atomic
def delete_rule(*, rule: AlertRule, by: Any = None) -> None:
    audit.record(by or rule.owner, "rule.delete", rule, channel=rule.channel_id)
    rule.delete()


@transaction.atomic
def acknowledge(*, alert: Alert, by: Any) -> bool:
    """Write down that a person has seen it: nothing more is sent about it until it becomes louder."""
    mine = Alert.objects.filter(pk=alert.pk, closed_at=None, acknowledged_at=None)
    if not mine.update(acknowledged_at=timezone.now()):
        return False
    audit.record(by, "alert.acknowledge", alert, key=alert.key)
    return True


@transaction.atomic
def close(*, alert: Alert, by: Any) -> bool:
    """Mark an alert as over; it opens again if its reason comes back."""
    if not Alert.objects.filter(pk=alert.pk, closed_at=None).update(closed_at=timezone.now()):
        return False
    audit.record(by, "alert.close", alert, key=alert.key)
    return True
