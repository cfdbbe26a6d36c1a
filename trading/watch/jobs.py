"""Failed jobs as alerts: `agents` and `market` know nothing of alerts, so the rows of their jobs are read."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from agents.models import Backtest, CouncilReview, JobStatus, TrainingRun
from market.models import ImportReport, ImportStatus
from trading.alerts import close_alert, raise_alert
from trading.models import Alert, AlertKind


class Kind(NamedTuple):
    """A kind of job: where its rows are, when one has failed, and since when a failure is told."""

    name: str
    model: type[Any]
    path: str
    failed: Q
    at: str = "finished_at"
    recent: timedelta = timedelta(hours=24)


FINISHED = Q(status=JobStatus.FAILED)
JOBS = [
    Kind("training", TrainingRun, "/training/{}/", FINISHED),
    Kind("backtest", Backtest, "/backtests/{}/", FINISHED),
    Kind("review", CouncilReview, "/councils/reviews/{}/", FINISHED),
    # Who imports by a command reads the answer there. A report fails once and says only when it was made; it
    # may have waited for a worker meanwhile.
    Kind(
        "import", ImportReport, "/imports/{}/",
        Q(status=ImportStatus.FAILED, owner__isnull=False, options__has_key="upload"),
        at="created_at", recent=timedelta(days=7),
    ),
]  # fmt: skip
KINDS = {kind.name: kind for kind in JOBS}


def tell_failed_jobs() -> int:
    """Raise an alert for every job that has failed since it was last told, once; return how many.

    A job that is resumed and no longer failed takes its alert back.
    """
    told = 0
    for kind, job in _failed():
        key = f"job:{kind.name}:{job.pk}"
        last = Alert.objects.filter(owner=job.owner_id, key=key).aggregate(at=Max("first_at"))["at"]
        if last is not None and last >= getattr(job, kind.at):
            continue
        why = job.error.strip().partition("\n")[0][:300] or "it says no reason"
        text = f"The {kind.name} {_name(job)} failed: {why}"
        level, url = AlertKind.JOB_FAILED.level, kind.path.format(job.pk)
        raise_alert(job.owner, level, key, text, kind=AlertKind.JOB_FAILED, url=url)
        told += 1
    _take_back()
    return told


def _name(job: Any) -> Any:
    return getattr(job, "file_name", "") or getattr(job, "name", job)


def _failed() -> Iterator[tuple[Kind, Any]]:
    for kind in JOBS:
        since = timezone.now() - kind.recent
        rows: QuerySet = kind.model.objects.filter(kind.failed, **{f"{kind.at}__gte": since})
        yield from ((kind, job) for job in rows.select_related("owner"))


def _take_back() -> None:
    for alert in Alert.objects.filter(kind=AlertKind.JOB_FAILED, closed_at=None, key__startswith="job:"):
        _, name, pk = alert.key.split(":")
        if not KINDS[name].model.objects.filter(KINDS[name].failed, pk=pk).exists():
            close_alert(alert.owner, alert.key)
