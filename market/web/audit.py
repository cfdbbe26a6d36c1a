"""The audit trail's one way in for acts that no service records itself."""

from typing import Any

from django.db import models

from market.models import AuditEvent


def record(actor: Any, action: str, obj: models.Model, **detail: Any) -> AuditEvent:
    """Write that `actor` did `action` ("risk.change") to `obj`. Never put a secret into `detail`."""
    owner = getattr(obj, "owner", None) or getattr(obj, "user", None) or actor
    return AuditEvent.objects.create(
        actor=actor,
        owner=owner,
        action=action,
        object_type=obj._meta.label_lower.partition(".")[2],
        object_id=str(obj.pk)[:40],
        detail=detail,
    )
