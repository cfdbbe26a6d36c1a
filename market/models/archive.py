"""What the candle archive holds. The candles themselves are Parquet files; rows say what they cover."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from market.candles import interval_name
from market.models.people import OwnedQuerySet


class Series(models.Model):
    """Candles of one pair at one interval from one source. Without an owner it is shared with every user."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+"
    )
    source = models.CharField(max_length=60)  # e.g. "binance", "synthetic", or the imported file's name
    pair = models.CharField(max_length=30)  # "BTC/USD"
    interval_ms = models.PositiveBigIntegerField()
    rows = models.PositiveBigIntegerField(default=0)
    first_ms = models.BigIntegerField(null=True)
    last_ms = models.BigIntegerField(null=True)  # start of the last bar
    fingerprint = models.CharField(
        max_length=64, default=""
    )  # SHA-256 over the candles; changes with any of them
    updated_at = models.DateTimeField(auto_now=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["pair", "interval_ms", "source"]
        verbose_name_plural = "series"
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "source", "pair", "interval_ms"],
                name="series_once_per_owner",
                condition=~Q(owner=None),
            ),
            models.UniqueConstraint(
                fields=["source", "pair", "interval_ms"], name="series_once_shared", condition=Q(owner=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pair} {self.interval} ({self.source})"

    @property
    def interval(self) -> str:
        return interval_name(self.interval_ms)

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.pk,
            "source": self.source,
            "pair": self.pair,
            "interval": self.interval,
            "rows": self.rows,
            "first_ms": self.first_ms,
            "last_ms": self.last_ms,
            "fingerprint": self.fingerprint,
        }


class Partition(models.Model):
    """One Parquet file of a series: the bars of one UTC calendar month."""

    series = models.ForeignKey(Series, models.CASCADE, related_name="partitions")
    month = models.DateField()  # first day
    path = models.CharField(max_length=300)  # relative to the archive's root
    rows = models.PositiveIntegerField()
    fingerprint = models.CharField(max_length=64)

    class Meta:
        ordering = ["month"]
        constraints = [models.UniqueConstraint(fields=["series", "month"], name="partition_once")]

    def __str__(self) -> str:
        return f"{self.series} {self.month:%Y-%m}"


class Gap(models.Model):
    """A run of absent bars. Gaps are kept as gaps: nothing is filled in."""

    series = models.ForeignKey(Series, models.CASCADE, related_name="gaps")
    from_ms = models.BigIntegerField()  # start of the first absent bar
    to_ms = models.BigIntegerField()  # start of the next present bar
    missing = models.PositiveIntegerField()  # bars

    class Meta:
        ordering = ["from_ms"]
        constraints = [models.UniqueConstraint(fields=["series", "from_ms"], name="gap_once")]

    def __str__(self) -> str:
        return f"{self.series}: {self.missing} bars missing"


class ImportStatus(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ImportReport(models.Model):
    """What became of one imported file or download: what was taken, what was refused, line by line."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+"
    )
    series = models.ForeignKey(Series, models.SET_NULL, null=True, related_name="imports")
    file_name = models.CharField(max_length=300)
    format = models.CharField(max_length=60, default="auto")
    status = models.CharField(max_length=10, choices=ImportStatus, default=ImportStatus.QUEUED)
    rows_read = models.PositiveBigIntegerField(default=0)
    rows_new = models.PositiveBigIntegerField(default=0)
    rows_duplicate = models.PositiveBigIntegerField(default=0)
    rows_rejected = models.PositiveBigIntegerField(default=0)
    rejects = models.JSONField(default=list)  # first 1000 of [line, reason]
    notes = models.JSONField(default=list)  # what was recognised and repaired, in words
    error = models.TextField(default="")
    options = models.JSONField(default=dict)  # how it was asked for; of an upload also where the file waits
    seconds = models.FloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.file_name}: {self.status}"
