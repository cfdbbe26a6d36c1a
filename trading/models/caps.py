"""How much may be in the market at once, over all sessions of an account or of a person."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from market.models import OwnedQuerySet
from trading.models.account import MONEY, Account


class ExposureCap(models.Model):
    """Limits over the sessions that trade in one quote currency; 0 switches one off."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="exposure_caps")
    account = models.ForeignKey(
        Account, models.CASCADE, null=True, blank=True, related_name="exposure_caps"
    )  # null: all accounts of the owner
    currency = models.CharField(max_length=20, default="USD")
    max_total = models.DecimalField(**MONEY, default=0)  # value of all positions, quote currency
    max_per_pair = models.DecimalField(**MONEY, default=0)  # of all positions in one pair
    max_open = models.PositiveIntegerField(default=0)  # open positions

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "currency"], condition=~Q(account=None), name="cap_once_per_account"
            ),
            models.UniqueConstraint(
                fields=["owner", "currency"], condition=Q(account=None), name="cap_once_per_owner"
            ),
            models.CheckConstraint(
                condition=Q(max_total__gte=0, max_per_pair__gte=0), name="cap_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"cap on {self.account if self.account_id else 'all accounts'} in {self.currency}"
