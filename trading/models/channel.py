"""Ways to reach a person, which alerts take which, and what became of every message."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from market.models import OwnedQuerySet
from trading.models.alert import Alert, AlertKind, AlertLevel


class ChannelKind(models.TextChoices):
    EMAIL = "email", "E-mail"
    TELEGRAM = "telegram", "Telegram"
    DISCORD = "discord", "Discord webhook"
    SLACK = "slack", "Slack webhook"
    WEBHOOK = "webhook", "Signed webhook"


class AlertChannel(models.Model):
    """One way to reach its owner. Address and secret are one Fernet token; `shown` is what people may see."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="alert_channels")
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=10, choices=ChannelKind)
    sealed = models.BinaryField(editable=False)  # {"address": …, "secret": …}
    shown = models.CharField(max_length=200, editable=False)  # the address without what is secret about it
    is_active = models.BooleanField(default=True)
    last_ok_at = models.DateTimeField(null=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, default="", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="channel_name_once_per_owner")]

    def __str__(self) -> str:
        return self.name


class AlertRule(models.Model):
    """Alerts of these kinds, from this level on, go to this channel."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="alert_rules")
    channel = models.ForeignKey(AlertChannel, models.CASCADE, related_name="rules")
    kinds = models.JSONField(default=list, blank=True)  # AlertKind values; empty = every kind
    min_level = models.CharField(max_length=10, choices=AlertLevel, default=AlertLevel.WARNING)
    quiet_from = models.TimeField(null=True, blank=True)  # UTC; what is not critical waits until quiet_to
    quiet_to = models.TimeField(null=True, blank=True)
    again_s = models.PositiveIntegerField(default=3600)  # the same thing is not told again before
    is_active = models.BooleanField(default=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                name="rule_quiet_time_has_both_ends",
                condition=Q(quiet_from=None, quiet_to=None)
                | Q(quiet_from__isnull=False, quiet_to__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{', '.join(self.kinds) or 'everything'} from {self.min_level} to {self.channel}"


class DeliveryStatus(models.TextChoices):
    WAITING = "waiting"  # to be sent, or to be tried again
    SENT = "sent"
    FAILED = "failed"  # given up; `answer` says why
    SKIPPED = "skipped"  # not needed any more


class Delivery(models.Model):
    """One message of one alert to one channel. Written with the alert, sent by whoever is alive."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    alert = models.ForeignKey(Alert, models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(AlertChannel, models.CASCADE, related_name="deliveries")
    key = models.CharField(max_length=80, unique=True)  # the receiver may drop a second message of one key
    kind = models.CharField(max_length=20, choices=AlertKind)
    level = models.CharField(max_length=10, choices=AlertLevel)
    status = models.CharField(max_length=10, choices=DeliveryStatus, default=DeliveryStatus.WAITING)
    only_if_open = models.BooleanField(default=False)  # held back: not sent if the alert is over by then
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()  # not before; of a claimed one: when its sender counts as dead
    claim = models.CharField(max_length=32, blank=True, default="")  # of the sender at work on it
    created_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField()  # when it was to be sent first
    sent_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=300, blank=True, default="")  # what the receiver said, shortened

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        indexes = [models.Index(fields=["status", "next_at"], name="delivery_due")]

    def __str__(self) -> str:
        return f"{self.key} {self.status}"
