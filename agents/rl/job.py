"""A training run as a job: reads its row, learns, writes the model. One process, one lease, one fence."""

import errno
import logging
import os
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from agents import artefacts, provenance
from agents.evaluation.data import Prepared, prepare, require_visible
from agents.evaluation.inputs import inputs_of
from agents.models import JobStatus, TrainedModel, TrainingRun
from agents.progress import RunRow, Superseded
from agents.resources import Sampler, require_room
from agents.rl.device.placement import Placement, gpu, placed
from agents.rl.training import Outcome, Stopped, card_part, learn
from agents.spec import TrainingSpec
from agents.tracking import Tracking
from market.errors import BadInput

logger = logging.getLogger(__name__)
EXIT_DONE, EXIT_FAILED, EXIT_DATABASE, EXIT_STOPPED, EXIT_SUPERSEDED = 0, 1, 74, 75, 76


class RowListener:
    """Writes a run's progress into its row; `stop` is set by the signal handler."""

    def __init__(self, row: RunRow) -> None:
        self.row, self.stop = row, False
        self.sampler = Sampler(gpu_use)
        self.track: Tracking | None = None

    def progress(self, *, steps: int, fps: float, eta_s: float | None, latest: dict[str, float]) -> None:
        self.row.beat(steps_done=steps, fps=fps, eta_s=eta_s, latest=latest)
        used = self.sampler.due(fps)
        if used is not None:
            self.row.sample(used)

    def metric(self, step: int, values: dict[str, float]) -> None:
        self.row.metric(step, values)
        if self.track is not None:
            self.track.metrics(step, values)

    def validated(self, step: int, view: dict[str, Any]) -> None:
        self.row.validation(step, view)

    def checkpointed(self, step: int) -> None:
        self.row.update(attempts=0)  # it got somewhere: only deaths without progress are counted

    def note(self, sentence: str) -> None:
        self.row.note(sentence)

    def is_stop_wanted(self) -> bool:
        return self.stop

    def track_end(self, status: str) -> None:
        """End the tracking of the run; what went wrong with it becomes a note."""
        said = self.track.end(status) if self.track is not None else ""
        self.track = None
        if said:
            self.row.note(said)


def gpu_use() -> dict[str, float]:
    """Return `gpu_mb`, memory that this process holds, `gpu_free_mb` and, where the driver tells it, `gpu`.

    `gpu` is the share of the last second in which the GPU was at work. Empty where no GPU is used.
    """
    if not torch.cuda.is_initialized():
        return {}
    free, _ = torch.cuda.mem_get_info()
    found = {"gpu_mb": torch.cuda.memory_reserved() / 2**20, "gpu_free_mb": free / 2**20}
    with suppress(Exception):  # NVIDIA's library has errors of its own, as of a part of a GPU (MIG)
        found["gpu"] = torch.cuda.utilization() / 100
    return {name: round(value, 3) for name, value in found.items()}


def run_folder(run_id: int) -> Path:
    """Return where a run keeps its checkpoint and TensorBoard files."""
    return Path(settings.VAR_DIR) / "runs" / str(run_id)


def run(listener: RowListener) -> int:
    """Train the run that the listener's row is of; return the process's exit status.

    The outcome is in the row: done with a model, or failed with one clear sentence and the traceback.
    A stopped run keeps its status; whoever stopped it knows why. So does one that the database failed: it
    goes on from its checkpoint, unless that happens again and again.
    """
    row = listener.row
    try:
        _train(TrainingRun.objects.select_related("series", "owner").get(pk=row.pk), listener)
    except Stopped:
        listener.track_end("KILLED")
        return EXIT_STOPPED
    except Superseded:
        logger.warning("training superseded lease=%s fence=%s", row.lease_name, row.fence)
        return EXIT_SUPERSEDED
    except (OperationalError, InterfaceError):
        # The row cannot be relied on now and nothing is wrong with the run: its driver starts it again.
        logger.exception("training lost the database run=%s", row.pk)
        with suppress(DatabaseError, InterfaceError, Superseded):
            listener.track_end("KILLED")
        return EXIT_DATABASE
    except Exception as error:
        logger.exception("training failed run=%s", row.pk)
        listener.track_end("FAILED")
        return _failed(row, error)
    return EXIT_DONE


def sentence(error: BaseException) -> str:
    """Return what went wrong in one line for people."""
    if isinstance(error, BadInput):
        return error.message
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full: free some space, then resume the run; its last checkpoint is kept"
    if isinstance(error, torch.OutOfMemoryError):
        return (
            "the GPU ran out of memory: use fewer environments (ppo.n_envs) or a smaller ppo.batch_size in a "
            "new run, or free the GPU and resume this one; its last checkpoint is kept"
        )
    if isinstance(error, MemoryError):
        return "there was not enough memory: use fewer environments, bars or features"
    return f"training failed: {type(error).__name__}: {error}"


def _failed(row: RunRow, error: Exception) -> int:
    text = "".join(traceback.format_exception(error))
    try:
        row.update(
            status=JobStatus.FAILED,
            error=f"{sentence(error)}\n\n{text}",
            finished_at=timezone.now(),
            eta_s=None,
        )
    except Superseded:
        return EXIT_SUPERSEDED
    return EXIT_FAILED


