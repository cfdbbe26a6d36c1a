"""What one delivery says, the same on every channel."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from trading.links import approval_path
from trading.models import AlertKind, AlertLevel, Delivery


@dataclass(frozen=True, slots=True)
class Message:
    """`key` is the same at every try of a delivery: a receiver may drop the second message of one key."""

    key: str
    kind: str
    level: str
    text: str
    url: str
    session: int | None
    count: int
    at: datetime

    @property
    def title(self) -> str:
        return f"[{AlertLevel(self.level).label.upper()}] {AlertKind(self.kind).label}"

    @property
    def lines(self) -> str:
        """The whole message as plain text."""
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.title}\n{self.text}{times}\n{self.url}"

    def as_dict(self) -> dict[str, Any]:
        """Return the signed webhook's body."""
        names = ("key", "kind", "level", "text", "url", "session", "count")
        return {**{name: getattr(self, name) for name in names}, "at": self.at.isoformat()}


def message_of(delivery: Delivery) -> Message:
    """Return what is to be said now: the alert's newest text, the kind and level it was told for."""
    alert = delivery.alert
    return Message(
        key=delivery.key,
        kind=delivery.kind,
        level=delivery.level,
        text=alert.text,
        url=f"{settings.SITE_URL}{_path(delivery)}",
        session=alert.session_id,
        count=alert.count,
        at=alert.last_at,
    )


def _path(delivery: Delivery) -> str:
    """Return the page where a person acts on it; to approve an order its receiver need not sign in."""
    alert = delivery.alert
    if delivery.kind == AlertKind.APPROVAL:
        return approval_path(int(alert.key.partition(":")[2]))
    return alert.address
