"""Live sessions and what they did: decisions, equity, days."""

from typing import Any

from django.conf import settings
from django.db import models

from agents.models import Council, TrainedModel
from agents.models.council import one_policy
from market.kernel.instrument import is_tradable
from market.models import OwnedQuerySet
from trading.models.account import MONEY, Account
from trading.models.plan import PortfolioPlan
from trading.models.risk import RiskProfile


class SessionStatus(models.TextChoices):
    """What a person wants and what has come of it. A runner drives PENDING, RUNNING, PAUSED and STOPPING."""

    PENDING = "pending"  # asked for; no runner has taken it yet
    RUNNING = "running"
    PAUSED = "paused"  # watches and guards its stops, decides nothing
    STOPPING = "stopping"  # settle what is open, flatten if asked, then stop
    STOPPED = "stopped"
    FAILED = "failed"  # cannot go on without a person; `note` says why


DRIVEN = [SessionStatus.PENDING, SessionStatus.RUNNING, SessionStatus.PAUSED, SessionStatus.STOPPING]


class RiskState(models.TextChoices):
    ACTIVE = "active"
    SAFE = "safe"  # exits and tiny trades only, until the cool-down is over
    REDUCING = "reducing"  # exits only
    HALTED = "halted"  # nothing until a person resumes


class LiveSessionQuerySet(OwnedQuerySet):
    def driven(self) -> "LiveSessionQuerySet":
        """Return the sessions some runner must be driving."""
        return self.filter(status__in=DRIVEN)


