"""Trained models: files on disk that a row can prove unchanged."""

from django.conf import settings
from django.db import models

from agents.models.experiment import candles_named
from agents.models.run import TrainingRun
from market.models import OwnedQuerySet, Series


class ModelStatus(models.TextChoices):
    CANDIDATE = "candidate"
    PROMOTED = "promoted"  # a person chose it for live trading
    ARCHIVED = "archived"


class TrainedModel(models.Model):
    """Everything needed to ask an agent for its opinion, and to know where it came from."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="models")
    name = models.CharField(max_length=120)
    run = models.OneToOneField(TrainingRun, models.SET_NULL, null=True, related_name="model")
    algorithm = models.CharField(max_length=40)
    spec = models.JSONField()  # agents.spec.TrainingSpec
    feature_set = models.JSONField()
    feature_set_hash = models.CharField(max_length=64)
    scaler = models.JSONField()
    series = models.ForeignKey(Series, models.PROTECT, related_name="models")
    train_from_ms = models.BigIntegerField()
    train_to_ms = models.BigIntegerField()  # end of the data the weights have seen
    valid_to_ms = models.BigIntegerField()  # end of the data the choice of checkpoint has seen
    test_from_ms = models.BigIntegerField(null=True)  # the sealed test part; null: trained without one
    test_to_ms = models.BigIntegerField(null=True)
    data_fingerprint = models.CharField(max_length=64)
    judged_fingerprint = models.CharField(max_length=64, default="")  # of the validation part; "": not known
    code_version = models.CharField(max_length=64)
    versions = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)  # validation backtest of the kept checkpoint
    path = models.CharField(
        max_length=300
    )  # directory, relative to VAR_DIR: policy.zip, weights.npz, card.json
    file_hash = models.CharField(max_length=64)  # SHA-256 over the files; loading refuses any other
    status = models.CharField(max_length=10, choices=ModelStatus, default=ModelStatus.CANDIDATE)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="model_name_once_per_owner")]

    def __str__(self) -> str:
        return self.name

    @property
    def pairs(self) -> tuple[str, ...]:
        """Return the pairs that it shares one account out between; empty of a model of one pair."""
        return tuple(self.spec.get("pairs", ()))

    @property
    def candles(self) -> str:
        """Return what it learned from, for people."""
        return candles_named(self.spec, self.series)

    @property
    def is_portfolio(self) -> bool:
        return bool(self.pairs)

    @property
    def market(self) -> str:
        """Return the kind of market whose rules it learned under: spot or futures."""
        return self.spec.get("trading", {}).get("market", "spot")
