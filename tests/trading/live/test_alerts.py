"""What was told is taken back once it is over."""

import pytest

from trading import services, sessions
from trading.models import Alert
from trading.runner.baton import Baton
from trading.runner.driven import TELL_AFTER, Driven
from trading.runner.glance import Sight
from trading.runner.shared import Minds


def told():
    return [alert.key.partition(":")[0] for alert in Alert.objects.filter(closed_at=None)]


@pytest.fixture
def driven(live):
    live.start("cash")
    baton = Baton()
    return Driven(live.session, live.exchange, live.seat.lease, baton, Minds(), Sight())


def turn(driven):
    quote = driven.exchange.quotes()[driven.session.pair]
    driven.turn(quote, driven.exchange.now_ms(), 0.0)


def test_failing_turns_are_told_until_one_succeeds(driven, monkeypatch):
    def broken(seat, **given):
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(sessions, "step", broken)
        for _ in range(TELL_AFTER):
            turn(driven)
    assert told() == ["turns"]
    turn(driven)
    assert told() == []


def test_what_a_dead_driver_told_is_taken_back_by_the_next(live):
    live.start("buy_and_hold").bar()
    live.venue.faults(missing_pair="BTC/USD")
    live.bar()
    assert told() == ["unknown"]
    live.venue.faults(clear=True)
    live.die()
    live.take().bar()
    assert told() == []


def test_an_ended_session_leaves_no_doubt_behind(live):
    live.start("buy_and_hold")
    live.venue.faults(no_permission=True)
    live.turn()
    assert told() == ["order"]
    services.stop_session(session=live.session, by=live.user)
    live.turn()
    assert told() == []
