"""Backtests and reviews as jobs: progress with the time left, cancelled from all four sides, one outcome."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from agents import services, tasks
from agents.models import Backtest, JobStatus
from agents.services import computing
from market.errors import Conflict
from market.models import AuditEvent
from market.web.roles import Role
from tests import factories
from tests.agents.markets import stored, walk

pytestmark = pytest.mark.django_db
LONG = {"settings": {"period": 30}}


@pytest.fixture
def user():
    return factories.UserFactory(role=Role.OPERATOR)


@pytest.fixture
def series(user):
    return stored(walk(3000), user)


@pytest.fixture
def backtest(user, series):
    return services.start_backtest(owner=user, baseline="momentum", series=series, **LONG)


@pytest.fixture
def review(user, series):
    seats = [services.Seat(baseline=name) for name in ("momentum", "cash")]
    council = services.create_council(owner=user, name="two", members=seats)
    return services.start_review(owner=user, council=council, series=series)


@pytest.fixture(params=["backtest", "review"])
def job(request, monkeypatch):
    monkeypatch.setattr(computing, "TOLD_S", 0.0)
    return request.getfixturevalue(request.param)


def carry_out(job, tick=None):
    (services.run_backtest if isinstance(job, Backtest) else services.run_review)(job.pk, tick)
    job.refresh_from_db()
    return job


def now_of(job):
    return type(job).objects.get(pk=job.pk)


def test_what_fails_while_the_outcome_is_stored_ends_the_job(job, monkeypatch):
    """Else it was begun again until it was given up, and nobody read why."""

    def seen(*_):
        raise RuntimeError("the looks cannot be counted")

    monkeypatch.setattr("agents.services.backtests.history", seen)
    carry_out(job)
    assert job.status == JobStatus.FAILED
    assert job.error.startswith("RuntimeError: the looks cannot be counted")


def test_progress_grows_and_the_time_left_is_told(job):
    seen = []
    carry_out(job, lambda share: seen.append((now_of(job).share_done, now_of(job).eta_s)))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert 0 < shares[-1] < 1
    assert seen[-1][1] > 0
    assert (job.status, job.share_done, job.eta_s) == (JobStatus.DONE, 1.0, None)


def test_a_job_at_work_stops_when_it_is_cancelled_and_keeps_nothing(job, user):
    shares = []

    def tick(share):
        shares.append(share)
        if len(shares) == 2:
            services.cancel_computation(now_of(job), by=user)

    carry_out(job, tick)
    assert job.status == JobStatus.CANCELLED
    assert job.finished_at is not None
    assert len(shares) == 2  # it did not go on
    assert not (job.metrics if isinstance(job, Backtest) else job.result)
    assert AuditEvent.objects.filter(action=f"{job._meta.model_name}.cancel", actor=user).exists()


def test_a_queued_job_that_is_cancelled_never_begins(job):
    services.cancel_computation(job)
    (tasks.backtest if isinstance(job, Backtest) else tasks.council_review)(job.pk)
    assert carry_out(job, pytest.fail).status == JobStatus.CANCELLED


def test_a_cancel_at_the_very_end_counts(job, monkeypatch):
    """The computation is over, its outcome is not stored yet."""
    monkeypatch.setattr(computing, "TOLD_S", 1e9)  # it does not look again before the end
    began = []

    def tick(share):
        if not began:
            began.append(share)
            services.cancel_computation(now_of(job))

    assert carry_out(job, tick).status == JobStatus.CANCELLED
    assert not job.code_version


def test_what_has_ended_cannot_be_cancelled(job):
    carry_out(job)
    with pytest.raises(Conflict, match="done already"):
        services.cancel_computation(job)


@pytest.mark.parametrize("way", ["page", "api", "admin"])
def test_operators_cancel_their_own_and_nobody_elses(job, user, way, client):
    user.is_staff = True
    user.save()
    stranger = factories.UserFactory(role=Role.OPERATOR, is_staff=True)
    kind = "backtest" if isinstance(job, Backtest) else "review"

    def act(who):
        if way == "api":
            api = APIClient()
            api.force_authenticate(who)
            path = "backtests" if kind == "backtest" else "council-reviews"
            return api.post(f"/api/v1/{path}/{job.pk}/cancel/").status_code
        client.force_login(who)
        if way == "page":
            return client.post(reverse(f"{kind}-cancel", args=[job.pk])).status_code
        model = job._meta.model_name
        data = {"action": "cancel", "_selected_action": [job.pk], "confirmed": "yes"}
        return client.post(reverse(f"admin:agents_{model}_changelist"), data).status_code

    act(stranger)
    assert now_of(job).status == JobStatus.QUEUED
    act(user)
    assert now_of(job).status == JobStatus.CANCELLED
    again = act(user)
    if way == "api":
        assert again == 409


def test_the_page_offers_to_cancel_while_it_is_open(job, user, client):
    client.force_login(user)
    address = reverse("backtest" if isinstance(job, Backtest) else "council-review", args=[job.pk])
    assert "Cancel it" in client.get(address).content.decode()
    services.cancel_computation(job)
    assert "Cancel it" not in client.get(address, headers={"HX-Request": "true"}).content.decode()
