"""Computations stored as one row, backtests and reviews: progress with the time left, cancel, one outcome."""

import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import DatabaseError, transaction
from django.utils import timezone

from agents.models import Backtest, CouncilReview, JobStatus
from agents.progress import Superseded
from market.errors import BadInput, Conflict
from market.web.audit import record

TOLD_S = 1.0  # between two writes of the share done, each of which asks whether it is still wanted
Computation = TypeVar("Computation", Backtest, CouncilReview)
Tick = Callable[[float], None]


class Cancelled(Exception):
    """A person does not want the outcome any more."""


def carry_out(
    row: Computation,
    compute: Callable[[Computation, Tick], Callable[[], None] | None],
    tick: Tick | None = None,
) -> None:
    """Compute an unfinished row and store how it ended; one that has ended, or was cancelled, stays as it is.

    :param compute: fills in the row's results; it must call its tick with the share done now and then. What
        it returns, if anything, is called while the outcome is stored, for what depends on others' outcomes
    :param tick: told the share as well; what it raises ends the computation
    :raises Superseded: when the tick says that somebody else has this computation now
    """
    mine = type(row).objects.unfinished().filter(pk=row.pk)
    if not mine.update(status=JobStatus.RUNNING):
        return row.refresh_from_db()
    began, finish = time.monotonic(), None
    try:
        finish = compute(row, _telling(row, began, tick))
        row.status, row.share_done = JobStatus.DONE, 1.0
    except Superseded:
        raise
    except Cancelled:
        return row.refresh_from_db()
    except Exception as error:
        _fail(row, error)
    row.seconds, row.finished_at, row.eta_s = time.monotonic() - began, timezone.now(), None
    try:
        _store(row, finish)
    except DatabaseError:
        raise  # nothing is stored: it is begun again
    except Exception as error:
        _fail(row, error)
        _store(row)


def _fail(row: Computation, error: Exception) -> None:
    said = error.message if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    row.status, row.error = JobStatus.FAILED, f"{said}\n\n{trace}"


@transaction.atomic
def _store(row: Computation, finish: Callable[[], None] | None = None) -> None:
    """Store how a row ended, unless it was cancelled at the very end."""
    if not type(row).objects.unfinished().filter(pk=row.pk).select_for_update(no_key=True).exists():
        return row.refresh_from_db()
    if finish is not None:
        finish()
    row.save()


def cancel_computation(row: Computation, by: Any = None) -> Computation:
    """Stop a backtest or a review; what it has computed so far is dropped.

    :raises Conflict: when it has ended already
    """
    with transaction.atomic():
        wanted = type(row).objects.unfinished().filter(pk=row.pk)
        is_cancelled = wanted.update(status=JobStatus.CANCELLED, finished_at=timezone.now(), eta_s=None)
        row.refresh_from_db()
        if not is_cancelled:
            raise Conflict(f"it is {row.status} already")
        record(by or row.owner, f"{row._meta.model_name}.cancel", row)
    return row


def _telling(row: Computation, began: float, tick: Tick | None) -> Tick:
    """Return a callback that keeps the row's progress current; it raises Cancelled once nobody wants it."""
    last = began

    def tell(share: float) -> None:
        nonlocal last
        if tick is not None:
            tick(share)
        now = time.monotonic()
        if now - last > TOLD_S:
            last = now
            eta_s = (now - began) * (1 - share) / share if share > 0 else None
            if not type(row).objects.unfinished().filter(pk=row.pk).update(share_done=share, eta_s=eta_s):
                raise Cancelled

    return tell
