"""Work on the archive that a worker does."""

from market import leases, services
from market.errors import BadInput
from market.models import ImportReport, ImportStatus

LEASE_S = 600.0  # longer than the cluster lets a task live, shorter than it waits to deliver it again


def import_uploaded(report_id: int) -> None:
    """Import an uploaded file; delivered twice, or again after a crash, it is done once.

    A worker that died left the report running and its lease to run out: the next delivery starts over, which
    is safe because a merge that was cut short changed nothing, and one that was not finds duplicates.
    """
    lease = leases.acquire(f"import:{report_id}", ttl_s=LEASE_S)
    if lease is None:
        return  # another worker is at it
    try:
        report = _claimed(report_id)
        if report is not None:
            services.run_queued_import(report)
    except BadInput:
        pass  # the report says why
    finally:
        lease.release()


def _claimed(report_id: int) -> ImportReport | None:
    unfinished = [ImportStatus.QUEUED, ImportStatus.RUNNING]
    claimed = ImportReport.objects.filter(pk=report_id, status__in=unfinished).update(
        status=ImportStatus.RUNNING
    )
    return ImportReport.objects.get(pk=report_id) if claimed else None
