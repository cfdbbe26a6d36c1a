"""What a person should be told."""

from django.conf import settings
from django.db import models

from market.models import OwnedQuerySet
from trading.models.session import LiveSession


class AlertLevel(models.TextChoices):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(AlertLevel).index(self)


class AlertKind(models.TextChoices):
    """What happened. Rules choose by it; docs/alerts.md explains each."""

    FILL = "fill", "fill"
    STOP_HIT = "stop_hit", "stop hit"
    BREAKER = "breaker", "breaker"
    HALTED = "halted", "halted"
    SESSION_FAILED = "session_failed", "session failed"
    ORDER = "order", "order refused or uncertain"
    JOB_FAILED = "job_failed", "job failed"
    DATA_STALE = "data_stale", "data stale"
    BOOKS = "books", "reconciliation difference"
    DAILY_REPORT = "daily_report", "daily report"
    APPROVAL = "approval", "approval needed"
    COUNCIL = "council", "council member left out"
    TRADER_SILENT = "trader_silent", "trader silent"
    UNDELIVERED = "undelivered", "alert not delivered"
    TEST = "test", "test"
    OTHER = "other", "other"

    @property
    def level(self) -> AlertLevel:
        """How loud such an alert is unless its author says otherwise."""
        return LEVELS[self]


LEVELS = {
    AlertKind.FILL: AlertLevel.INFO,
    AlertKind.STOP_HIT: AlertLevel.WARNING,
    AlertKind.BREAKER: AlertLevel.CRITICAL,
    AlertKind.HALTED: AlertLevel.CRITICAL,
    AlertKind.SESSION_FAILED: AlertLevel.CRITICAL,
    AlertKind.ORDER: AlertLevel.WARNING,
    AlertKind.JOB_FAILED: AlertLevel.WARNING,
    AlertKind.DATA_STALE: AlertLevel.WARNING,
    AlertKind.BOOKS: AlertLevel.WARNING,
    AlertKind.DAILY_REPORT: AlertLevel.INFO,
    AlertKind.APPROVAL: AlertLevel.WARNING,
    AlertKind.COUNCIL: AlertLevel.WARNING,
    AlertKind.TRADER_SILENT: AlertLevel.CRITICAL,
    AlertKind.UNDELIVERED: AlertLevel.CRITICAL,
    AlertKind.TEST: AlertLevel.INFO,
    AlertKind.OTHER: AlertLevel.WARNING,
}


class Alert(models.Model):
    """One thing worth telling a person; the same thing is told once and counted.

    A state ("the price is stale") is open until it is over; an event ("filled") is closed when it is written.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="alerts")
    session = models.ForeignKey(LiveSession, models.CASCADE, null=True, related_name="alerts")
    kind = models.CharField(max_length=20, choices=AlertKind, default=AlertKind.OTHER)
    level = models.CharField(max_length=10, choices=AlertLevel)
    key = models.CharField(max_length=120)  # same key while open = same alert
    text = models.TextField()
    url = models.CharField(max_length=200, blank=True, default="")  # path of the page where a person acts
    count = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField(auto_now_add=True)
    last_at = models.DateTimeField(auto_now=True)
    acknowledged_at = models.DateTimeField(null=True)  # a person has seen it: nothing more is sent about it
    closed_at = models.DateTimeField(null=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["owner", "key"], name="alert_by_key")]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "key"], condition=models.Q(closed_at=None), name="alert_open_once"
            )
        ]

    def __str__(self) -> str:
        return self.text

    @property
    def address(self) -> str:
        """Path of the page where a person acts on it."""
        if self.url:
            return self.url
        return f"/sessions/{self.session_id}/" if self.session_id else "/alerts/"
