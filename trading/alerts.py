"""What is worth telling a person. The same thing is told once while it lasts, and counted.

The messages to the owner's channels are written in the same transaction; `trading.notify` sends them.
"""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from trading.models import Alert, AlertChannel, AlertKind, AlertLevel, LiveSession
from trading.notify import outbox

UNMISSABLE = (AlertKind.TRADER_SILENT, AlertKind.UNDELIVERED)  # go to every channel if no rule wants them


@transaction.atomic
def raise_alert(
    owner: Any,
    level: str,
    key: str,
    text: str,
    session: LiveSession | None = None,
    *,
    kind: str = AlertKind.OTHER,
    url: str = "",
    instead_of: int | None = None,
) -> Alert:
    """Tell `owner` of a state that lasts; an open alert of that key is counted up and takes the newer text.

    :param url: path of the page where a person acts on it; empty is the session's page.
    :param instead_of: a channel that has failed: every other channel is told, whatever the rules say.
    """
    alert = _opened(owner, level, key, text, session, kind, url)
    if alert.acknowledged_at is not None:
        return alert
    rules = [] if instead_of else outbox.rules_for(owner.pk, kind, level)
    if rules:
        outbox.enqueue(alert, rules)
    elif alert.count == 1 and (instead_of or kind in UNMISSABLE):
        _tell_all(alert, but=instead_of)
    return alert


def announce(
    owner: Any,
    kind: AlertKind,
    key: str,
    text: str,
    session: LiveSession | None = None,
    *,
    url: str = "",
    level: str | None = None,
) -> Alert | None:
    """Tell `owner` of an event: it is over when it is told. Call it in the transaction that made it happen.

    A fill leaves no row unless a rule asks for it: the trades are listed elsewhere.
    """
    level = level or kind.level
    rules = outbox.rules_for(owner.pk, kind, level)
    if kind == AlertKind.FILL and not rules:
        return None
    with transaction.atomic():
        alert = Alert.objects.create(
            owner=owner, session=session, kind=kind, level=level, key=key, text=text, url=url,
            closed_at=timezone.now(),
        )  # fmt: skip
        outbox.enqueue(alert, rules)
    return alert


def close_alert(owner: Any, key: str) -> bool:
    """Mark the open alert `key` as over; False when there was none."""
    return bool(Alert.objects.filter(owner=owner, key=key, closed_at=None).update(closed_at=timezone.now()))


def _tell_all(alert: Alert, *, but: int | None) -> None:
    channels = AlertChannel.objects.filter(owner=alert.owner_id, is_active=True).exclude(pk=but or 0)
    for channel_id in channels.values_list("pk", flat=True):
        outbox.write(alert, channel_id, at=timezone.now())


def _opened(
    owner: Any, level: str, key: str, text: str, session: LiveSession | None, kind: str, url: str
) -> Alert:
    """Return the open alert `key` as it is after this telling."""
    given = {"text": text, "level": level, "kind": kind, "url": url}
    while True:
        found = Alert.objects.filter(owner=owner, key=key, closed_at=None).first()
        if found is None:
            try:
                with transaction.atomic():
                    return Alert.objects.create(owner=owner, session=session, key=key, **given)
            except IntegrityError:  # another process told it between our two statements
                continue
        again: dict[str, Any] = {**given, "count": F("count") + 1, "last_at": timezone.now()}
        if kind != found.kind or AlertLevel(level).rank > AlertLevel(found.level).rank:
            again["acknowledged_at"] = None  # what was seen was something else, or less loud
        if Alert.objects.filter(pk=found.pk, closed_at=None).update(**again):
            found.refresh_from_db()
            return found
