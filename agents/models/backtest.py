"""Backtests: what a policy would have done on past candles, with its costs and assumptions."""

from django.conf import settings
from django.db import models

from agents.models.council import Council, one_policy
from agents.models.experiment import candles_named
from agents.models.model import TrainedModel
from agents.models.run import JobQuerySet, JobStatus
from market.models import Series


class Backtest(models.Model):
    """One policy on one stretch of one series."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="backtests")
    model = models.ForeignKey(TrainedModel, models.CASCADE, null=True, blank=True, related_name="backtests")
    baseline = models.CharField(max_length=40, blank=True, default="")  # or a fixed-rule policy's name
    council = models.ForeignKey(Council, models.CASCADE, null=True, blank=True, related_name="backtests")
    series = models.ForeignKey(Series, models.PROTECT, related_name="backtests")
    from_ms = models.BigIntegerField()
    to_ms = models.BigIntegerField()
    settings = models.JSONField(default=dict)  # trading rules, gate, risk, seed
    status = models.CharField(max_length=10, choices=JobStatus, default=JobStatus.QUEUED)
    share_done = models.FloatField(default=0.0)
    eta_s = models.FloatField(null=True)
    metrics = models.JSONField(default=dict)
    assumptions = models.JSONField(default=list)  # sentences a reader must know: fill model, costs, seen data
    curve = models.JSONField(default=dict)  # down-sampled: t_ms, equity, benchmark, drawdown, exposure
    trades = models.JSONField(default=list)  # every fill: t_ms, side, quantity, price, fee, reason
    policy_hash = models.CharField(max_length=64, default="")
    data_fingerprint = models.CharField(max_length=64, default="")
    code_version = models.CharField(max_length=64, default="")
    error = models.TextField(default="")
    seconds = models.FloatField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=one_policy(),
                name="backtest_of_one_policy",
            )
        ]

    def __str__(self) -> str:
        return f"{self.policy_name} on {self.candles}"

    @property
    def candles(self) -> str:
        """Return what it is tested on, for people: of a portfolio's model all of its pairs."""
        return candles_named(self.model.spec if self.model else {}, self.series)

    @property
    def policy_name(self) -> str:
        return str(self.model or self.council or self.baseline)
