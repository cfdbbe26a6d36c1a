"""The books of a paper account: what its venue would know."""

from django.db import models

from trading.models.account import Account


class PaperState(models.Model):
    """Balances, orders and shorts of one paper account. `version` makes a change a compare-and-swap."""

    account = models.OneToOneField(Account, models.CASCADE, related_name="paper_state")
    version = models.PositiveBigIntegerField(default=0)
    state = models.JSONField(default=dict)  # see trading.exchanges.paper_book

    def __str__(self) -> str:
        return f"paper books of {self.account}"
