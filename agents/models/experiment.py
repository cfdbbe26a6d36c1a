"""Many runs as one job: seeds, windows and settings around one spec."""

from typing import Any

from django.conf import settings
from django.db import models

from market.models import OwnedQuerySet, Series


def candles_named(spec: dict[str, Any], series: Series) -> str:
    """Return what was learned from, for people: a series, or all pairs of a portfolio."""
    pairs = spec.get("pairs") or ()
    return f"{', '.join(pairs)} {series.interval} ({series.source})" if pairs else str(series)


class Experiment(models.Model):
    """What was asked for; its training runs know how far they are and how they ended."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="experiments")
    name = models.CharField(max_length=100)
    series = models.ForeignKey(Series, models.PROTECT, related_name="experiments")
    spec = models.JSONField()  # agents.spec.TrainingSpec that the runs share
    seeds = models.JSONField()  # list of int
    grid = models.JSONField(default=dict)  # dotted key -> list of values
    windows = models.PositiveSmallIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="experiment_name_once_per_owner"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def candles(self) -> str:
        """Return what its runs learn from, for people."""
        return candles_named(self.spec, self.series)
