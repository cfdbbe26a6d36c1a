"""What nobody asks for and somebody must do: the supervisor calls `tidy` about once a minute."""

import logging
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from market import leases, tick_archive
from market.models import IdempotencyKey, ImportReport, ImportStatus, Lease

logger = logging.getLogger(__name__)

JUST_BEGUN = timedelta(minutes=1)
GIVEN_UP = timedelta(hours=6)  # the queue has delivered an upload for the last time long before
OLD_LEASE_MS = 86_400_000
LOST = "the process that imported this ended without a report: import it again; known bars are only counted"


def tidy() -> None:
    """Close what dead processes left open and drop what is too old to be asked for."""
    close_abandoned()
    purge_idempotency_keys()
    archive_old_ticks()
    old = Lease.objects.filter(name__startswith="import:", until_ms__lt=leases.now_ms() - OLD_LEASE_MS)
    old.filter(until_ms__gt=0).delete()
    done = ImportReport.objects.exclude(status__in=[ImportStatus.QUEUED, ImportStatus.RUNNING])
    names = [f"import:{pk}" for pk in done.order_by("-pk").values_list("pk", flat=True)[:500]]
    Lease.objects.filter(name__in=names, until_ms=0).delete()


def archive_old_ticks() -> None:
    """Move recorded quotes of long ago into files; a full disk must not stop the rest."""
    try:
        tick_archive.roll_up(leases.now_ms())
    except OSError as error:
        logger.warning("old ticks stay in the database: %s", error)


def purge_idempotency_keys() -> int:
    """Forget answers older than IDEMPOTENCY_HOURS; a key may be used for something else then."""
    eldest = timezone.now() - timedelta(hours=settings.IDEMPOTENCY_HOURS)
    return IdempotencyKey.objects.filter(created_at__lt=eldest).delete()[0]


def close_abandoned() -> int:
    """Fail running reports whose process is gone: nobody holds their lease. Return how many.

    An upload that is still there is left to the queue, which delivers it to another worker.
    """
    running = ImportReport.objects.filter(
        status=ImportStatus.RUNNING, created_at__lt=timezone.now() - JUST_BEGUN
    )
    closed = 0
    for report in running:
        if leases.is_held(f"import:{report.pk}"):
            continue
        waiting = report.options.get("upload")
        upload = Path(settings.VAR_DIR) / "uploads" / str(waiting)
        if waiting and upload.is_file():
            if report.created_at > timezone.now() - GIVEN_UP:
                continue
            upload.unlink()
        mine = ImportReport.objects.filter(pk=report.pk, status=ImportStatus.RUNNING)
        closed += mine.update(status=ImportStatus.FAILED, error=LOST)
    return closed
