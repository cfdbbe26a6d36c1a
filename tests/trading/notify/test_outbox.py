"""Told once, retried, given up loudly, never lost."""

from datetime import UTC, datetime, time, timedelta

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from trading import alerts
from trading.models import Alert, AlertKind, AlertRule, Delivery
from trading.notify import channels as wires
from trading.notify import outbox
from trading.services import channels

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def clock(db):
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


def statuses():
    return list(Delivery.objects.order_by("id").values_list("status", flat=True))


def raised(user, level="warning", key="k", text="The price is stale.", **given):
    return alerts.raise_alert(user, level, key, text, **given)


def test_an_alert_reaches_its_channel_once_while_it_lasts(clock, user, channel, hook):
    raised(user, kind=AlertKind.DATA_STALE)
    raised(user, text="The price is still stale.", kind=AlertKind.DATA_STALE)
    assert outbox.deliver_due() == 1
    body = hook.bodies[0]
    assert (body["text"], body["count"], body["kind"]) == ("The price is still stale.", 2, "data_stale")
    raised(user, kind=AlertKind.DATA_STALE)
    assert outbox.deliver_due() == 0
    assert Alert.objects.get(key="k").count == 3


def test_a_lasting_alert_is_told_again_after_the_rules_time(clock, user, channel):
    raised(user)
    outbox.deliver_due()
    clock.shift(3601)
    raised(user)
    assert outbox.deliver_due() == 1


def test_what_comes_back_soon_is_told_only_if_it_lasts(clock, user, channel):
    for closes in (True, False):
        raised(user)
        outbox.deliver_due()
        alerts.close_alert(user, "k")
        clock.shift(60)
        raised(user)  # again within the hour: held back
        assert outbox.deliver_due() == 0
        if closes:
            alerts.close_alert(user, "k")
        clock.shift(3600)
        assert outbox.deliver_due() == (0 if closes else 1)
        alerts.close_alert(user, "k")
        clock.shift(4000)


def test_something_critical_that_begins_anew_waits_for_no_hour(clock, user, channel):
    waits = []
    for pause_s in (10, 50, 50):
        raised(user, "critical")
        waits.append((Delivery.objects.latest("id").next_at - timezone.now()).total_seconds())
        clock.shift(pause_s)
        outbox.deliver_due()
        alerts.close_alert(user, "k")
    assert waits == [0, 20, 0]  # half a minute after the telling before, and only if it lasts
    assert statuses() == ["sent", "sent", "sent"]


def test_a_louder_alert_and_another_kind_are_told_at_once(clock, user, channel):
    raised(user, kind=AlertKind.BREAKER)
    raised(user, "critical", kind=AlertKind.BREAKER)
    raised(user, "critical", kind=AlertKind.HALTED)
    assert outbox.deliver_due() == 3


def test_an_acknowledged_alert_is_told_no_more_until_it_becomes_louder(clock, user, channel):
    alert = raised(user)
    channels.acknowledge(alert=alert, by=user)
    assert outbox.deliver_due() == 0
    assert statuses() == ["skipped"]
    raised(user)
    assert statuses() == ["skipped"]
    raised(user, "critical")
    assert outbox.deliver_due() == 1


def test_rules_choose_by_kind_and_level(clock, user, channel):
    AlertRule.objects.all().delete()
    channels.save_rule(owner=user, channel=channel, kinds=["fill"], min_level="info")
    raised(user, "critical")
    alerts.announce(user, AlertKind.FILL, "f", "Bought.")
    alerts.announce(user, AlertKind.DAILY_REPORT, "d", "A day.")
    assert [one.kind for one in Delivery.objects.all()] == ["fill"]


def test_a_fill_nobody_asked_for_leaves_no_row_and_other_events_do(clock, user):
    assert alerts.announce(user, AlertKind.FILL, "f", "Bought.") is None
    assert alerts.announce(user, AlertKind.DAILY_REPORT, "d", "A day.").closed_at is not None


def test_the_watchdogs_alarms_reach_every_channel_when_no_rule_wants_them(clock, user, channel):
    AlertRule.objects.all().delete()
    raised(user, "critical", kind=AlertKind.TRADER_SILENT)
    assert outbox.deliver_due() == 1


def test_two_rules_of_one_channel_send_one_message(clock, user, channel):
    channels.save_rule(owner=user, channel=channel, kinds=[], min_level="info")
    raised(user)
    assert Delivery.objects.count() == 1


def test_no_alert_no_message_and_no_message_without_its_alert(clock, user, channel):
    with transaction.atomic():
        raised(user)
        transaction.set_rollback(True)
    assert (Alert.objects.count(), Delivery.objects.count()) == (0, 0)


def test_a_channel_of_somebody_else_hears_nothing(clock, user, other_user, channel):
    raised(other_user, "critical", kind=AlertKind.TRADER_SILENT)
    assert Delivery.objects.count() == 0


