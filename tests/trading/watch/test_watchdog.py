"""What the watchdog notices, tells and takes back; its time is a number here."""

from datetime import timedelta

import pytest
from django.utils import timezone

from market import leases
from tests import factories
from trading import alerts
from trading.models import Alert, AlertKind, Delivery, LiveSession
from trading.watch import jobs, watchdog
from trading.watch.watchdog import Watchdog


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(db, clock):
    return Watchdog(monotonic_s=clock)


@pytest.fixture
def owner(db):
    return factories.ChannelFactory(owner=factories.UserFactory()).owner


def look(watch, clock, *, after_s=0.0):
    clock.now_s += after_s
    watch.look()
    return sorted(Alert.objects.filter(closed_at=None).values_list("key", flat=True))


def driven(owner, **given):
    session = factories.SessionFactory(owner=owner, **given)
    assert leases.acquire(session.lease_name, ttl_s=600) is not None
    return session


def test_a_session_alone_for_long_is_told_and_taken_back(watch, clock, owner):
    session = factories.SessionFactory(owner=owner)
    assert look(watch, clock) == []
    assert look(watch, clock, after_s=19) == []
    assert look(watch, clock, after_s=2) == ["trader"]
    assert Delivery.objects.get().kind == AlertKind.TRADER_SILENT
    leases.acquire(session.lease_name, ttl_s=600)
    assert look(watch, clock, after_s=2) == []


def test_a_second_death_within_the_hour_is_told_as_soon_as_the_first(watch, clock, owner):
    session = factories.SessionFactory(owner=owner)
    factories.RuleFactory(owner=owner, channel=owner.alert_channels.get(), again_s=3600)
    look(watch, clock)
    look(watch, clock, after_s=21)
    Delivery.objects.update(status="sent")
    held = leases.acquire(session.lease_name, ttl_s=600)
    look(watch, clock, after_s=2)
    held.release()
    look(watch, clock, after_s=300)
    assert look(watch, clock, after_s=21) == ["trader"]
    assert Delivery.objects.count() == 2
    assert Delivery.objects.latest("id").next_at - timezone.now() < timedelta(seconds=31)


def test_a_handover_between_two_workers_is_no_alarm(watch, clock, owner):
    session = factories.SessionFactory(owner=owner)
    for _ in range(4):
        assert look(watch, clock, after_s=15) == []
        held = leases.acquire(session.lease_name, ttl_s=600)
        assert look(watch, clock, after_s=15) == []
        held.release()


def test_one_of_several_sessions_is_named_and_all_of_them_are_one_alarm(watch, clock, owner):
    one, other = factories.SessionFactory(owner=owner), driven(owner)
    look(watch, clock)
    assert look(watch, clock, after_s=21) == [f"silent:{one.pk}"]
    leases.Lease.objects.filter(name=other.lease_name).update(until_ms=0)
    look(watch, clock)
    assert look(watch, clock, after_s=21) == ["trader"]


def test_workers_that_come_back_one_session_at_a_time_make_no_further_alarms(watch, clock, owner):
    sessions = [factories.SessionFactory(owner=owner) for _ in range(3)]
    look(watch, clock)
    assert look(watch, clock, after_s=21) == ["trader"]
    for session in sessions[:-1]:
        leases.acquire(session.lease_name, ttl_s=600)
        assert look(watch, clock, after_s=2) == ["trader"]
    leases.acquire(sessions[-1].lease_name, ttl_s=600)
    assert look(watch, clock, after_s=2) == []
    assert Alert.objects.count() == 1


def test_a_driver_that_holds_its_lease_and_ends_no_turn_counts_as_silent(watch, clock, owner):
    session = driven(owner, turn_at=timezone.now() - timedelta(hours=1))
    look(watch, clock)
    assert look(watch, clock, after_s=21) == ["trader"]
    LiveSession.objects.filter(pk=session.pk).update(turn_at=timezone.now())
    assert look(watch, clock, after_s=2) == []


def test_a_price_that_stands_still_is_told_unless_its_driver_says_so(watch, clock, owner):
    session = driven(owner)
    look(watch, clock)
    assert look(watch, clock, after_s=31) == [f"stale:{session.account_id}"]
    LiveSession.objects.filter(pk=session.pk).update(price_ms=session.price_ms + 1)
    assert look(watch, clock, after_s=2) == []
    alerts.raise_alert(owner, "warning", f"unknown:{session.pk}", "It is stale.", session)
    look(watch, clock)
    assert look(watch, clock, after_s=60) == [f"unknown:{session.pk}"]


