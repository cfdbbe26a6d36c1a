"""Failed jobs as alerts: `agents` knows nothing of alerts, so the rows of its jobs are read."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Max
from django.utils import timezone

from agents.models import Backtest, CouncilReview, JobStatus, TrainingRun
from trading.alerts import close_alert, raise_alert
from trading.models import Alert, AlertKind

RECENT = timedelta(hours=24)
JOBS: list[tuple[str, type[Any], str]] = [
    ("training", TrainingRun, "/training/{}/"),
    ("backtest", Backtest, "/backtests/{}/"),
    ("review", CouncilReview, "/councils/reviews/{}/"),
]


def tell_failed_jobs() -> int:
    """Raise an alert for every job that has failed since it was last told, once; return how many.

    A job that is resumed and no longer failed takes its alert back.
    """
    told = 0
    for name, job in _failed():
        key = f"job:{name}:{job.pk}"
        last = Alert.objects.filter(owner=job.owner_id, key=key).aggregate(at=Max("first_at"))["at"]
        if last is not None and last >= job.finished_at:
            continue
        why = job.error.strip().partition("\n")[0][:300] or "it says no reason"
        kind, url = AlertKind.JOB_FAILED, next(path for n, _, path in JOBS if n == name)
        text = f"The {name} {getattr(job, 'name', job)} failed: {why}"
        raise_alert(job.owner, kind.level, key, text, kind=kind, url=url.format(job.pk))
        told += 1
    _take_back()
    return told


def _failed() -> Iterator[tuple[str, Any]]:
    since = timezone.now() - RECENT
    for name, model, _ in JOBS:
        rows = model.objects.filter(status=JobStatus.FAILED, finished_at__gte=since)
        yield from ((name, job) for job in rows.select_related("owner"))


def _take_back() -> None:
    for alert in Alert.objects.filter(kind=AlertKind.JOB_FAILED, closed_at=None, key__startswith="job:"):
        _, name, pk = alert.key.split(":")
        model = next(model for n, model, _ in JOBS if n == name)
        if not model.objects.filter(pk=pk, status=JobStatus.FAILED).exists():
            close_alert(alert.owner, alert.key)
