"""The loop that drives sessions, in this process, on the sandbox."""

import gc

from market import leases
from market.models import Lease
from tests.queue import queued
from tests.trading.live.conftest import Hand, Inline, Live
from trading import accounts, services, sessions
from trading.models import Alert, LiveSession, SessionStatus
from trading.runner import loop
from trading.runner.supervisor import Stall, enqueue_lost_sessions


def test_the_runner_takes_up_trades_and_gives_back(live, give_back):
    session = give_back("random", settings={"turnover": 0.9, "seed": 2})
    runner = Hand(live.venue, 12).drive()
    session.refresh_from_db()
    assert runner.turns >= 10
    assert session.fills.count() >= 2
    assert live.books() == live.ledger()
    assert not leases.is_held(session.lease_name)
    assert session.turn_at is not None


def test_one_ticker_call_serves_all_sessions_of_a_venue(live, give_back, user, venue, account):
    give_back("cash", capital=100)
    other = Live(user, venue, account).start("cash", pair="ETH/USD")
    other.seat.lease.release()
    before = venue.state()["unsigned_calls"].get("/v3/ticker", 0)
    runner = Hand(venue, 8).drive()
    calls = venue.state()["unsigned_calls"]["/v3/ticker"] - before
    assert runner.turns == 2 * calls


def test_a_session_that_fails_every_turn_does_not_stop_the_others(
    live, give_back, user, venue, account, monkeypatch
):
    bad = give_back("cash", capital=100)
    good = Live(user, venue, account).start("buy_and_hold", pair="ETH/USD")
    good.seat.lease.release()
    real = sessions.step

    def step(seat, **given):
        if seat.session.pk == bad.pk:
            raise RuntimeError("a bug in this session")
        real(seat, **given)

    monkeypatch.setattr(sessions, "step", step)
    Hand(venue, 12).drive()
    assert good.session.fills.count() == 1
    assert "a bug in this session" in Alert.objects.get(key=f"turns:{bad.pk}").text
    assert LiveSession.objects.get(pk=bad.pk).status == SessionStatus.PENDING


def test_a_venue_that_is_down_leaves_the_session_waiting_and_it_goes_on_afterwards(live, give_back):
    session = give_back("buy_and_hold")
    live.venue.faults(http_5xx_before={"value": 503, "paths": ["ticker"], "times": 4})
    Hand(live.venue, 40).drive()
    session.refresh_from_db()
    assert session.status == SessionStatus.RUNNING
    assert live.books() == live.ledger()
    assert session.fills.count() == 1


def test_a_wrong_secret_fails_the_session_with_a_sentence(live, give_back):
    session = give_back("cash")
    from trading.accounts import rotate_secret

    rotate_secret(account=live.account, secret="wrong" * 12)
    Hand(live.venue, 4).drive()
    session.refresh_from_db()
    assert session.status == SessionStatus.FAILED
    assert session.note


def test_a_mended_secret_is_taken_by_a_runner_that_other_sessions_keep_alive(live, give_back, market):
    market(start=False).start("cash", settings={}).seat.lease.release()
    session = give_back("cash")
    good = accounts.open_secret(live.account)
    accounts.rotate_secret(account=live.account, secret="wrong" * 12)
    hand = Hand(live.venue, 40)
    runner = loop.Runner(monotonic_s=hand.monotonic_s, hands=Inline())
    rounds(runner, hand, 4)
    session.refresh_from_db()
    assert session.status == SessionStatus.FAILED
    accounts.rotate_secret(account=live.account, secret=good)
    services.resume_session(session=session, by=live.user)
    rounds(runner, hand, 4)
    session.refresh_from_db()
    assert session.status == SessionStatus.RUNNING


def test_a_secret_replaced_while_a_session_is_driven_does_not_fail_it(live, give_back, caplog):
    session = give_back("cash")
    good = accounts.open_secret(live.account)
    accounts.rotate_secret(account=live.account, secret="wrong" * 12)  # the one the venue takes no more
    hand = Hand(live.venue, 40)
    runner = loop.Runner(monotonic_s=hand.monotonic_s, hands=Inline())
    runner._scan()
    accounts.rotate_secret(account=live.account, secret=good)
    rounds(runner, hand, 4)
    session.refresh_from_db()
    assert session.status == SessionStatus.RUNNING
    assert not Alert.objects.exists()
    assert len(runner._exchanges) == 2
    assert not any(word in caplog.text for word in (good, "wrong" * 12))


