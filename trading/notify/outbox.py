"""Deliveries: written with their alert in one transaction, sent at least once by whichever process is alive.

A sender claims a delivery by a conditional UPDATE and marks it under that claim. A sender that dies between
sending and marking leaves a claim that runs out; the message is then sent again under the same key.
"""

import logging
import secrets
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from market.prepared import Select
from trading.models import Alert, AlertChannel, AlertKind, AlertLevel, AlertRule, Delivery, DeliveryStatus
from trading.notify.channels import send
from trading.notify.message import message_of
from trading.notify.wire import NotSent

logger = logging.getLogger(__name__)

_rules = Select(AlertRule, ["id"], where=["owner", "is_active"])
CLAIM_S = 40.0  # longer than any one send takes
MAX_ATTEMPTS = 10  # with the waits below: about an hour and a half
MAX_AGE = timedelta(days=1)  # of what waits behind others for a channel that does not work
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 1800.0
ANEW_S = 30.0  # between two tellings of something critical that ends and begins anew: no flood of them


def rules_for(owner_id: int, kind: str, level: str) -> list[AlertRule]:
    """Return the active rules that want such an alert."""
    if not _rules(owner=owner_id, is_active=True):
        return []
    rank = AlertLevel(level).rank
    rules = AlertRule.objects.filter(owner=owner_id, is_active=True, channel__is_active=True)
    return [
        rule
        for rule in rules.order_by("id")
        if AlertLevel(rule.min_level).rank <= rank and (not rule.kinds or kind in rule.kinds)
    ]


def enqueue(alert: Alert, rules: list[AlertRule]) -> None:
    """Write the deliveries that `rules` ask for. Call inside the transaction that wrote the alert."""
    now = timezone.now()
    due: dict[int, tuple[datetime, bool]] = {}
    for rule in rules:
        found = _due(alert, rule, now)
        if found is not None:
            due[rule.channel_id] = min(found, due.get(rule.channel_id, found))
    for channel_id, (at, is_held) in due.items():
        write(alert, channel_id, at=at, only_if_open=is_held)


def write(alert: Alert, channel_id: int, *, at: datetime, only_if_open: bool = False) -> Delivery:
    """Write one delivery; a second one of the same occasion is the first one."""
    count = Delivery.objects.filter(alert=alert, channel=channel_id).count()
    given = {"kind": alert.kind, "level": alert.level, "next_at": at, "due_at": at}
    return Delivery.objects.get_or_create(
        key=f"{alert.pk}-{channel_id}-{count + 1}",
        defaults={
            **given,
            "owner_id": alert.owner_id,
            "alert": alert,
            "channel_id": channel_id,
            "only_if_open": only_if_open,
        },
    )[0]


def _due(alert: Alert, rule: AlertRule, now: datetime) -> tuple[datetime, bool] | None:
    """Return when a rule's channel is to be told, and whether only if the alert still lasts then."""
    at, is_held = now, False
    last = _last(alert, rule.channel_id)
    if last is not None and not _is_louder(alert, last):
        if last.status == DeliveryStatus.WAITING and last.alert_id == alert.pk:
            return None  # it will say the newest text
        again = last.created_at + timedelta(seconds=_again_s(alert, last, rule))
        if now < again and last.alert_id == alert.pk:
            return None
        at, is_held = max(now, again), now < again
    if alert.level != AlertLevel.CRITICAL:
        at = _after_quiet(rule, at)
    return at, is_held


def _again_s(alert: Alert, last: Delivery, rule: AlertRule) -> float:
    """Return how long the same thing is not told again; what is critical and begins anew does not wait."""
    is_new = alert.pk != last.alert_id
    return min(rule.again_s, ANEW_S) if is_new and alert.level == AlertLevel.CRITICAL else rule.again_s


def _last(alert: Alert, channel_id: int) -> Delivery | None:
    told = Delivery.objects.filter(alert__owner=alert.owner_id, alert__key=alert.key, channel=channel_id)
    return told.exclude(status=DeliveryStatus.SKIPPED).order_by("-id").first()


def _is_louder(alert: Alert, last: Delivery) -> bool:
    return alert.kind != last.kind or AlertLevel(alert.level).rank > AlertLevel(last.level).rank


def _after_quiet(rule: AlertRule, at: datetime) -> datetime:
    """Return `at`, or the end of the rule's quiet time (UTC) that it falls into."""
    start, end, clock = rule.quiet_from, rule.quiet_to, at.astimezone(UTC).time()
    if start is None or end is None or start == end:
        return at
    if not (start <= clock < end if start < end else clock >= start or clock < end):
        return at
    day = at.astimezone(UTC).date() + timedelta(days=clock >= end)
    return datetime.combine(day, end, UTC)


def due(now: datetime) -> QuerySet[Delivery]:
    """Return what is to be sent now, and what a dead sender had claimed."""
    return Delivery.objects.filter(status=DeliveryStatus.WAITING, next_at__lte=now)


