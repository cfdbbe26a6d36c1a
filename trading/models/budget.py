"""How many calls an account has made to its venue in the last minute, shared by all processes."""

from django.db import models

from trading.models.account import Account


class CallBudget(models.Model):
    """Calls by second. `version` makes a change by several processes a compare-and-swap."""

    account = models.OneToOneField(Account, models.CASCADE, related_name="call_budget")
    version = models.PositiveBigIntegerField(default=0)
    window = models.JSONField(default=list)  # [[epoch second, calls], ...], oldest first, the last minute

    def __str__(self) -> str:
        return f"calls of {self.account}"
