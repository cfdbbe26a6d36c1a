"""Order intents and their fills. An intent is committed before it is sent (design P4)."""

from decimal import Decimal

from django.db import models
from django.db.models import Q

from trading.models.account import MONEY, Account
from trading.models.session import Decision, LiveSession


class Side(models.TextChoices):
    BUY = "BUY"
    SELL = "SELL"
    SHORT_OPEN = "SHORT_OPEN"  # opens or enlarges the one short of its pair
    SHORT_CLOSE = "SHORT_CLOSE"

    @property
    def sign(self) -> int:
        """1 where the position grows, -1 where it falls."""
        return 1 if self in (Side.BUY, Side.SHORT_CLOSE) else -1

    @property
    def is_short(self) -> bool:
        return self in SHORTS


SHORTS = (Side.SHORT_OPEN, Side.SHORT_CLOSE)


class OrderType(models.TextChoices):
    MARKET = "MARKET"
    LIMIT = "LIMIT"


class OrderStatus(models.TextChoices):
    WAITING = "waiting"  # for a person's approval; never sent without
    APPROVED = "approved"  # by a person; the runner checks the price again, then sends
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
HELD_BACK = [OrderStatus.WAITING, OrderStatus.APPROVED]  # surely not sent, and nothing to settle


RESTING = Q(status=OrderStatus.OPEN, type=OrderType.LIMIT)  # known to wait on the venue: nothing is unknown


class OrderQuerySet(models.QuerySet):
    def unsettled(self) -> "OrderQuerySet":
        return self.filter(status__in=UNSETTLED)

    def resting(self) -> "OrderQuerySet":
        return self.filter(RESTING)


class ParentStatus(models.TextChoices):
    WORKING = "working"
    DONE = "done"  # nothing is left that the venue would take an order for
    ENDED = "ended"  # given up before that; `note` says why


class ParentOrder(models.Model):
    """A wish that takes several orders, one after the other; every next step follows from rows."""

    session = models.ForeignKey(LiveSession, models.CASCADE, related_name="parents")
    decision = models.ForeignKey(Decision, models.SET_NULL, null=True, related_name="parents")
    style = models.CharField(max_length=6)  # limit or split
    side = models.CharField(max_length=11, choices=Side)
    quantity = models.DecimalField(**MONEY)
    slices = models.JSONField(default=list)  # of a split: decimal texts that sum to the quantity
    target = models.FloatField()  # exposure asked for
    reason = models.CharField(max_length=200)
    status = models.CharField(max_length=8, choices=ParentStatus, default=ParentStatus.WORKING)
    note = models.CharField(max_length=200, blank=True)
    planned_ms = models.BigIntegerField()  # venue clock
    until_ms = models.BigIntegerField()  # limit: the rest goes to market; split: all children are due before
    looked_ms = models.BigIntegerField(default=0)  # last look at the resting child

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="parent_quantity_positive"),
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(status=ParentStatus.WORKING),
                name="one_working_parent_per_session",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} by {self.style} ({self.status})"

    @property
    def left(self) -> Decimal:
        """What has not traded yet, base units.

        A child that has filled has traded all of itself, also where a venue took its fee out of the coins.
        """
        rows = self.children.values_list("pk", "status", "quantity", "fills__quantity")
        whole = {pk: quantity for pk, status, quantity, _ in rows if status == OrderStatus.FILLED}
        parts = [abs(part) for pk, _, _, part in rows if pk not in whole and part is not None]
        return self.quantity - sum([*whole.values(), *parts], Decimal(0))


class Order(models.Model):
    """One intent to trade. `quantity` is unsigned; its low digits vary so that intents can be told apart."""

    client_ref = models.CharField(max_length=80, unique=True)  # session:decision time:pair:n
    session = models.ForeignKey(LiveSession, models.CASCADE, related_name="orders")
    account = models.ForeignKey(Account, models.PROTECT, related_name="orders")
    decision = models.ForeignKey(Decision, models.SET_NULL, null=True, related_name="orders")
    parent = models.ForeignKey(ParentOrder, models.SET_NULL, null=True, related_name="children")
    pair = models.CharField(max_length=30)
    side = models.CharField(max_length=11, choices=Side)
    type = models.CharField(max_length=6, choices=OrderType, default=OrderType.MARKET)
    quantity = models.DecimalField(**MONEY)  # of SHORT_OPEN: expected; the fill says what it became
    collateral = models.DecimalField(**MONEY, null=True)  # of SHORT_OPEN: what is sent, quote currency
    step = models.DecimalField(**MONEY, null=True)  # of SHORT_OPEN: to which the venue floors its quantity
    price = models.DecimalField(**MONEY, null=True)  # limit price; null for market
    expected_price = models.DecimalField(**MONEY)  # touch when it was planned
    reason = models.CharField(max_length=200)  # signal, stop loss, take profit, flatten …
    status = models.CharField(max_length=10, choices=OrderStatus, default=OrderStatus.PLANNED)
    venue_order_id = models.CharField(max_length=40, blank=True)
    answer = models.CharField(max_length=300, blank=True)  # the venue's words
    fence = models.PositiveBigIntegerField()  # of the lease under which it was planned
    planned_ms = models.BigIntegerField()  # venue clock
    sent_ms = models.BigIntegerField(default=0)  # venue clock just before the send
    expires_at = models.DateTimeField(null=True)  # real time until which a person may approve it
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
                condition=Q(status__in=[*UNSETTLED, *HELD_BACK]),
                name="one_unsettled_order_per_pair",
            ),
            models.UniqueConstraint(
                fields=["account", "venue_order_id"], condition=~Q(venue_order_id=""), name="venue_order_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.pair} ({self.status})"

    @property
    def is_resting(self) -> bool:
        """Say in Python what `RESTING` asks the database."""
        return self.status == OrderStatus.OPEN and self.type == OrderType.LIMIT


class Fill(models.Model):
    """Money that moved because of an order."""

    order = models.ForeignKey(Order, models.PROTECT, related_name="fills")
    session = models.ForeignKey(LiveSession, models.CASCADE, related_name="fills")
    quantity = models.DecimalField(**MONEY)  # signed: positive bought
    price = models.DecimalField(**MONEY)
    fee = models.DecimalField(**MONEY)  # quote currency
    role = models.CharField(max_length=5)  # TAKER or MAKER
    realised = models.DecimalField(**MONEY, default=0)  # profit of the closed part before fees
    relief = models.DecimalField(**MONEY, default=0)  # loss beyond a short's collateral, which nobody pays
    filled_ms = models.BigIntegerField()  # venue clock

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.quantity} at {self.price}"
