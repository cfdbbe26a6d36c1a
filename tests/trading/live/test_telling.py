"""A state and what is told of it are one: neither a locked database nor an outage parts them."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from market import leases
from tests.trading.live.conftest import MINUTE, Inline, Live
from trading import alerts, selectors, services, sessions, states
from trading.exchanges.errors import BadCredentials, ExchangeError, Unreachable
from trading.exchanges.roostoo import Roostoo
from trading.models import Alert, LiveSession, OrderStatus, SessionStatus
from trading.runner.loop import Runner
from trading.watch.silence import Silence
from trading.watch.watchdog import Watchdog


@pytest.fixture
def locked(monkeypatch):
    """The first alert that is written, or taken back, finds the database locked."""

    def lock(name="raise_alert"):
        real, left = getattr(alerts, name), [1]

        def failing(*args, **given):
            if left:
                left.pop()
                raise OperationalError("database is locked")
            return real(*args, **given)

        monkeypatch.setattr(alerts, name, failing)

    return lock


def turns(live, count=4, seconds=0):
    """Take turns as a runner does, which goes on after one that failed."""
    failed = 0
    for _ in range(count):
        live.venue.advance(seconds * 1000)
        try:
            live.turn()
        except OperationalError:
            failed += 1
    live.session.refresh_from_db()
    assert failed == 1, "the lock was met, and once only"
    return live.session


def is_told(key):
    return Alert.objects.filter(key=key, closed_at=None).exists()


def test_a_session_that_fails_is_told_although_the_database_was_locked(live, locked, monkeypatch):
    live.start("buy_and_hold").bar()

    def balances(**_):
        raise BadCredentials("api-key invalid")

    monkeypatch.setattr(live.exchange, "balances", balances)
    live.seat.is_checked = False
    locked()
    assert turns(live).status == SessionStatus.FAILED
    assert is_told(f"failed:{live.session.pk}")


def test_a_breaker_is_told_although_the_database_was_locked(market, locked):
    live = market((100, 45_000), settings={"style": "market"}, risk={"daily_loss": 0.05})
    live.bar()
    locked()
    session = turns(live, count=6, seconds=30)
    assert (session.risk_state, session.held) == ("halted", 0)
    assert set(Alert.objects.filter(key=f"risk:{session.pk}").values_list("count", flat=True)) == {2}


def test_an_order_that_waits_is_told_although_the_database_was_locked(live, locked):
    live.start("buy_and_hold", risk={"approval_above": 1000.0})
    live.venue.advance(MINUTE)
    locked()
    turns(live)
    assert not live.session.orders.exists()  # neither the order nor its alert: the next bar decides anew
    live.bar()
    order = live.session.orders.get()
    assert order.status == OrderStatus.WAITING
    assert is_told(f"approval:{order.pk}")


def test_an_unknown_price_is_told_although_the_database_was_locked(live, locked):
    live.start("buy_and_hold").bar()
    live.venue.faults(missing_pair="BTC/USD")
    locked()
    turns(live)
    assert is_told(f"unknown:{live.session.pk}")


def test_what_is_known_again_is_taken_back_although_the_database_was_locked(live, locked):
    live.start("buy_and_hold").bar()
    live.venue.faults(missing_pair="BTC/USD")
    live.bar()
    live.venue.faults(clear=True)
    locked("close_alert")
    turns(live)
    assert not is_told(f"unknown:{live.session.pk}")


def test_a_refused_order_is_no_state_without_its_alert(live, locked):
    live.start("buy_and_hold")
    live.venue.faults(no_permission=True)
    live.venue.advance(MINUTE)
    locked()
    turns(live, count=1)
    assert live.session.orders.get().status == OrderStatus.SENDING  # the next turn asks what became of it


@pytest.fixture
def outage(live, monkeypatch, settings):
    """A session with a position, its workers restarted while the venue does not answer."""
    settings.WATCHDOG_FLATTEN_S = 60
    live.start("buy_and_hold").bar()
    live.die()
    LiveSession.objects.update(turn_at=timezone.now() - timedelta(minutes=5))

    def down(*_, **__):
        raise Unreachable("nothing answers")

    def begin(*names):
        for name in names:
            monkeypatch.setattr(Roostoo, name, down)
        return live

    return begin


@pytest.mark.parametrize(
    ("silent", "told"), [(("quotes",), "prices"), (("instruments",), "turns")]
)  # the second: prices come by stream, say
def test_a_driver_that_waits_for_its_venue_is_not_nobody(outage, silent, told):
    live, now = outage(*silent), [0.0]
    held = live.session.held
    runner = Runner(monotonic_s=lambda: now[0], sleep=lambda s: None, hands=Inline())
    watch = Watchdog(monotonic_s=lambda: now[0])
    for _ in range(60):
        now[0] += 2
        runner.round()
        watch.look()
    live.session.refresh_from_db()
    assert leases.is_held(live.session.lease_name)
    assert (live.session.status, live.session.flatten_wanted) == (SessionStatus.RUNNING, False)
    assert live.session.held == held > 0
    open_now = Alert.objects.filter(closed_at=None).values_list("key", flat=True)
    assert f"{told}:{live.account.pk if told == 'prices' else live.session.pk}" in open_now
    assert "trader" not in open_now


def test_what_was_told_before_there_was_a_seat_is_taken_back(outage, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Roostoo, "quotes", lambda *_, **__: (_ for _ in ()).throw(ExchangeError("silent")))
        live, now = outage(), [0.0]
        runner = Runner(monotonic_s=lambda: now[0], sleep=lambda s: None, hands=Inline())
        runner.round()
        assert is_told(f"prices:{live.account.pk}")
    for _ in range(20):
        now[0] += 2
        runner.round()
    assert not is_told(f"prices:{live.account.pk}")


def test_a_session_stopped_before_it_began_leaves_no_doubt_behind(live):
    live.start("cash")
    alerts.raise_alert(live.user, "warning", f"unknown:{live.session.pk}", "Nothing answers.", live.session)
    services.stop_session(session=live.session)
    assert live.turn().status == SessionStatus.STOPPED
    assert not is_told(f"unknown:{live.session.pk}")


@pytest.fixture
def two(live, user, venue, account):
    """Two sessions on one account."""
    one = live.start("cash", capital=1000)
    other = Live(user, venue, account).start("cash", pair="ETH/USD", capital=1000)
    one.bar()
    other.turn()
    return one, other


def prices_told(two):
    return list(Alert.objects.filter(key=f"prices:{two[0].account.pk}", closed_at=None))


def dark(two, why="nothing answers"):
    for one in two:
        sessions.step_unseen(one.seat, why)


def test_a_venue_that_dies_is_one_alert_however_many_sessions_it_leaves_blind(two):
    for _ in range(3):
        dark(two)
    [alert] = prices_told(two)
    assert (alert.count, alert.kind, alert.session) == (1, "data_stale", None)
    assert alert.text.startswith("sandbox: nothing answers. Nothing is decided for its sessions")
    assert Alert.objects.count() == 1
    dark(two, "it did not answer in time")
    [alert] = prices_told(two)
    assert (alert.count, "did not answer in time" in alert.text) == (2, True)
    assert all(alert in selectors.live_state(one.session)["alerts"] for one in two)
    for one in two:
        one.turn()
    assert prices_told(two) == []


def test_who_still_sees_nothing_tells_it_again_behind_one_who_does(two):
    dark(two)
    two[0].turn()  # of another process, say: the venue answers that one
    assert prices_told(two) == []
    sessions.step_unseen(two[1].seat, "nothing answers")
    assert len(prices_told(two)) == 1


@pytest.mark.parametrize("ends", ["stop", "fail"])
def test_it_is_over_when_the_last_session_has_ended(two, ends):
    dark(two)
    for one in two:
        assert len(prices_told(two)) == 1
        if ends == "fail":
            states.fail(one.session, "a bug", 1)
            continue
        services.stop_session(session=one.session)
        assert sessions.stop_unseen(one.session)
    assert prices_told(two) == []


def test_the_watchdog_leaves_prices_alone_that_the_driver_has_told_of(two):
    clock = [0.0]
    silence = Silence(lambda: clock[0])
    LiveSession.objects.update(status=SessionStatus.RUNNING)
    silence.stale([])
    clock[0] = 60.0
    assert {one.pk for one in silence.stale([])} == {one.session.pk for one in two}
    dark(two)
    clock[0] = 120.0
    assert silence.stale([]) == []


def test_what_was_told_of_an_uncertain_order_is_over_once_it_is_settled(live):
    live.start("buy_and_hold")
    live.venue.faults(drop_after={"value": True, "paths": ["place_order"], "times": 1})
    live.turn()
    alert = Alert.objects.get(key=f"order:{live.session.pk}")
    assert (alert.level, alert.closed_at, "is uncertain" in alert.text) == ("warning", None, True)
    live.turn()
    assert live.session.orders.get().status == OrderStatus.FILLED
    assert not is_told(f"order:{live.session.pk}")
