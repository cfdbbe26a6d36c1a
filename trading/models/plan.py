"""A portfolio kept at target weights: one session per pair, money levelled between them."""

from django.conf import settings
from django.db import models

from market.models import OwnedQuerySet
from trading.models.account import MONEY, Account
from trading.models.risk import RiskProfile


class PortfolioPlan(models.Model):
    """Target weights of one account's pairs. Its sessions trade; what is in no weight stays in cash."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="plans")
    name = models.CharField(max_length=80)
    account = models.ForeignKey(Account, models.PROTECT, related_name="plans")
    risk = models.ForeignKey(RiskProfile, models.PROTECT, related_name="plans")
    weights = models.JSONField()  # {pair: share of the plan's equity, 0..1}
    band = models.FloatField(default=0.05)  # how far a pair's share may stray before it is traded back
    interval_ms = models.PositiveBigIntegerField()
    every = models.PositiveIntegerField(default=1)  # bars between two looks
    capital = models.DecimalField(**MONEY)  # quote currency, all sessions together
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="plan_name_once_per_owner")]

    def __str__(self) -> str:
        return self.name
