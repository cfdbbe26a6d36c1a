"""What is worth telling a person. The same thing is told once while it lasts, and counted."""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from trading.models import Alert, LiveSession


def raise_alert(owner: Any, level: str, key: str, text: str, session: LiveSession | None = None) -> None:
    """Tell `owner` something; an open alert of the same key is counted up and takes the newer text."""
    open_now = Alert.objects.filter(owner=owner, key=key, closed_at=None)
    if open_now.update(count=F("count") + 1, last_at=timezone.now(), text=text, level=level):
        return
    try:
        with transaction.atomic():
            Alert.objects.create(owner=owner, session=session, level=level, key=key, text=text)
    except IntegrityError:  # another process told it between our two statements
        open_now.update(count=F("count") + 1, last_at=timezone.now())


def close_alert(owner: Any, key: str) -> bool:
    """Mark the open alert `key` as over; False when there was none."""
    return bool(Alert.objects.filter(owner=owner, key=key, closed_at=None).update(closed_at=timezone.now()))
