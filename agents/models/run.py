"""Training runs: what was asked for, how far it is, how it ended."""

from typing import Any

from django.conf import settings
from django.db import models

from agents.models.experiment import Experiment, candles_named
from market.models import OwnedQuerySet, Series

VALID = "valid_"  # begins the names of a checkpoint's figures among what a run reports


class JobStatus(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Desired(models.TextChoices):
    RUN = "run"
    CANCEL = "cancel"


class JobQuerySet(OwnedQuerySet):
    def unfinished(self) -> "JobQuerySet":
        return self.filter(status__in=[JobStatus.QUEUED, JobStatus.RUNNING])


class TrainingRun(models.Model):
    """One training job. The lease `training:<id>` says who works on it; this row says how far it is."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="training_runs")
    name = models.CharField(max_length=120)
    spec = models.JSONField()  # agents.spec.TrainingSpec, complete: every default written out
    series = models.ForeignKey(Series, models.PROTECT, related_name="training_runs")
    status = models.CharField(max_length=10, choices=JobStatus, default=JobStatus.QUEUED)
    desired = models.CharField(max_length=6, choices=Desired, default=Desired.RUN)
    attempts = models.PositiveSmallIntegerField(
        default=0
    )  # starts; a job that kills its process thrice is given up
    steps_total = models.PositiveBigIntegerField()
    steps_done = models.PositiveBigIntegerField(default=0)
    fps = models.FloatField(null=True)  # environment steps per second of wall time, learning included
    eta_s = models.FloatField(null=True)
    latest = models.JSONField(default=dict)  # last reward, losses, KL, entropy, validation score
    error = models.TextField(default="")  # one clear sentence first, then the traceback
    data_fingerprint = models.CharField(max_length=64, default="")
    code_version = models.CharField(max_length=64, default="")
    versions = models.JSONField(default=dict)  # library -> version
    notes = models.JSONField(default=list)  # sentences: ended early, tracking failed …
    weights_hash = models.CharField(max_length=64, default="")  # of what it ended with
    expected_hash = models.CharField(max_length=64, default="")  # of the weights it is to reproduce, if any
    reproduces = models.ForeignKey(
        "agents.TrainedModel", models.SET_NULL, null=True, related_name="reproductions"
    )
    experiment = models.ForeignKey(Experiment, models.CASCADE, null=True, related_name="runs")
    cell = models.JSONField(default=dict)  # of an experiment: seed, window, and the settings that vary
    resources = models.JSONField(default=dict)  # newest sample: see agents.resources.Sampler.due
    # What it learns on, CPU or a GPU's name; "" before, in a reproduction what the card's run learned on.
    device = models.CharField(max_length=120, default="")
    pid = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.status})"

    @property
    def candles(self) -> str:
        """Return what it learns from, for people."""
        return candles_named(self.spec, self.series)

    @property
    def judged(self) -> dict[str, Any]:
        """Return the validation figures of the weights that became the model.

        Of a run that has no model, or none yet, they are the newest checkpoint's; empty before the first.
        """
        model = getattr(self, "model", None)
        if model is not None:
            return model.metrics
        return {key.removeprefix(VALID): value for key, value in self.latest.items() if key.startswith(VALID)}

    @property
    def lease_name(self) -> str:
        return f"training:{self.pk}"

    @property
    def share_done(self) -> float:
        return min(1.0, self.steps_done / self.steps_total) if self.steps_total else 0.0

    @property
    def is_reproduced(self) -> bool | None:
        """Say whether it ended with the weights it was to reproduce; None while nobody knows."""
        return self.weights_hash == self.expected_hash if self.expected_hash and self.weights_hash else None


class TrainingValidation(models.Model):
    """What one checkpoint did on the judging part, and thought in a few fixed states."""

    run = models.ForeignKey(TrainingRun, models.CASCADE, related_name="validations")
    step = models.PositiveBigIntegerField()
    curve = models.JSONField()  # t_ms, equity, benchmark; both 1 at first
    actions = models.JSONField()  # action -> share of the decisions
    probes = models.JSONField()  # see agents.evaluation.insight.probes

    class Meta:
        ordering = ["step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="training_validation_once")]

    def __str__(self) -> str:
        return f"run {self.run_id} step {self.step}"


class ResourceSample(models.Model):
    """What a run used at one moment."""

    run = models.ForeignKey(TrainingRun, models.CASCADE, related_name="samples")
    at = models.DateTimeField()
    values = models.JSONField()  # see agents.resources.Sampler.due

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"run {self.run_id} at {self.at}"


class TrainingMetric(models.Model):
    """What a run reported at one step; the live curves are drawn from these rows."""

    run = models.ForeignKey(TrainingRun, models.CASCADE, related_name="metrics")
    step = models.PositiveBigIntegerField()
    values = models.JSONField()  # name -> float
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="training_metric_once")]

    def __str__(self) -> str:
        return f"run {self.run_id} step {self.step}"
