"""A portfolio kept at target weights: one session per pair, money levelled between them."""

from django.conf import settings
from django.db import models

from agents.models import TrainedModel
from market.models import OwnedQuerySet
from trading.models.account import MONEY, Account
from trading.models.risk import RiskProfile


class PortfolioPlan(models.Model):
    """Target weights of one account's pairs. Its sessions trade; what is in no weight stays in cash.

    The weights are a person's and stay, or a model's that gives new ones at the close of its bars. Then the
    limits of the risk profile act on the equity of all sessions together, and the marks for that are here.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="plans")
    name = models.CharField(max_length=80)
    account = models.ForeignKey(Account, models.PROTECT, related_name="plans")
    risk = models.ForeignKey(RiskProfile, models.PROTECT, related_name="plans")
    model = models.ForeignKey(TrainedModel, models.PROTECT, null=True, blank=True, related_name="plans")
    weights = models.JSONField()  # {pair: share of the plan's equity, 0..1}; a model's newest
    band = models.FloatField(default=0.05)  # how far a pair's share may stray before it is traded back
    interval_ms = models.PositiveBigIntegerField()
    every = models.PositiveIntegerField(default=1)  # bars between two looks
    capital = models.DecimalField(**MONEY)  # quote currency, all sessions together
    created_at = models.DateTimeField(auto_now_add=True)

    peak_equity = models.DecimalField(**MONEY, default=0)  # highest at a bar's close: what a model sees

    # Marks of a model's plan, quote currency; 0 until all its sessions have begun.
    day_equity = models.DecimalField(**MONEY, default=0)  # at the start of the UTC day of `day`
    week_equity = models.DecimalField(**MONEY, default=0)  # at the start of its UTC week
    caution_peak = models.DecimalField(**MONEY, default=0)  # highest equity since safe mode was entered
    day = models.DateField(null=True, blank=True)
    last_bar_ms = models.BigIntegerField(default=0)  # start of the last closed bar that all pairs had
    health = models.JSONField(default=dict)  # of the model, as last measured; see trading.weighing.health

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="plan_name_once_per_owner")]

    def __str__(self) -> str:
        return self.name


class PlanDecision(models.Model):
    """The weights that a plan's model wants at the close of one bar, and on what grounds. Lists are by pair.

    One that is not made holds: `reason` says what was missing.
    """

    plan = models.ForeignKey(PortfolioPlan, models.CASCADE, related_name="decisions")
    bar_ms = models.BigIntegerField()  # start of the closed bar it is based on
    decided_ms = models.BigIntegerField()  # venue clock
    is_made = models.BooleanField(default=False)
    reason = models.CharField(max_length=300, blank=True)
    pairs = models.JSONField(default=list)
    weights = models.JSONField(default=list)  # wanted, shares of the plan's equity
    held = models.JSONField(default=list)  # shares held at the close
    sides = models.JSONField(default=list)  # 1 to be bought, -1 to be sold, 0 left alone
    wishes = models.JSONField(default=list)  # the raw action, -1..1
    top = models.FloatField(default=1.0)  # most that the weights could add up to
    value = models.FloatField(null=True)  # the critic's estimate, in units of the training reward
    equity = models.DecimalField(**MONEY, default=0)  # at the closes
    closes = models.JSONField(default=list)
    features = models.JSONField(default=list)  # raw feature row of the bar, all pairs side by side
    account = models.JSONField(default=list)  # the account's part of the observation
    warm_from_ms = models.JSONField(default=list)  # first bar that each pair's feature stream was fed
    observation_hash = models.CharField(max_length=64, blank=True)
    model_hash = models.CharField(max_length=64, blank=True)
    latency_us = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-bar_ms"]
        constraints = [models.UniqueConstraint(fields=["plan", "bar_ms"], name="plan_decision_once_per_bar")]

    def __str__(self) -> str:
        return f"{self.plan} {self.bar_ms}"


class PlanPoint(models.Model):
    """Marked equity of a plan at the close of a bar that all pairs had."""

    plan = models.ForeignKey(PortfolioPlan, models.CASCADE, related_name="points")
    at_ms = models.BigIntegerField()
    equity = models.DecimalField(**MONEY)
    cash = models.DecimalField(**MONEY)
    drawdown = models.FloatField()  # 0..1 below the peak

    class Meta:
        ordering = ["at_ms"]
        constraints = [models.UniqueConstraint(fields=["plan", "at_ms"], name="plan_point_once")]

    def __str__(self) -> str:
        return f"{self.plan} {self.at_ms} {self.equity}"
