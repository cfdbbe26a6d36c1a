"""Councils: models and fixed rules that vote, and what each of them is worth to the others."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from agents.models.model import TrainedModel
from agents.models.run import JobQuerySet, JobStatus
from agents.policies.council.combine import COMBINES, METHODS
from market.models import OwnedQuerySet, Series


def one_policy() -> Q:
    """Return the condition of a row that names exactly one of model, council and baseline."""
    model, council, baseline = Q(model__isnull=False), Q(council__isnull=False), ~Q(baseline="")
    alone = [(model, council, baseline), (council, model, baseline), (baseline, model, council)]
    first, second, third = (one & ~other & ~another for one, other, another in alone)
    return first | second | third


class Council(models.Model):
    """Who votes and how. Never changed once made: another composition is another council and hash."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="councils")
    name = models.CharField(max_length=100)
    method = models.CharField(max_length=12, choices=[(name, name) for name in METHODS])
    combine = models.CharField(max_length=14, choices=[(name, name) for name in COMBINES])
    quorum = models.PositiveSmallIntegerField(default=1)
    interval_ms = models.PositiveBigIntegerField(null=True)  # bars its models learned on; null: rules only
    hash = models.CharField(max_length=64)  # SHA-256 of members, weights and rules of voting
    is_archived = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="council_name_once_per_owner"),
            models.CheckConstraint(condition=Q(quorum__gte=1), name="council_quorum_at_least_one"),
        ]

    def __str__(self) -> str:
        return f"council:{self.name}"


class CouncilMember(models.Model):
    """One voice: a trained model, or a fixed rule with parameters, as it was when the council was made."""

    council = models.ForeignKey(Council, models.CASCADE, related_name="members")
    name = models.CharField(max_length=120)
    model = models.ForeignKey(TrainedModel, models.PROTECT, null=True, blank=True, related_name="seats")
    baseline = models.CharField(max_length=40, blank=True, default="")
    params = models.JSONField(default=dict)  # of a fixed rule, every default written out
    weight = models.FloatField()
    policy_hash = models.CharField(max_length=64)  # another policy under the same name has no voice

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["council", "name"], name="council_member_once"),
            models.CheckConstraint(
                condition=Q(model__isnull=False) ^ ~Q(baseline=""), name="council_member_is_one_policy"
            ),
            models.CheckConstraint(condition=Q(weight__gte=0), name="council_weight_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name


class CouncilReview(models.Model):
    """What each member adds to a council, and how far they disagree, over one stretch of one series."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="council_reviews")
    council = models.ForeignKey(Council, models.CASCADE, related_name="reviews")
    series = models.ForeignKey(Series, models.PROTECT, related_name="council_reviews")
    from_ms = models.BigIntegerField()
    to_ms = models.BigIntegerField()
    settings = models.JSONField(default=dict)  # as of a backtest
    status = models.CharField(max_length=10, choices=JobStatus, default=JobStatus.QUEUED)
    share_done = models.FloatField(default=0.0)
    eta_s = models.FloatField(null=True)
    result = models.JSONField(default=dict)  # whole, members, disagreement; see agents.evaluation.council
    curve = models.JSONField(default=dict)  # t_ms, equity of the whole and without each member, entropy
    assumptions = models.JSONField(default=list)
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

    def __str__(self) -> str:
        return f"{self.council} on {self.series}"

    @property
    def lease_name(self) -> str:
        return f"council-review:{self.pk}"
