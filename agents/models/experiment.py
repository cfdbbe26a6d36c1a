"""Many runs as one job: seeds, windows and settings around one spec."""

from django.conf import settings
from django.db import models

from market.models import OwnedQuerySet, Series


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