def test_prices_that_stand_still_on_one_account_are_one_alarm(watch, clock, owner):
    one = driven(owner, name="first")
    driven(owner, name="second", account=one.account, pair="ETH/USD")
    other = driven(owner, name="elsewhere")
    look(watch, clock)
    keys = sorted(f"stale:{each.account_id}" for each in (one, other))
    assert look(watch, clock, after_s=31) == keys
    alert = Alert.objects.get(key=f"stale:{one.account_id}")
    assert (alert.text.startswith("first, second: no new price"), alert.session) == (True, None)


def test_jobs_that_wait_without_workers_are_told(watch, clock, owner):
    factories.RunFactory(owner=owner, status="queued")
    look(watch, clock)
    assert look(watch, clock, after_s=21) == ["workers"]
    leases.acquire("supervisor", ttl_s=600)
    assert look(watch, clock, after_s=2) == []


def test_a_failed_job_is_told_once_and_again_when_it_fails_again(owner):
    run = factories.RunFactory(
        owner=owner, status="failed", error="no candles\nTraceback", finished_at=timezone.now()
    )
    assert (jobs.tell_failed_jobs(), jobs.tell_failed_jobs()) == (1, 0)
    alert = Alert.objects.get(kind=AlertKind.JOB_FAILED)
    assert alert.text.endswith("failed: no candles")
    assert alert.url == f"/training/{run.pk}/"
    type(run).objects.filter(pk=run.pk).update(status="queued")
    jobs.tell_failed_jobs()
    assert Alert.objects.filter(closed_at=None).count() == 0
    type(run).objects.filter(pk=run.pk).update(status="failed", finished_at=timezone.now())
    assert jobs.tell_failed_jobs() == 1


def test_a_failed_job_that_a_person_has_closed_stays_closed(owner):
    factories.BacktestFactory(owner=owner, status="failed", error="x", finished_at=timezone.now())
    jobs.tell_failed_jobs()
    Alert.objects.update(closed_at=timezone.now())
    assert jobs.tell_failed_jobs() == 0


def test_an_upload_that_failed_is_told_to_its_owner_once(owner):
    upload = {"status": "failed", "error": "line 3: no time\nmore", "options": {"upload": "x.csv"}}
    report = factories.ImportFactory(owner=owner, **upload)
    factories.ImportFactory(owner=owner, status="failed", error="told at the terminal")
    factories.ImportFactory(owner=None, **upload)
    type(report).objects.update(created_at=timezone.now() - timedelta(days=2))  # the workers were away
    assert (jobs.tell_failed_jobs(), jobs.tell_failed_jobs()) == (1, 0)
    alert = Alert.objects.get(kind=AlertKind.JOB_FAILED)
    assert alert.text == "The import candles.csv failed: line 3: no time"
    assert (alert.owner, alert.url) == (owner, f"/imports/{report.pk}/")
    Alert.objects.update(closed_at=timezone.now())
    assert jobs.tell_failed_jobs() == 0


def test_a_message_that_does_not_arrive_is_told_through_the_other_channels(owner):
    broken = factories.ChannelFactory(owner=owner, name="broken")
    late = timezone.now() - timedelta(seconds=31)
    for _ in range(3):
        factories.DeliveryFactory(channel=broken, due_at=late, attempts=1)
    watchdog.tell_late_deliveries()
    watchdog.tell_late_deliveries()
    told = Alert.objects.get(kind=AlertKind.UNDELIVERED)
    assert told.count == 1
    assert broken not in [one.channel for one in told.deliveries.all()]
    assert told.deliveries.count() == 1


def test_two_watchdogs_do_not_watch_at_once(watch, clock, owner):
    second = Watchdog(monotonic_s=clock)
    held = leases.acquire(watchdog.LEASE, ttl_s=600)
    second.round()
    assert second._lease is None
    held.release()


def test_nothing_is_sold_unless_the_operator_has_said_when(watch, clock, owner, settings):
    session = factories.SessionFactory(owner=owner)
    look(watch, clock)
    look(watch, clock, after_s=10_000)
    assert watch.rescue.wanted == set()
    settings.WATCHDOG_FLATTEN_S = 60.0
    look(watch, clock, after_s=2)
    assert watch.rescue.wanted == {session.pk}
    session.refresh_from_db()
    assert (session.status, session.flatten_wanted) == ("stopping", True)


@pytest.mark.parametrize("given", [{"held": 0}, {"status": "stopping"}])
def test_a_flat_session_and_one_a_person_has_stopped_are_left_alone(watch, clock, owner, settings, given):
    settings.WATCHDOG_FLATTEN_S = 60.0
    factories.SessionFactory(owner=owner, **given)
    look(watch, clock)
    look(watch, clock, after_s=61)
    assert watch.rescue.wanted == set()
