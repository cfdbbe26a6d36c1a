"""What rests on the venue while its prices are unknown, and what a session that is to end waits for."""

import pytest

from tests.trading.live.conftest import Hand, after, check, states
from trading import caps, services, sessions
from trading.models import LiveSession, ParentOrder, RiskState, SessionStatus
from trading.models import OrderStatus as S
from trading.runner import idle

LONG = {"style": "limit", "deadline_s": 600}
FALLS = (100, 49_900)  # through every bid that rests at 50,000


def unseen(live, age_ms=None):
    """Take a turn without a price, or on one that is `age_ms` old."""
    quote = None if age_ms is None else live.exchange.quotes()[live.session.pair]
    now_ms = live.exchange.now_ms() if quote is None else quote.at_ms + age_ms
    sessions.step(live.seat, quote=quote, now_ms=now_ms)
    live.session.refresh_from_db()


@pytest.mark.parametrize("age_ms", [None, 40_000])
@pytest.mark.parametrize("act", ["stop", "flatten"])
def test_who_stops_without_a_price_leaves_no_order_behind(market, act, age_ms):
    live = market(FALLS, settings=LONG)
    live.turn()
    getattr(services, f"{act}_session")(session=live.session)
    unseen(live, age_ms)
    assert states(live) == [("LIMIT", S.CANCELLED)]
    assert live.session.status == SessionStatus.STOPPED
    live.venue.advance(120_000)
    assert live.session.held == 0
    check(live)


def test_nor_where_the_venue_shows_no_prices_at_all(market):
    live = market(FALLS, settings=LONG)
    live.turn()
    services.flatten_session(session=live.session)
    assert not sessions.stop_unseen(live.session), "the runner asks this first"
    sessions.step_unseen(live.seat, "the ticker holds no pairs")
    live.session.refresh_from_db()
    assert (states(live), live.session.status) == ([("LIMIT", S.CANCELLED)], SessionStatus.STOPPED)


def test_it_does_not_stop_while_the_venue_does_not_let_it_withdraw(market):
    live = market(FALLS, settings=LONG)
    live.turn()
    services.flatten_session(session=live.session)
    live.venue.faults(http_429=True)
    unseen(live)
    assert (states(live), live.session.status) == ([("LIMIT", S.OPEN)], SessionStatus.STOPPING)
    live.venue.faults(clear=True)
    after(live, 120, turns=3)
    assert (live.session.held, live.session.status) == (0, SessionStatus.STOPPED)
    assert states(live) == [("LIMIT", S.FILLED), ("MARKET", S.FILLED)], "it filled meanwhile, and was sold"
    check(live)


def test_the_runner_ends_a_session_in_an_outage_of_prices_with_nothing_left(market):
    live = market(FALLS, settings=LONG)
    live.turn()
    live.seat.lease.release()
    live.venue.faults(missing_pair="BTC/USD")
    services.flatten_session(session=live.session)
    Hand(live.venue, 2).drive()
    live.session.refresh_from_db()
    assert (states(live), live.session.status) == ([("LIMIT", S.CANCELLED)], SessionStatus.STOPPED)
    live.venue.faults(clear=True)
    live.venue.advance(120_000)
    live.exchange.server_ms()
    assert idle.check(live.account.pk)
    live.session.refresh_from_db()
    assert live.session.held == 0
    check(live)


def test_a_part_that_filled_before_the_withdrawal_is_still_sold(market):
    live = market((20, 49_900), settings=LONG)
    live.turn()
    services.flatten_session(session=live.session)
    live.venue.advance(30_000)  # it has filled, and nobody has looked
    unseen(live)
    assert states(live) == [("LIMIT", S.FILLED)]
    assert (live.session.status, live.session.flatten_wanted) == (SessionStatus.STOPPING, True)
    after(live, 5, turns=2)
    assert (live.session.held, live.session.status) == (0, SessionStatus.STOPPED)


@pytest.mark.parametrize("state", ["paused", "reducing", "safe"])
@pytest.mark.parametrize("age_ms", [None, 40_000])
def test_no_entry_rests_where_none_may_be_made(market, state, age_ms):
    live = market(FALLS, settings=LONG)
    live.turn()
    field = "status" if state == "paused" else "risk_state"
    LiveSession.objects.update(**{field: state})
    unseen(live, age_ms)
    assert states(live) == [("LIMIT", S.CANCELLED)]
    assert ParentOrder.objects.get().status == "ended"
    check(live)


@pytest.mark.parametrize("act", ["pause", "flatten"])
def test_an_exit_that_rests_goes_on(market, monkeypatch, act):
    live = market(settings=LONG)
    live.turn()
    after(live, 601, turns=2)
    assert live.session.held > 0
    monkeypatch.setattr(live.seat.decider.policy, "wish", lambda values, held: 0.0)
    after(live, 60, turns=2)
    assert states(live)[-1] == ("LIMIT", S.OPEN)
    getattr(services, f"{act}_session")(session=live.session)
    unseen(live)
    assert states(live)[-1] == ("LIMIT", S.OPEN)
    assert live.session.status in (SessionStatus.PAUSED, SessionStatus.STOPPING)


@pytest.mark.parametrize("has_price", [True, False])
def test_an_ended_session_has_no_order_at_work_and_no_cap_counts_one(market, has_price):
    live = market(settings={"style": "split", "children": 4, "over_s": 400})
    live.turn()
    services.stop_session(session=live.session)
    if has_price:
        live.turn()
    else:
        unseen(live)
    assert live.session.status == SessionStatus.STOPPED
    assert ParentOrder.objects.get().status == "ended"
    use = caps.use_of(services.set_cap(owner=live.user, max_total=100_000))
    assert use.total == live.session.held * live.session.price


def test_a_parent_left_at_work_by_an_ended_session_counts_for_nothing(market):
    live = market(settings={"style": "split", "children": 4, "over_s": 400})
    live.turn()
    cap = services.set_cap(owner=live.user, max_total=100_000)
    assert caps.use_of(cap).total > 2 * live.session.held * live.session.price
    LiveSession.objects.update(status=SessionStatus.STOPPED, risk_state=RiskState.ACTIVE)
    assert ParentOrder.objects.get().status == "working"
    assert caps.use_of(cap).total == live.session.held * live.session.price
