"""Ownership, the audit trail and idempotent requests."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q


class OwnedQuerySet(models.QuerySet):
    """For models with an `owner`: people see what is theirs; superusers see all."""

    def visible_to(self, user: Any) -> "OwnedQuerySet":
        """Return the rows `user` may see: their own, and shared ones where the model allows no owner."""
        if user.is_superuser:
            return self.all()
        mine = Q(owner=user)
        return self.filter(mine | Q(owner=None) if self.model._meta.get_field("owner").null else mine)


class AuditEvent(models.Model):
    """One state-changing act of a person, or of the system for a person. Never changed, never deleted."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=60)  # verb, e.g. "session.stop"
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=40)
    detail = models.JSONField(default=dict)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["object_type", "object_id"], name="audit_by_object")]

    def __str__(self) -> str:
        who = self.actor or "system"
        return f"{self.at:%Y-%m-%d %H:%M:%S} {who} {self.action} {self.object_type} {self.object_id}"


class IdempotencyKey(models.Model):
    """The stored answer to a POST that started something, so that a repeated request starts nothing twice."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=80)
    path = models.CharField(max_length=200)
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)  # null while the first request is still at work
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key", "path"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return f"{self.path} {self.key}"
