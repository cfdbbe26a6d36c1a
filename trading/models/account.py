"""Accounts at venues, and our books of what is in them."""

import hashlib
from typing import Any

from django.conf import settings
from django.db import models

from market.models import OwnedQuerySet

MONEY: dict[str, Any] = {"max_digits": 28, "decimal_places": 12}


class ForeignOrders(models.TextChoices):
    """What sessions make of orders on their account that we did not send."""

    ADOPT = "adopt", "adopt: a position closed by hand is closed in its session, and you are told"
    IGNORE = "ignore", "ignore: the account's books follow, sessions keep theirs, nobody is told"


class Account(models.Model):
    """One key at one venue. The secret is a Fernet token; only `trading.accounts` ever opens it."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="accounts")
    name = models.CharField(max_length=80)
    venue = models.CharField(max_length=40)  # registry name: "roostoo", "paper"
    base_url = models.URLField(max_length=200)
    candles_url = models.URLField(
        max_length=200, blank=True
    )  # Binance-compatible klines for warm-up and closed bars
    stream_url = models.CharField(max_length=200, blank=True)  # ws:// or wss://; empty: prices are polled
    stream_state = models.JSONField(default=dict, blank=True)  # of its price stream, as last noted
    stream_at = models.DateTimeField(null=True)  # when that was
    api_key = models.CharField(max_length=200, blank=True)
    secret = models.BinaryField(default=b"", editable=False)
    calls_per_minute = models.PositiveIntegerField(default=28)  # the venue allows 30; a sandbox more
    poll_s = models.FloatField(default=5.0)  # wall seconds between ticker reads
    foreign_orders = models.CharField(max_length=6, choices=ForeignOrders, default=ForeignOrders.ADOPT)
    is_active = models.BooleanField(default=True)
    opened_at = models.DateTimeField(null=True)  # when its balances were first read into our books
    opened_ms = models.BigIntegerField(default=0)  # the same instant on the venue's clock
    proven_equal_at = models.DateTimeField(null=True)  # last time our books and the venue's were proven equal
    last_error = models.TextField(default="", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="account_name_once_per_owner"),
            models.UniqueConstraint(  # two accounts with one key would take each other's orders for foreign
                fields=["venue", "base_url", "api_key"],
                name="account_key_once_per_venue",
                condition=~models.Q(api_key=""),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def key_mark(self) -> str:
        """Tell apart which key and secret are stored, and nothing about either."""
        return hashlib.sha256(self.api_key.encode() + b" " + bytes(self.secret)).hexdigest()

    @property
    def market(self) -> str:
        """Name of the venue it trades at; accounts of one name share its clock."""
        return f"{self.venue}:{self.base_url}"

    @property
    def prices(self) -> str:
        """Name of where its quotes come from; accounts of one name share reads and ticks.

        Addresses hold no spaces, so that no two sources have one name. Ticks are everybody's, but where a
        person's stream is, with what its path may hold, is not.
        """
        return f"{self.market} stream {_digest(self.stream_url)}" if self.stream_url else self.market

    def bars(self, *, with_volume: bool) -> str:
        """Return the name of where its closed bars come from; sessions of one name share them.

        It holds all that a bar depends on: nobody decides on bars that another person's settings made.

        :param with_volume: of bars that quotes, which carry none, never stand in for
        """
        if with_volume:
            return f"{self.market} candles {self.candles_url}"
        return f"{self.prices} candles or quotes {self.candles_url}" if self.candles_url else self.prices


def _digest(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()[:16]


class Holding(models.Model):
    """How much of a coin our books say an account has: always the sum of its ledger entries.

    "BTC/USD short" is no coin: it is the quantity of the account's one short of that pair.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="holdings")
    coin = models.CharField(max_length=40)
    quantity = models.DecimalField(**MONEY, default=0)
    entry_price = models.DecimalField(**MONEY, default=0)  # of a short: quantity-weighted
    collateral = models.DecimalField(**MONEY, default=0)  # of a short: already part of the quote coin

    class Meta:
        ordering = ["coin"]
        constraints = [models.UniqueConstraint(fields=["account", "coin"], name="holding_once")]

    def __str__(self) -> str:
        return f"{self.quantity} {self.coin}"


class LedgerKind(models.TextChoices):
    OPENING = "opening"  # found on the venue when the account was first read
    TRADE = "trade"
    FEE = "fee"
    ADJUSTMENT = "adjustment"  # the venue's books differ and win; written by reconciliation


class LedgerEntry(models.Model):
    """One change of one coin. Append-only: what an account holds is the sum of these."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="ledger")
    coin = models.CharField(max_length=40)
    amount = models.DecimalField(**MONEY)
    kind = models.CharField(max_length=10, choices=LedgerKind)
    fill = models.ForeignKey("trading.Fill", models.PROTECT, null=True, related_name="ledger")
    note = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} {self.coin}"


class Reconciliation(models.Model):
    """One comparison of our books with the venue's."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="reconciliations")
    at = models.DateTimeField(auto_now_add=True)
    equal = models.BooleanField()
    differences = models.JSONField(default=list)  # coin, ours, theirs, what was done

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.account} {'equal' if self.equal else 'different'}"
