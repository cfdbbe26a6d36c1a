"""MLflow beside our own rows: parameters, metrics, artefacts and lineage. A run never waits for it."""

import fcntl
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from agents.models import TrainingRun

logger = logging.getLogger(__name__)
TEXT_MOST = 500  # characters of a parameter that every MLflow store takes
FLUSH_S = 60.0  # waited for at the end of a run
MODEL_FILES = ("card.json", "weights.npz", "policy.zip")


def tag(uri: str, id_file: Path, name: str) -> None:
    """Set a tag on a tracked run; a store that fails is logged and no more."""
    try:
        _hurry()
        from mlflow.tracking import MlflowClient

        MlflowClient(tracking_uri=uri).set_tag(id_file.read_text(), name, "started")
    except Exception as error:  # as below
        logger.warning("tracking failed tag=%s error=%s", name, type(error).__name__)


def _hurry() -> None:
    """Have a server that is away given up in seconds."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


class Tracking:
    """One training run in MLflow, told by a thread of its own; after the first failure no more."""

    def __init__(self, run: TrainingRun, folder: Path) -> None:
        self.uri, self.folder = settings.MLFLOW_TRACKING_URI, folder
        self.name = run.name
        self.experiment = f"tradebot {run.experiment or run.series.pair}"
        self.tags = {
            "tradebot.run": str(run.pk), "tradebot.owner": str(run.owner_id),
            "tradebot.series": str(run.series), "tradebot.code_version": run.code_version,
        }  # fmt: skip
        self.failure = ""
        self._todo: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._client: Any = None
        self._id = ""

    def begin(self, spec: Mapping[str, Any], fingerprint: str) -> None:
        """Begin the MLflow run, or go on with the one from before a restart."""
        if not self.uri:
            return
        self.tags["tradebot.data_fingerprint"] = fingerprint
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()
        self._todo.put(lambda: self._begin(spec))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self._todo.put(lambda: self._log_metrics(step, values))

    def model(self, folder: Path, model: str, file_hash: str) -> None:
        """Store the model's files and say which model it is: the lineage from data over run to model."""
        self._todo.put(lambda: self._log_model(folder, model, file_hash))

    def end(self, status: str) -> str:
        """Flush and end; return a sentence about what went wrong, or nothing.

        :param status: FINISHED, FAILED, or KILLED for a run that may go on later
        """
        if self._thread is None:
            return ""
        self._todo.put(lambda: self._client.set_terminated(self._id, status))
        self._todo.put(None)
        self._thread.join(FLUSH_S)
        if self._thread.is_alive():
            self.failure = f"no answer within {FLUSH_S:.0f} s"
        return (
            f"MLflow tracking failed ({self.failure}); the run is not touched by it." if self.failure else ""
        )

    def _work(self) -> None:
        while (act := self._todo.get()) is not None:
            if self.failure:
                continue
            try:
                act()
            except Exception as error:  # whatever a tracking store does is its own affair
                self.failure = type(error).__name__  # its words may hold the address with a password
                logger.warning("tracking failed run=%s error=%s", self.tags["tradebot.run"], self.failure)

    def _begin(self, spec: Mapping[str, Any]) -> None:
        _hurry()
        from mlflow.entities import Param, RunTag
        from mlflow.tracking import MlflowClient  # only in the training process: seconds and 100 MB

        with self._alone():
            client = MlflowClient(tracking_uri=self.uri)
            experiment = self._experiment_id(client)
        id_file = self.folder / "mlflow_run_id"
        if id_file.exists():
            self._id = id_file.read_text()
            client.update_run(self._id, status="RUNNING")
        else:
            self._id = client.create_run(experiment, run_name=self.name).info.run_id
            self.folder.mkdir(parents=True, exist_ok=True)
            id_file.write_text(self._id)
            params = [Param(key, text[:TEXT_MOST]) for key, text in flat(spec)]
            client.log_batch(
                self._id, params=params, tags=[RunTag(key, text) for key, text in self.tags.items()]
            )
        self._client = client

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time make the database or an experiment: MLflow's own way bears no second."""
        with (Path(settings.VAR_DIR) / "mlflow.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _experiment_id(self, client: Any) -> str:
        found = client.get_experiment_by_name(self.experiment)
        if found is not None:
            return found.experiment_id
        place = (Path(settings.VAR_DIR) / "mlruns").resolve().as_uri()
        is_local = self.uri.startswith("sqlite")
        return client.create_experiment(self.experiment, artifact_location=place if is_local else None)

    def _log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        at = time.time_ns() // 1_000_000
        self._client.log_batch(
            self._id, metrics=[Metric(name, float(value), at, step) for name, value in values.items()]
        )

    def _log_model(self, folder: Path, model: str, file_hash: str) -> None:
        for name in MODEL_FILES:
            self._client.log_artifact(self._id, str(folder / name), "model")
        self._client.set_tag(self._id, "tradebot.model", model)
        self._client.set_tag(self._id, "tradebot.model_hash", file_hash)


def flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Return (dotted name, text) of every setting."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{above}{key}"
        found += flat(value, f"{name}.") if isinstance(value, Mapping) else [(name, str(value))]
    return found