def test_a_failing_receiver_is_asked_less_and_less_often_and_then_given_up_loudly(clock, user, channel, hook):
    factories.ChannelFactory(owner=user, name="other")
    for _ in range(outbox.MAX_ATTEMPTS):
        hook.answer(500, "sorry")
    raised(user)
    waits = []
    for _ in range(outbox.MAX_ATTEMPTS):
        before = Delivery.objects.get(channel=channel)
        clock.move_to(before.next_at)
        claimed = outbox.claim(before.next_at, channel_id=channel.pk)
        outbox.deliver(claimed)
        waits.append((Delivery.objects.get(channel=channel).next_at - before.next_at).total_seconds())
    assert waits[:-1] == [5, 10, 20, 40, 80, 160, 320, 640, 1280]
    given_up = Delivery.objects.get(channel=channel)
    assert (given_up.status, given_up.answer) == ("failed", "the receiver answered 500 sorry")
    told = Alert.objects.get(kind=AlertKind.UNDELIVERED)
    assert [one.channel.name for one in told.deliveries.all()] == ["other"]


def test_a_receiver_that_says_when_is_left_alone_until_then(clock, user, channel, hook):
    hook.answer(429, "slow down", **{"Retry-After": "90"})
    raised(user, key="a")
    raised(user, key="b")
    assert outbox.deliver_due() == 0
    assert len(hook.requests) == 1  # the second message waits, too
    assert all(one.next_at == NOON + timedelta(seconds=90) for one in Delivery.objects.all())
    clock.shift(91)
    assert outbox.deliver_due() == 2


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410])
def test_an_answer_that_will_not_change_is_not_asked_for_again(clock, user, channel, hook, status):
    hook.answer(status, Location=hook.url)
    raised(user)
    assert outbox.deliver_due() == 0
    assert statuses() == ["failed"]
    assert len(hook.requests) == 1


def test_a_refused_connection_is_tried_again(clock, user, channel, hook):
    hook.server.server_close()
    raised(user)
    assert outbox.deliver_due() == 0
    assert statuses() == ["waiting"]
    assert "cannot be reached" in Delivery.objects.get().answer


def test_a_sender_killed_between_send_and_mark_sends_again_under_the_same_key(
    clock, user, channel, hook, monkeypatch
):
    def killed(*args, **given):
        raise SystemExit("as kill -9 does: nothing after the send runs")

    raised(user)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_mark", killed)
        with pytest.raises(SystemExit):
            outbox.deliver_due()
    assert outbox.deliver_due() == 0  # still claimed
    clock.shift(outbox.CLAIM_S + 1)
    assert outbox.deliver_due() == 1
    first, second = (headers["Idempotency-Key"] for _, headers, _ in hook.requests)
    assert first == second


def test_a_delivery_is_claimed_by_one_sender(clock, user, channel):
    raised(user)
    assert outbox.claim(NOON) is not None
    assert outbox.claim(NOON) is None


def test_a_sender_whose_claim_ran_out_marks_nothing(clock, user, channel):
    raised(user)
    late = outbox.claim(NOON)
    clock.shift(outbox.CLAIM_S + 1)
    newer = outbox.claim(NOON + timedelta(seconds=outbox.CLAIM_S + 1))
    outbox.deliver(late)
    assert statuses() == ["waiting"]
    outbox.deliver(newer)
    assert statuses() == ["sent"]


def test_a_bug_in_a_channel_is_a_failed_try_and_no_endless_loop(clock, user, channel, monkeypatch):
    monkeypatch.setitem(wires.SENDERS, "webhook", lambda *_: 1 / 0)
    raised(user)
    assert outbox.deliver_due() == 0
    assert Delivery.objects.get().attempts == 1


def test_a_channel_that_works_again_takes_its_alarm_back(clock, user, channel, hook):
    factories.ChannelFactory(owner=user)
    hook.answer(404)
    raised(user, key="a")
    outbox.deliver(outbox.claim(NOON, channel_id=channel.pk))
    assert Alert.objects.get(kind=AlertKind.UNDELIVERED).closed_at is None
    raised(user, key="b")
    outbox.deliver(outbox.claim(NOON, channel_id=channel.pk))
    assert Alert.objects.get(kind=AlertKind.UNDELIVERED).closed_at is not None


def test_a_channel_switched_off_keeps_silent(clock, user, channel, hook):
    raised(user)
    channels.change_channel(channel=channel, is_active=False)
    assert outbox.deliver_due() == 0
    assert (statuses(), hook.requests) == (["skipped"], [])


def test_at_night_only_what_is_critical_is_told(clock, user, channel):
    AlertRule.objects.update(quiet_from=time(11), quiet_to=time(14))
    raised(user, "warning", key="a")
    raised(user, "critical", key="b")
    assert outbox.deliver_due() == 1
    clock.move_to(NOON + timedelta(hours=2, seconds=1))
    assert outbox.deliver_due() == 1


@given(start=st.times(), end=st.times(), ms=st.integers(0, 400 * 86_400_000))
def test_a_quiet_time_ends_within_a_day_and_outside_of_itself(start, end, ms):
    at = NOON + timedelta(milliseconds=ms)
    rule = AlertRule(quiet_from=start, quiet_to=end)
    later = outbox._after_quiet(rule, at)
    assert at <= later < at + timedelta(days=1)
    assert outbox._after_quiet(rule, later) == later