def rounds(runner, hand, count):
    for _ in range(count):
        hand.sleep(0)
        runner.round()


def test_a_new_session_is_picked_up_while_others_run(live, give_back, user, venue, account):
    give_back("cash", capital=100)
    late = Live(user, venue, account)

    class Later(Hand):
        def sleep(self, seconds):
            super().sleep(seconds)
            if self.left == 6:
                late.start("cash", pair="ETH/USD").seat.lease.release()

    Later(venue, 10).drive()
    late.session.refresh_from_db()
    assert late.session.status == SessionStatus.RUNNING


def test_a_lost_session_is_asked_for_once_in_three_seconds(live, give_back):
    session = give_back("cash")
    assert enqueue_lost_sessions() == 1
    assert enqueue_lost_sessions() == 1
    assert len(queued("live")) == 1
    Lease.objects.filter(name=session.lease_name).update(enqueued_ms=0)
    enqueue_lost_sessions()
    assert len(queued("live")) == 2


def test_a_driven_session_is_not_asked_for(live):
    live.start("cash")
    assert enqueue_lost_sessions() == 0
    assert queued() == []


def test_a_second_delivery_finds_nothing_to_drive(live):
    live.start("cash")
    assert Hand(live.venue, 5).drive().turns == 0


def test_work_that_waits_too_long_means_a_stalled_queue():
    now = [0.0]
    stall = Stall(lambda: now[0], after_s=30)
    seen = []
    for now[0], waiting in [
        (0, True),
        (20, True),
        (25, False),
        (26, True),
        (50, True),
        (57, True),
        (58, True),
    ]:
        seen.append(stall.see(waiting))
    assert seen == [False, False, False, False, False, True, False]


def test_what_is_to_stop_does_not_wait_for_a_venue_that_is_down(live, give_back):
    session = give_back("buy_and_hold")
    Hand(live.venue, 6).drive()
    services.stop_session(session=session, by=live.user)
    hand = Hand(live.venue, 40)
    hand.venue = Down(live.venue)
    live.venue.stop()
    hand.drive()
    session.refresh_from_db()
    assert (session.status, session.flatten_wanted) == (SessionStatus.STOPPED, False)
    assert session.stopped_ms == session.price_ms > 0  # its books end at the last price it saw
    assert not leases.is_held(session.lease_name)


def test_what_is_still_to_be_sold_waits_for_its_venue(live, give_back):
    session = give_back("buy_and_hold")
    Hand(live.venue, 6).drive()
    services.flatten_session(session=session, by=live.user)
    live.venue.stop()
    hand = Hand(live.venue, 10)
    hand.venue = Down(live.venue)
    hand.drive()
    session.refresh_from_db()
    assert (session.status, session.held > 0) == (SessionStatus.STOPPING, True)


class Down:
    """Time passes, but nobody is there to be told."""

    def __init__(self, venue):
        self.venue = venue

    def advance(self, ms):
        pass


def test_a_stall_is_given_twice_the_time_until_the_work_is_taken():
    """Found by chaos seed 2101: a cluster that starts slowly was ended before it had begun, for ever."""
    now = [0.0]
    stall = Stall(lambda: now[0], after_s=30)

    def seen_after(seconds):
        stall.see(True)
        now[0] += seconds
        return stall.see(True)

    assert [seen_after(31), seen_after(31), seen_after(31), seen_after(100)] == [True, False, True, False]
    stall.see(False)
    assert seen_after(31)


def test_what_is_loaded_before_the_drive_is_walked_through_by_no_collection(db, monkeypatch):
    monkeypatch.setattr(loop.Runner, "run", lambda self, slice_s: gc.get_freeze_count())
    try:
        assert loop.drive() > 10_000
    finally:
        gc.unfreeze()
