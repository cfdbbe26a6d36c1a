"""From a model on to what trades with it: told to MLflow where the model's run is tracked."""

from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django_q.tasks import async_task

from agents.models import Council, TrainedModel
from agents.services.sealed import models_of


def note_session(model: TrainedModel | None, council: Council | None, session: str) -> int:
    """Have a worker write a session's name on the tracked runs of its models; return on how many.

    :param session: what to call it, for people
    """
    if not settings.MLFLOW_TRACKING_URI:
        return 0
    runs = [one.run_id for one in models_of(model, council) if one.run_id and id_file(one.run_id).exists()]
    for run_id in runs:
        transaction.on_commit(partial(async_task, "agents.tasks.track_session", run_id, session))
    return len(runs)


def id_file(run_id: int) -> Path:
    """Return where a run keeps the id that MLflow gave it."""
    return Path(settings.VAR_DIR) / "runs" / str(run_id) / "mlflow_run_id"