def claim(now: datetime, *, channel_id: int | None = None, pk: int | None = None) -> Delivery | None:
    """Take the oldest due delivery (of a channel, or the one named) so that nobody else sends it."""
    rows = due(now).order_by("next_at", "id")
    rows = rows if channel_id is None else rows.filter(channel=channel_id)
    rows = rows if pk is None else rows.filter(pk=pk)
    for found in rows.values_list("pk", "next_at")[:5]:
        token = secrets.token_hex(16)
        mine = due(now).filter(pk=found[0], next_at=found[1])
        if mine.update(claim=token, next_at=now + timedelta(seconds=CLAIM_S)):
            return Delivery.objects.select_related("alert", "channel", "owner").get(pk=found[0])
    return None


def deliver(delivery: Delivery) -> bool:
    """Send a claimed delivery and write down what came of it; True when it arrived."""
    alert, channel = delivery.alert, delivery.channel
    if why := _needless(delivery):
        _mark(delivery, status=DeliveryStatus.SKIPPED, answer=why)
        return False
    try:
        said = send(channel, message_of(delivery))
    except NotSent as error:
        _not_sent(delivery, error)
        return False
    except Exception as error:
        logger.exception("delivery %s: sending it failed in a way nobody foresaw", delivery.key)
        _not_sent(delivery, NotSent(f"it could not be sent: {type(error).__name__}"))
        return False
    now = timezone.now()
    _mark(delivery, status=DeliveryStatus.SENT, answer=said[:300], sent_at=now, attempts=F("attempts") + 1)
    AlertChannel.objects.filter(pk=channel.pk).update(last_ok_at=now, last_error="")
    Alert.objects.filter(owner=alert.owner_id, key=undelivered_key(channel.pk), closed_at=None).update(
        closed_at=now
    )
    logger.info("alert %s told through channel %s", alert.pk, channel.pk)
    return True


def deliver_due(now: datetime | None = None) -> int:
    """Send everything that is due, one after the other; return how many arrived."""
    now, sent = now or timezone.now(), 0
    while (delivery := claim(now)) is not None:
        sent += deliver(delivery)
    return sent


def _needless(delivery: Delivery) -> str:
    alert = delivery.alert
    if not delivery.channel.is_active:
        return "the channel is switched off"
    if alert.acknowledged_at is not None:
        return "acknowledged before it was sent"
    if delivery.only_if_open and alert.closed_at is not None:
        return "it was over before it was to be told again"
    return ""


def _not_sent(delivery: Delivery, error: NotSent) -> None:
    tries = delivery.attempts + 1
    said = str(error)[:300]
    AlertChannel.objects.filter(pk=delivery.channel_id).update(last_error=said)
    now = timezone.now()
    is_over = (
        error.is_final
        or delivery.kind == AlertKind.TEST
        or tries >= MAX_ATTEMPTS
        or now - delivery.due_at > MAX_AGE
    )
    logger.warning("alert %s: channel %s: try %s: %s", delivery.alert_id, delivery.channel_id, tries, said)
    if not is_over:
        wait_s = max(wait_after(tries), error.wait_s)
        next_at = now + timedelta(seconds=wait_s)
        _mark(delivery, answer=said, attempts=tries, next_at=next_at)
        behind = Delivery.objects.filter(channel=delivery.channel_id, status=DeliveryStatus.WAITING, claim="")
        behind.filter(next_at__lt=next_at).update(next_at=next_at)  # the channel rests, not just this message
        return
    with transaction.atomic():
        if _mark(delivery, status=DeliveryStatus.FAILED, answer=said, attempts=tries):
            tell_undelivered(
                delivery, f"it is given up after {tries} {'try' if tries == 1 else 'tries'}: {said}"
            )


def undelivered_key(channel_id: int) -> str:
    return f"undelivered:{channel_id}"


def wait_after(tries: int) -> float:
    """Return the seconds between a failed try and the next: 5, 10, 20 … up to half an hour."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (tries - 1))


def _mark(delivery: Delivery, **changes: object) -> bool:
    """Write the outcome unless the claim has run out and somebody else has taken the delivery."""
    mine = Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim, status=DeliveryStatus.WAITING)
    return bool(mine.update(claim="", **changes))


def tell_undelivered(delivery: Delivery, what: str) -> None:
    """Tell the owner through every other channel that one of them does not work.

    Which channel fails is one alert, however many messages wait for it. A test says so to who made it.
    """
    from trading.alerts import raise_alert  # the alert goes out through this outbox again

    if delivery.kind in (AlertKind.TEST, AlertKind.UNDELIVERED):
        return
    text = f"The channel {delivery.channel} did not deliver “{delivery.alert.text[:200]}”: {what}."
    raise_alert(
        delivery.owner,
        AlertLevel.CRITICAL,
        undelivered_key(delivery.channel_id),
        text,
        kind=AlertKind.UNDELIVERED,
        url="/alerts/deliveries/",
        instead_of=delivery.channel_id,
    )
