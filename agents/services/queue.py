"""Asking the workers. The queue only starts things: rows and leases know what is wanted and who does it."""

from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from agents.models import Backtest, CouncilReview, JobStatus, TrainingRun
from agents.models.run import Desired
from market import leases
from market.models import Lease

PATIENCE_MS = 3_000  # before a job that nobody has taken is asked for again
TRAIN, DEFAULT = "train", None


def enqueue_training(run_id: int) -> None:
    """Ask the `train` workers for a driver of a run; asked twice is harmless."""
    _asked(f"training:{run_id}")
    async_task("agents.tasks.train", run_id, cluster=TRAIN)


def enqueue_backtest(backtest_id: int) -> None:
    """Ask the `default` workers for a backtest; asked twice is harmless."""
    _asked(f"backtest:{backtest_id}")
    async_task("agents.tasks.backtest", backtest_id)


def enqueue_review(review_id: int) -> None:
    """Ask the `default` workers for a review of a council; asked twice is harmless."""
    _asked(f"council-review:{review_id}")
    async_task("agents.tasks.council_review", review_id)


def run_to_train(asked_for: int) -> TrainingRun | None:
    """Return the run that whoever was sent for one is to drive; None when none waits.

    That is the one asked for. Where that is over, the one that has waited longest: behind an experiment that
    was cancelled as a whole a new run would else wait until each of its hundreds of deliveries was taken.
    """
    runs = TrainingRun.objects.unfinished()
    asked = runs.filter(pk=asked_for).first()
    if asked is not None:
        return asked
    held = Lease.objects.filter(name__startswith="training:", until_ms__gte=leases.now_ms())
    driven = [int(name.partition(":")[2]) for name in held.values_list("name", flat=True)]
    return runs.filter(desired=Desired.RUN).exclude(pk__in=driven).order_by("pk").first()


def requeue_lost_runs() -> int:
    """Ask again for every job that is wanted and that nobody works on; return how many were asked for.

    The supervisor calls this every second. A queue that still holds tasks is left alone: its worker is busy,
    and asking on would pile up thousands of deliveries that find nothing to do.
    """
    runs = TrainingRun.objects.unfinished().only("pk", "desired")
    wanted = [run for run in runs if _is_forgotten(run.lease_name)]
    for run in wanted:
        if run.desired == Desired.CANCEL:
            mine = TrainingRun.objects.unfinished().filter(pk=run.pk, desired=Desired.CANCEL)
            mine.update(status=JobStatus.CANCELLED, finished_at=timezone.now(), eta_s=None)
    lost = [run for run in wanted if run.desired == Desired.RUN]
    if lost and get_broker(TRAIN).queue_size() == 0:
        for run in lost:
            enqueue_training(run.pk)
    tests = Backtest.objects.unfinished().values_list("pk", flat=True)
    lost_tests = [pk for pk in tests if _is_forgotten(f"backtest:{pk}")]
    if lost_tests and get_broker(DEFAULT).queue_size() == 0:
        for pk in lost_tests:
            enqueue_backtest(pk)
    reviews = CouncilReview.objects.unfinished().values_list("pk", flat=True)
    lost_reviews = [pk for pk in reviews if _is_forgotten(f"council-review:{pk}")]
    if lost_reviews and get_broker(DEFAULT).queue_size() == 0:
        for pk in lost_reviews:
            enqueue_review(pk)
    return len(lost) + len(lost_tests) + len(lost_reviews)


def _asked(lease_name: str) -> None:
    Lease.objects.get_or_create(name=lease_name)
    Lease.objects.filter(name=lease_name).update(enqueued_ms=leases.now_ms())


def _is_forgotten(lease_name: str) -> bool:
    now = leases.now_ms()
    lease = Lease.objects.filter(name=lease_name).first()
    return lease is None or (lease.until_ms < now and lease.enqueued_ms < now - PATIENCE_MS)