def _train(run: TrainingRun, listener: RowListener) -> None:
    row, spec = listener.row, TrainingSpec.stored(run.spec)
    require_room(spec, is_on_gpu=gpu() is not None)  # it may have been asked for on a larger machine
    require_visible(run.owner, [run.series_id, *spec.basket])  # or when other candles could be named
    row.beat(status=JobStatus.RUNNING, pid=os.getpid(), started_at=Coalesce("started_at", timezone.now()))
    prepared = prepare(run.series, spec)
    if spec.forecast.kind != "none":
        from agents.rl.forecasting import with_forecast  # boosted trees stay out of runs that ask for none

        prepared = with_forecast(prepared, spec)
    if run.data_fingerprint and run.data_fingerprint != prepared.fingerprint:
        raise BadInput(f"the candles of {run.series} have changed since this run began: start a new one")
    has_begun = (run_folder(run.pk) / "checkpoint.pt").exists()
    makers = {} if has_begun and run.versions else provenance.here()  # those that it began with stay
    row.beat(data_fingerprint=prepared.fingerprint, **makers)
    place = _placed(run, spec, row, has_begun)
    listener.track = Tracking(run, run_folder(run.pk))
    listener.track.begin(spec.as_dict(), prepared.fingerprint)
    outcome = learn(spec, prepared, run_folder(run.pk), listener, device=place.device, fence=row.fence)
    if outcome.ended_early:
        row.note(f"Ended early at step {outcome.steps:,}: {outcome.ended_early}.")
    row.update(weights_hash=outcome.network.hash, **outcome.makers[0])
    if run.expected_hash:
        row.update(
            status=JobStatus.DONE, steps_done=outcome.steps, eta_s=None, error="", finished_at=timezone.now()
        )
    else:
        _keep(run, spec, prepared, outcome, row)
        made = TrainedModel.objects.get(run=run.pk)
        listener.track.model(Path(settings.VAR_DIR) / made.path, made.name, made.file_hash)
    listener.track_end("FINISHED")


def _placed(run: TrainingRun, spec: TrainingSpec, row: RunRow, has_begun: bool) -> Placement:
    """Return where the run learns, and say so in its row."""
    place = placed(spec, run.device if has_begun else "")
    if run.expected_hash and not has_begun and run.device not in ("", place.name):
        row.note(f"The card's run learned on {run.device}, this one does on {place.name}.")
    run.device = place.name
    row.update(device=place.name)
    if place.note:
        row.note(place.note)
        logger.warning("training run=%s device=%s: %s", row.pk, place.name, place.note)
    return place


def _keep(run: TrainingRun, spec: TrainingSpec, prepared: Prepared, outcome: Outcome, row: RunRow) -> None:
    """Write the model's files, then its row together with the run's end."""
    start_ms, train_ms, valid_ms = prepared.times
    name = free_name(run)
    facts: dict[str, Any] = {
        "train_from_ms": start_ms,
        "train_to_ms": train_ms,
        "valid_to_ms": valid_ms,
        "test_from_ms": prepared.test_ms[0] if prepared.test_ms else None,
        "test_to_ms": prepared.test_ms[1] if prepared.test_ms else None,
        "data_fingerprint": prepared.fingerprint,
        "judged_fingerprint": prepared.judged_fingerprint,
        **outcome.makers[0],
        "metrics": {
            **outcome.metrics,
            "best_step": outcome.best_step,
            "checkpoints_compared": outcome.validations,
            **({"ended_early": outcome.ended_early} if outcome.ended_early else {}),
            "last_score": outcome.last_score,
        },
    }
    part = card_part(spec, prepared)
    card = {
        **part,
        **facts,
        **({"resumed_by": list(outcome.makers[1:])} if outcome.makers[1:] else {}),
        "inputs": inputs_of(prepared),
        "name": name,
        "run": run.pk,
        "algorithm": spec.algorithm,
        "spec": spec.as_dict(),
        "seed": spec.seed,
        "steps": outcome.steps,
        "device": run.device,
        "series": run.series.as_dict(),
        "weights_hash": outcome.network.hash,
        "reward_normaliser": outcome.normaliser,
    }
    path = (
        f"models/{run.pk}-{row.fence}"  # of this process alone: whoever has lost the lease harms no other's
    )
    file_hash = artefacts.write(path, card=card, network=outcome.network, policy_zip=outcome.policy_zip)
    try:
        with transaction.atomic():
            row.update(
                status=JobStatus.DONE,
                steps_done=outcome.steps,
                eta_s=None,
                error="",
                finished_at=timezone.now(),
            )
            TrainedModel.objects.create(
                owner=run.owner,
                name=name,
                run=run,
                algorithm=spec.algorithm,
                spec=spec.as_dict(),
                feature_set=part["feature_set"],
                feature_set_hash=part["feature_set_hash"],
                scaler=part["scaler"],
                series=run.series,
                path=path,
                file_hash=file_hash,
                **facts,
            )
    except Superseded:
        artefacts.remove(path)
        raise
    artefacts.remove_others(path, f"{run.pk}-*")


def free_name(run: TrainingRun) -> str:
    """Return the run's name, numbered when a model of the owner has it already."""
    longest = TrainedModel._meta.get_field("name").max_length or 0
    short = run.name[: longest - len(" (9999)")]
    mine = TrainedModel.objects.filter(owner=run.owner, name__startswith=short)
    taken = set(mine.values_list("name", flat=True))
    numbered = (
        f"{run.name[: longest - len(end)]}{end}" for end in (f" ({n})" for n in range(2, len(taken) + 3))
    )
    return next(name for name in (run.name, *numbered) if name not in taken)
