"""What workers do for this app. Deliveries may be lost, late or doubled: leases and rows decide."""

import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.utils import timezone

from agents import resources, services, tracking
from agents.models import Backtest, CouncilReview, JobStatus, TrainingRun
from agents.models.run import Desired
from agents.parallel import TYPICAL_MB
from agents.process import Child, training_command
from agents.progress import RunRow, Superseded
from agents.services.lineage import id_file
from agents.spec import TrainingSpec
from market import connections, draining, leases
from market.errors import BadInput
from market.leases import Held

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 3  # deaths in a row without a new checkpoint
COMPILING_S = 45  # the first backtest after an upgrade says nothing while its loop is compiled
POLL_S = 0.25
EXIT_STOPPED = 75  # the job saved its checkpoint because it was asked to stop


def train(run_id: int) -> None:
    """Drive one training run in a subprocess, if nobody does already and it is still wanted.

    If it is over by now, the run that has waited longest is driven instead.
    """
    with resources.Door() as door:
        _train(run_id, door)


def _train(run_id: int, door: resources.Door) -> None:
    run = services.run_to_train(run_id)
    if run is None or (run.desired == Desired.RUN and not resources.has_room(_needed_mb(run), run.pk)):
        return  # for want of memory it stays queued, and the supervisor asks again
    held = leases.acquire(run.lease_name)
    if held is None:
        return
    try:
        _drive(RunRow(run, held.fence), held, door)
    except Superseded:
        logger.warning("lost the lease %s", held.name)
    finally:
        held.release()


def _needed_mb(run: TrainingRun) -> float:
    """Return what a run needs; of a spec that cannot be read any more what it takes to fail and say so."""
    try:
        return resources.needed_mb(TrainingSpec.stored(run.spec))
    except BadInput:
        return TYPICAL_MB


def backtest(backtest_id: int) -> None:
    """Compute one backtest, if nobody does already."""
    _compute(Backtest, backtest_id, f"backtest:{backtest_id}", services.run_backtest)


def track_session(run_id: int, session: str) -> None:
    """Write on a tracked run that a session trades with its model."""
    tracking.tag(settings.MLFLOW_TRACKING_URI, id_file(run_id), f"tradebot.session.{session}")


def council_review(review_id: int) -> None:
    """Compute one review of a council, if nobody does already."""
    _compute(CouncilReview, review_id, f"council-review:{review_id}", services.run_review)


def _compute(kind: type[Backtest] | type[CouncilReview], pk: int, name: str, run: Callable[..., Any]) -> None:
    held = leases.acquire(name) if kind.objects.unfinished().filter(pk=pk).exists() else None
    if held is None:
        return
    try:
        if held.fence > MAX_ATTEMPTS:  # every start takes the lease once
            _give_up_computing(kind, pk)
        else:
            held.renew(ttl_s=settings.LEASE_TTL_S + COMPILING_S)
            run(pk, _renewing(held))
    except Superseded:
        logger.warning("lost the lease %s", name)
    finally:
        held.release()


def _drive(row: RunRow, held: Held, door: resources.Door) -> None:
    run = TrainingRun.objects.get(pk=row.pk)
    if run.status not in (JobStatus.QUEUED, JobStatus.RUNNING) or draining.is_on():
        return
    if run.desired == Desired.CANCEL:
        return _end(row, JobStatus.CANCELLED)
    if run.attempts >= MAX_ATTEMPTS:
        return _give_up(row, run, run.error)
    row.beat(attempts=run.attempts + 1, status=JobStatus.RUNNING)
    log = settings.VAR_DIR / "runs" / str(run.pk) / "log.txt"
    child = Child(training_command(run.pk, held.fence), log)
    try:
        row.update(pid=child.pid)
        door.close()  # whoever asks for room from now on sees this process
        status = _watched(child, row, held)
    finally:
        child.kill()  # whatever ends us, a timeout of the task included
    _note_end(row, child, status)


def _watched(child: Child, row: RunRow, held: Held) -> int:
    """Renew the lease while the process lives; return its exit status.

    :raises Superseded: when the lease is lost; the process is ended first
    """
    renew_at = 0.0
    while (status := child.poll()) is None:
        if time.monotonic() >= renew_at:
            connections.refresh()  # a day-long wait may outlive the database's patience
            if not held.renew():
                child.stop()
                raise Superseded(held.name)
            renew_at = time.monotonic() + settings.LEASE_TTL_S / 3
        if draining.is_on() or _is_cancelled(row.pk):
            return _stopped(child, held)
        time.sleep(POLL_S)
    return status


def _stopped(child: Child, held: Held) -> int:
    held.renew(ttl_s=settings.LEASE_TTL_S + 30)  # longer than stopping may take
    return child.stop()


def _note_end(row: RunRow, child: Child, status: int) -> None:
    """Bring the row in line with how the process ended; a finished or failed one has written it itself.

    One that is queued has failed so and was resumed before its process was gone.
    """
    run = TrainingRun.objects.get(pk=row.pk)
    if run.status != JobStatus.RUNNING:
        return
    if run.desired == Desired.CANCEL:
        _end(row, JobStatus.CANCELLED)
    elif status == EXIT_STOPPED:
        row.update(status=JobStatus.QUEUED, attempts=max(0, run.attempts - 1), eta_s=None)
    else:
        said = f"the training process ended with status {status}"
        logger.warning("%s run=%s attempt=%s", said, row.pk, run.attempts)
        report = f"{said}\n\n{child.last_words()}"
        if run.attempts >= MAX_ATTEMPTS:
            return _give_up(row, run, report)
        row.update(status=JobStatus.QUEUED, error=report, eta_s=None)


def _give_up(row: RunRow, run: TrainingRun, report: str) -> None:
    why = f"given up: its process died {run.attempts} times without reaching a new checkpoint"
    _end(row, JobStatus.FAILED, f"{why}\n\n{report}")


def _end(row: RunRow, status: JobStatus, error: str = "") -> None:
    row.update(status=status, error=error, eta_s=None, finished_at=timezone.now())


def _is_cancelled(run_id: int) -> bool:
    return TrainingRun.objects.filter(pk=run_id, desired=Desired.CANCEL).exists()


def _give_up_computing(kind: type[Backtest] | type[CouncilReview], pk: int) -> None:
    kind.objects.filter(pk=pk).update(
        status=JobStatus.FAILED,
        error=f"given up after {MAX_ATTEMPTS} starts: its process died or ran out of time",
        finished_at=timezone.now(),
    )


def _renewing(held: Held) -> Callable[[float], Any]:
    """Return a callback that keeps the lease. It raises Superseded when the lease is lost."""
    last = time.monotonic()

    def tick(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > settings.LEASE_TTL_S / 3:
            last = time.monotonic()
            if not held.renew():
                raise Superseded(held.name)

    return tick