class LiveSession(models.Model):
    """One policy trading one pair on one account with stated capital. Times are the venue's clock."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sessions")
    name = models.CharField(max_length=120)
    model = models.ForeignKey(TrainedModel, models.PROTECT, null=True, blank=True, related_name="sessions")
    baseline = models.CharField(max_length=40, blank=True, default="")
    council = models.ForeignKey(Council, models.PROTECT, null=True, blank=True, related_name="sessions")
    account = models.ForeignKey(Account, models.PROTECT, related_name="sessions")
    pair = models.CharField(max_length=30)
    interval_ms = models.PositiveBigIntegerField()
    risk = models.ForeignKey(RiskProfile, models.PROTECT, related_name="sessions")
    plan = models.ForeignKey(PortfolioPlan, models.PROTECT, null=True, blank=True, related_name="sessions")
    settings = models.JSONField(default=dict)  # seed and other policy settings
    duration_s = models.PositiveIntegerField(null=True, blank=True)  # venue clock; null = open-ended
    status = models.CharField(max_length=10, choices=SessionStatus, default=SessionStatus.PENDING)
    flatten_wanted = models.BooleanField(default=False)
    risk_state = models.CharField(max_length=10, choices=RiskState, default=RiskState.ACTIVE)
    note = models.TextField(default="", blank=True)  # why it is in this state, for people

    # Books of the session: capital put in, then the sum of its fills. Written only with the fill.
    capital = models.DecimalField(
        **MONEY, null=True
    )  # quote currency; null until the first turn reads the account
    cash = models.DecimalField(**MONEY, default=0)
    held = models.DecimalField(**MONEY, default=0)  # base coin, negative when short
    shorted = models.DecimalField(**MONEY, default=0)  # its part of the venue's short, base coin, 0 or more
    entry_price = models.DecimalField(**MONEY, default=0)  # average; 0 when flat
    fees = models.DecimalField(**MONEY, default=0)
    realised = models.DecimalField(**MONEY, default=0)  # profit of closed quantity before fees

    # Marks and guards, so that a restart continues with the same stops.
    price = models.DecimalField(**MONEY, default=0)  # last good price
    bid = models.DecimalField(**MONEY, default=0)
    ask = models.DecimalField(**MONEY, default=0)
    price_ms = models.BigIntegerField(default=0)
    least_order = models.DecimalField(**MONEY, default=0)  # what the venue takes no order up to; 0: unknown
    start_price = models.DecimalField(**MONEY, default=0)  # for the buy-and-hold comparison
    peak_equity = models.DecimalField(**MONEY, default=0)
    day_equity = models.DecimalField(**MONEY, default=0)  # at the start of the UTC day of `day`
    day = models.DateField(null=True)
    # What limits no longer count since a person resumed it, and people are shown all the same.
    top_equity = models.DecimalField(**MONEY, default=0)  # highest before; 0: it was never resumed
    forgiven = models.DecimalField(**MONEY, default=0)  # profit of the UTC day `forgiven_on` before
    forgiven_on = models.DateField(null=True)
    stop_price = models.DecimalField(**MONEY, default=0)  # 0 = none
    take_price = models.DecimalField(**MONEY, default=0)
    high_water = models.DecimalField(**MONEY, default=0)  # for the trailing stop
    # Memory of the rules on sizing and exits: market.kernel.plan.Track. Written with the fill.
    stop_kind = models.PositiveSmallIntegerField(default=0)  # market.kernel.triggers.EXIT_REASONS
    take_kind = models.PositiveSmallIntegerField(default=0)
    levels = models.JSONField(default=dict)  # rule -> price of every exit in force, for people
    atr = models.DecimalField(**MONEY, default=0)  # average true range of closed bars, quote currency
    bracket_price = models.DecimalField(**MONEY, default=0)
    open_equity = models.DecimalField(**MONEY, default=0)  # before the position was opened; 0 when flat
    lots = models.PositiveIntegerField(default=0)  # fills that opened or enlarged the position
    lot_price = models.DecimalField(**MONEY, default=0)  # of the newest of them
    trades_closed = models.PositiveIntegerField(default=0)
    win_share = models.DecimalField(**MONEY, default=0)  # rolling, 0..1
    mean_gain = models.DecimalField(**MONEY, default=0)  # rolling, share of equity
    mean_loss = models.DecimalField(**MONEY, default=0)
    losses_open = models.PositiveIntegerField(default=0)  # not yet recovered
    week_equity = models.DecimalField(**MONEY, default=0)  # at the start of the UTC week of `day`
    caution_peak = models.DecimalField(**MONEY, default=0)  # highest equity since safe mode was entered
    safe_until_ms = models.BigIntegerField(default=0)  # venue clock; end of safe mode's cool-down
    loss_streak = models.PositiveIntegerField(default=0)  # closing fills with a loss, one after the other
    last_exit_ms = models.BigIntegerField(default=0)  # venue clock of the last closing fill
    last_loss_ms = models.BigIntegerField(default=0)  # and of the last one with a loss
    health = models.JSONField(default=dict)  # of the model, as last measured; see trading.health
    bars_held = models.PositiveIntegerField(default=0)
    last_bar_ms = models.BigIntegerField(default=0)  # start of the last closed bar that was decided on

    created_at = models.DateTimeField(auto_now_add=True)
    started_ms = models.BigIntegerField(default=0)
    stopped_ms = models.BigIntegerField(default=0)
    turn_at = models.DateTimeField(null=True)  # wall clock of the last completed turn: the heartbeat

    stored_marks: dict[str, Any] | None = None  # as they are stored; None: unknown; see trading.states
    seen: tuple[Any, ...] | None = None  # the rest of its row when it was taken over; see runner.glance

    objects = LiveSessionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=one_policy(), name="session_of_one_policy")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_rest(self) -> bool:
        """Say whether what it holds is known to be too little for an order of its venue."""
        return self.price > 0 and not is_tradable(self.held, self.price, self.least_order)

    @property
    def policy_name(self) -> str:
        return str(self.model or self.council or self.baseline)

    @property
    def is_weighed(self) -> bool:
        """Say whether a plan's model decides for it: then it acts together with the plan's other sessions."""
        return self.plan_id is not None and self.model_id is not None

    @property
    def shown_health(self) -> dict[str, float | None]:
        """Return its model's health as last measured: of a plan's model on the decisions for all pairs."""
        return self.plan.health if self.is_weighed and self.plan is not None else self.health

    @property
    def is_driven(self) -> bool:
        """Say whether some runner must be driving it."""
        return self.status in DRIVEN

    @property
    def lease_name(self) -> str:
        return f"session:{self.pk}"


class Decision(models.Model):
    """What a session thought at the close of one bar, HOLD included, and what became of the thought."""

    session = models.ForeignKey(LiveSession, models.CASCADE, related_name="decisions")
    bar_ms = models.BigIntegerField()  # start of the closed bar it is based on
    decided_ms = models.BigIntegerField()  # venue clock
    price = models.DecimalField(**MONEY)
    action = models.CharField(max_length=20)  # HOLD, BUY, SELL or the exposure level's name
    target = models.FloatField(null=True)  # exposure wanted; null = keep what is held
    probabilities = models.JSONField(default=list)
    value = models.FloatField(null=True)
    confidence = models.FloatField(null=True)
    gate_reason = models.CharField(
        max_length=200, blank=True
    )  # why the wish was not followed; empty = followed
    risk_reason = models.CharField(max_length=200, blank=True)
    turns_to = models.FloatField(
        null=True
    )  # exposure still to be opened once its close is proven; null: none
    sized = models.FloatField(null=True)  # exposure the rules on size left of the wish; null = no order
    atr = models.FloatField(null=True)  # average true range it was sized with; null = no rule needs it
    atr_bars = models.PositiveIntegerField(default=0)
    features = models.JSONField(default=list)  # raw feature row of the bar, in the order of the model's set
    portfolio = models.JSONField(default=list)  # the portfolio part of the observation
    votes = models.JSONField(default=dict)  # of a council or team: every vote, and why it held; else empty
    warm_from_ms = models.BigIntegerField(default=0)  # first bar its feature stream was fed
    observation_hash = models.CharField(max_length=64)
    model_hash = models.CharField(max_length=64)
    latency_us = models.PositiveIntegerField(default=0)  # closed bar known -> decision made

    class Meta:
        ordering = ["-bar_ms"]
        constraints = [models.UniqueConstraint(fields=["session", "bar_ms"], name="decision_once_per_bar")]

    def __str__(self) -> str:
        return f"{self.session} {self.bar_ms} {self.action}"


class EquityPoint(models.Model):
    """Marked equity of a session at one instant of the venue's clock."""

    session = models.ForeignKey(LiveSession, models.CASCADE, related_name="equity_points")
    at_ms = models.BigIntegerField()
    equity = models.DecimalField(**MONEY)
    cash = models.DecimalField(**MONEY)
    held = models.DecimalField(**MONEY)
    price = models.DecimalField(**MONEY)
    capital = models.DecimalField(**MONEY, null=True)  # given by then; a plan moves it. None: not recorded
    drawdown = models.FloatField()  # 0..1 below the peak

    class Meta:
        ordering = ["at_ms"]
        constraints = [models.UniqueConstraint(fields=["session", "at_ms"], name="equity_point_once")]

    def __str__(self) -> str:
        return f"{self.session} {self.at_ms} {self.equity}"


class DailySummary(models.Model):
    """One finished stretch of 24 hours of a session."""

    session = models.ForeignKey(LiveSession, models.CASCADE, related_name="days")
    from_ms = models.BigIntegerField()
    to_ms = models.BigIntegerField()
    pnl = models.DecimalField(**MONEY)
    fees = models.DecimalField(**MONEY)
    trades = models.PositiveIntegerField()
    metrics = models.JSONField()  # return, Sharpe, drawdown, buy_and_hold_return …

    class Meta:
        ordering = ["-from_ms"]
        verbose_name_plural = "daily summaries"
        constraints = [models.UniqueConstraint(fields=["session", "from_ms"], name="day_once")]

    def __str__(self) -> str:
        return f"{self.session} {self.from_ms}"
