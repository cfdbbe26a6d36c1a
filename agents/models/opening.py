"""Looks at the sealed test part of a model: who, when, why. Rows are never changed or deleted."""

from django.conf import settings
from django.db import models

from agents.models.backtest import Backtest
from agents.models.model import TrainedModel
from market.models import OwnedQuerySet


class TestOpening(models.Model):
    """One look. The more there are, the less the test part proves: every later result says how many."""

    __test__ = False  # its name is no test's

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="test_openings")
    model = models.ForeignKey(TrainedModel, models.CASCADE, related_name="openings")
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500)
    backtest = models.OneToOneField(Backtest, models.SET_NULL, null=True, related_name="opening")
    opened_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"test part of {self.model}"
