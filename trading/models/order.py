"""Order intents and their fills. An intent is committed before it is sent (design P4)."""

from django.db import models
from django.db.models import Q

from trading.models.account import MONEY, Account
from trading.models.session import Decision, LiveSession


class Side(models.TextChoices):
    BUY = "BUY"
    SELL = "SELL"


class OrderType(models.TextChoices):
    MARKET = "MARKET"
    LIMIT = "LIMIT"


class OrderStatus(models.TextChoices):
    PLANNED = "planned"  # committed, surely not sent
    SENDING = "sending"  # about to be sent, or sent: after a crash nobody knows
    UNCERTAIN = "uncertain"  # sent, unanswered: settled by asking the venue, never by sending again
    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"  # the venue said no
    REFUSED = "refused"  # our own rules said no, or it was never sent
    ABSENT = "absent"  # was uncertain; proven not to be on the venue


UNSETTLED = [OrderStatus.PLANNED, OrderStatus.SENDING, OrderStatus.UNCERTAIN, OrderStatus.OPEN]


class OrderQuerySet(models.QuerySet):
    def unsettled(self) -> "OrderQuerySet":
        return self.filter(status__in=UNSETTLED)


class Order(models.Model):
    """One intent to trade. `quantity` is unsigned; its low digits vary so that intents can be told apart."""

    client_ref = models.CharField(max_length=80, unique=True)  # session:decision time:pair:n
    session = models.ForeignKey(LiveSession, models.CASCADE, related_name="orders")
    account = models.ForeignKey(Account, models.PROTECT, related_name="orders")
    decision = models.ForeignKey(Decision, models.SET_NULL, null=True, related_name="orders")
    pair = models.CharField(max_length=30)
    side = models.CharField(max_length=4, choices=Side)
    type = models.CharField(max_length=6, choices=OrderType, default=OrderType.MARKET)
    quantity = models.DecimalField(**MONEY)
    price = models.DecimalField(**MONEY, null=True)  # limit price; null for market
    expected_price = models.DecimalField(**MONEY)  # touch when it was planned
    reason = models.CharField(max_length=200)  # signal, stop loss, take profit, flatten …
    status = models.CharField(max_length=10, choices=OrderStatus, default=OrderStatus.PLANNED)
    venue_order_id = models.CharField(max_length=40, blank=True)
    answer = models.CharField(max_length=300, blank=True)  # the venue's words
    fence = models.PositiveBigIntegerField()  # of the lease under which it was planned
    planned_ms = models.BigIntegerField()  # venue clock
    sent_ms = models.BigIntegerField(default=0)  # venue clock just before the send
    settled_ms = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_quantity_positive"),
            models.UniqueConstraint(
                fields=["account", "pair"],
                condition=Q(status__in=UNSETTLED),
                name="one_unsettled_order_per_pair",
            ),
            models.UniqueConstraint(
                fields=["account", "venue_order_id"], condition=~Q(venue_order_id=""), name="venue_order_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.pair} ({self.status})"


class Fill(models.Model):
    """Money that moved because of an order."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="fills")
    session = models.ForeignKey(LiveSession, models.CASCADE, related_name="fills")
    quantity = models.DecimalField(**MONEY)  # signed: positive bought
    price = models.DecimalField(**MONEY)
    fee = models.DecimalField(**MONEY)  # quote currency
    role = models.CharField(max_length=5)  # TAKER or MAKER
    realised = models.DecimalField(**MONEY, default=0)  # profit of the closed part before fees
    filled_ms = models.BigIntegerField()  # venue clock

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.quantity} at {self.price}"
