"""MLflow: what is tracked, and that no run depends on it."""

import http.server
import threading

import pytest

from agents import services, tasks
from agents.models import TrainedModel
from agents.progress import RunRow
from agents.rl import job
from market import leases
from tests.agents.markets import stored, walk
from tests.agents.test_experiments import TINY
from tests.queue import queued

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore::Warning:mlflow")]


@pytest.fixture
def run(user):
    series = stored(walk(1200), user)
    return services.start_training(owner=user, name="tracked", spec=TINY | {"series": series.pk})


def train(run):
    held = leases.acquire(run.lease_name)
    assert job.run(job.RowListener(RunRow(run, held.fence))) == job.EXIT_DONE
    held.release()
    run.refresh_from_db()


def test_a_run_is_tracked_with_parameters_metrics_files_and_lineage(
    run, settings, private_var_dir, django_capture_on_commit_callbacks
):
    settings.MLFLOW_TRACKING_URI = f"sqlite:///{private_var_dir / 'mlflow.db'}"
    train(run)
    assert run.notes == []
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=settings.MLFLOW_TRACKING_URI)
    found = client.get_run((private_var_dir / "runs" / str(run.pk) / "mlflow_run_id").read_text())
    made = TrainedModel.objects.get(run=run)
    assert found.info.status == "FINISHED"
    assert (found.data.params["ppo.n_envs"], found.data.params["seed"]) == ("8", "3")
    assert found.data.metrics["valid_score"] == pytest.approx(run.latest["valid_score"])
    assert found.data.tags["tradebot.data_fingerprint"] == run.data_fingerprint
    assert (found.data.tags["tradebot.model"], found.data.tags["tradebot.run"]) == (made.name, str(run.pk))
    names = {one.path for one in client.list_artifacts(found.info.run_id, "model")}
    assert names == {"model/card.json", "model/policy.zip", "model/weights.npz"}
    with django_capture_on_commit_callbacks(execute=True):
        assert services.note_session(made, None, "7") == 1
    tasks.track_session(*queued("default")[-1]["args"])
    assert "tradebot.session.7" in client.get_run(found.info.run_id).data.tags


class Broken(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500)

    do_POST = do_GET

    def log_message(self, *args):
        """Stay silent."""


def test_a_store_that_fails_leaves_a_note_and_the_same_weights(run, user, settings):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.MLFLOW_TRACKING_URI = f"http://name:password@127.0.0.1:{server.server_port}"
    try:
        train(run)
    finally:
        server.shutdown()
        server.server_close()
    assert len(run.notes) == 1
    assert run.notes[0].startswith("MLflow tracking failed (")
    assert "password" not in run.notes[0]
    settings.MLFLOW_TRACKING_URI = ""
    again = services.reproduce(owner=user, model=TrainedModel.objects.get(run=run))
    train(again)
    assert again.is_reproduced
