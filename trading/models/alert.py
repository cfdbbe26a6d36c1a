"""What a person should be told."""

from django.conf import settings
from django.db import models

from market.models import OwnedQuerySet
from trading.models.session import LiveSession


class AlertLevel(models.TextChoices):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Alert(models.Model):
    """One thing worth telling a person; the same thing is told once and counted."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="alerts")
    session = models.ForeignKey(LiveSession, models.CASCADE, null=True, related_name="alerts")
    level = models.CharField(max_length=10, choices=AlertLevel)
    key = models.CharField(max_length=120)  # same key while open = same alert
    text = models.TextField()
    count = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField(auto_now_add=True)
    last_at = models.DateTimeField(auto_now=True)
    closed_at = models.DateTimeField(null=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "key"], condition=models.Q(closed_at=None), name="alert_open_once"
            )
        ]

    def __str__(self) -> str:
        return self.text
