"""Training runs: everything is checked before a row exists; workers do the rest."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from agents.evaluation.data import prepare
from agents.models import JobStatus, TrainedModel, TrainingRun
from agents.models.run import Desired
from agents.provenance import code_version
from agents.resources import require_room
from agents.services.queue import enqueue_training
from agents.services.series import find_members
from agents.spec import TrainingSpec, horizon_notes
from market import leases
from market.errors import BadInput, Conflict
from market.models import Series
from market.web.audit import record


def start_training(*, owner: Any, name: str, spec: dict[str, Any], by: Any = None) -> TrainingRun:
    """Start a training run; nothing is stored unless everything about it fits.

    :param name: of the run and of the model it makes
    :param spec: as `agents.spec.TrainingSpec`; what is left out takes its default
    :param by: who asked, for the audit trail; the owner when not given
    :raises BadInput: for a spec, series or name that cannot be used, too few candles, features without value,
        more memory than the machine has
    """
    asked = TrainingSpec.parse(spec)
    require_room(asked)
    name = _free_name(owner, name)
    members = find_members(owner, asked)
    series, whole = members[0], bounded(asked, members)
    prepared = prepare(series, whole)
    with transaction.atomic():
        run = TrainingRun.objects.create(
            owner=owner,
            name=name,
            spec=whole.as_dict(),
            series=series,
            steps_total=whole.steps,
            data_fingerprint=prepared.fingerprint,
            code_version=code_version(),
            notes=horizon_notes(whole),
        )
        record(by or owner, "training.start", run, name=name, series=series.pk, steps=whole.steps)
        transaction.on_commit(partial(enqueue_training, run.pk))
    return run


def cancel_training(run: TrainingRun, by: Any = None) -> TrainingRun:
    """Stop a run at its next step; its checkpoint stays, so it can be resumed.

    :raises Conflict: when it has ended already
    """
    with transaction.atomic():
        wanted = TrainingRun.objects.unfinished().filter(pk=run.pk).update(desired=Desired.CANCEL)
        if not wanted:
            run.refresh_from_db()
            raise Conflict(f"run {run.name} is {run.status} already")
        record(by or run.owner, "training.cancel", run, name=run.name)
        if not leases.is_held(run.lease_name):  # nobody works on it; whoever comes later finds it cancelled
            TrainingRun.objects.unfinished().filter(pk=run.pk).update(
                status=JobStatus.CANCELLED, finished_at=timezone.now(), eta_s=None
            )
    run.refresh_from_db()
    return run


def resume_training(run: TrainingRun, by: Any = None) -> TrainingRun:
    """Go on with a failed or cancelled run from its last checkpoint.

    :raises Conflict: when it is still at work, done, or not yet stopped
    """
    stopped = [JobStatus.FAILED, JobStatus.CANCELLED]
    with transaction.atomic():
        resumed = TrainingRun.objects.filter(pk=run.pk, status__in=stopped).update(
            status=JobStatus.QUEUED,
            desired=Desired.RUN,
            attempts=0,
            error="",
            finished_at=None,
        )
        if not resumed:
            run.refresh_from_db()
            raise Conflict(f"run {run.name} is {run.status}: only a failed or cancelled run can be resumed")
        record(by or run.owner, "training.resume", run, name=run.name)
        transaction.on_commit(partial(enqueue_training, run.pk))
    run.refresh_from_db()
    return run


def _free_name(owner: Any, name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise BadInput("the run needs a name; its model gets the same", "name")
    if len(name) > 120:
        raise BadInput("the name must have at most 120 characters", "name")
    taken = TrainedModel.objects.filter(owner=owner, name=name).exists()
    if taken or TrainingRun.objects.unfinished().filter(owner=owner, name=name).exists():
        raise BadInput(f"there is a model or a running training named {name} already", "name")
    return name


def bounded(spec: TrainingSpec, members: Sequence[Series]) -> TrainingSpec:
    """Return the complete spec, series and time bounds written out, so that later imports change nothing.

    :param members: the series learned from; of a portfolio that of every pair, and the stretch they share
    """
    firsts, ends = [], []
    for series in members:
        if series.first_ms is None or series.last_ms is None:
            raise BadInput(f"series {series.pk} holds no candles yet: import some first", "series")
        firsts.append(series.first_ms)
        ends.append(series.last_ms + series.interval_ms)
    first, end = max(firsts), min(ends)
    found: dict[str, Any] = {
        "series": members[0].pk,
        "source": members[0].source,
        "pair": members[0].pair,
        "interval": members[0].interval,
        "from_ms": first if spec.from_ms is None else max(spec.from_ms, first),
        "to_ms": end if spec.to_ms is None else min(spec.to_ms, end),
    }
    if spec.is_portfolio:
        found |= {"pairs": tuple(one.pair for one in members), "basket": tuple(one.pk for one in members)}
    return spec.completed(**found)
