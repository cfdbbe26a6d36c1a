"""A job's row while the job runs: every write is void once the lease has passed to somebody else."""

from typing import Any

from django.db import transaction
from django.db.models import Exists
from django.utils import timezone

from agents.models import ResourceSample, TrainingMetric, TrainingRun, TrainingValidation
from market.models import Lease

MOST_SAMPLES = 600  # of a run's resources; then every second one goes


class Superseded(Exception):
    """Another process drives this job now; nothing more may be written."""


class RunRow:
    """The row of one training run, written under one lease with its fence."""

    def __init__(self, run: TrainingRun, fence: int) -> None:
        self.pk, self.lease_name, self.fence = run.pk, run.lease_name, fence

    def update(self, **values: Any) -> None:
        """Write columns. :raises Superseded: when the fence is stale; nothing is written then"""
        lease = Lease.objects.filter(name=self.lease_name, fence=self.fence)
        if not TrainingRun.objects.filter(Exists(lease), pk=self.pk).update(**values):
            raise Superseded(f"{self.lease_name} fence {self.fence}")

    def beat(self, **values: Any) -> None:
        """Write columns and the heartbeat. :raises Superseded: as `update`"""
        self.update(heartbeat_at=timezone.now(), **values)

    @transaction.atomic
    def validation(self, step: int, view: dict[str, Any]) -> None:
        """Store what a checkpoint did and thought; after a resume the same step says the same again."""
        self.update(heartbeat_at=timezone.now())
        TrainingValidation.objects.update_or_create(run_id=self.pk, step=step, defaults=view)

    @transaction.atomic
    def sample(self, values: dict[str, float]) -> None:
        """Store what the run uses now; when there are many rows every second one goes."""
        now = timezone.now()
        self.update(heartbeat_at=now, resources=values)
        ResourceSample.objects.create(run_id=self.pk, at=now, values=values)
        rows = ResourceSample.objects.filter(run_id=self.pk)
        if rows.count() > MOST_SAMPLES:
            rows.filter(pk__in=list(rows.values_list("pk", flat=True))[1::2]).delete()

    def note(self, sentence: str) -> None:
        """Add a sentence to the row's notes, once."""
        notes = TrainingRun.objects.values_list("notes", flat=True).get(pk=self.pk)
        if sentence not in notes:
            self.update(notes=[*notes, sentence])

    @transaction.atomic
    def metric(self, step: int, values: dict[str, float]) -> None:
        """Store what was reported at a step; after a resume the same step says the same again."""
        self.update(heartbeat_at=timezone.now())
        TrainingMetric.objects.update_or_create(run_id=self.pk, step=step, defaults={"values": values})
