"""Sessions share out one purse: the same dollars are never two sessions'."""

from dataclasses import replace
from decimal import Decimal

import pytest

from market.errors import Conflict
from tests.trading.live.conftest import Live, after
from trading import purse, services, sessions, states
from trading.guard import LeaseLost
from trading.models import LiveSession, OrderStatus, ParentOrder, SessionStatus

UNANSWERED = {"value": True, "paths": ["place_order"], "times": 1}


def another(live, pair="ETH/USD", baseline="cash", **options):
    return Live(live.user, live.venue, live.account).start(baseline, pair=pair, **options)


def claimed(*lives):
    for one in lives:
        one.session.refresh_from_db()
    return sum(one.session.cash for one in lives)


def test_proceeds_of_a_sale_nobody_knows_of_are_not_given_to_another(live):
    live.start("buy_and_hold").bar()
    above = live.session.price * 2
    LiveSession.objects.filter(pk=live.session.pk).update(stop_price=above, bracket_price=above)
    live.venue.faults(drop_after=UNANSWERED)
    live.turn()
    assert live.session.orders.first().status == OrderStatus.UNCERTAIN
    other = another(live)
    other.turn()
    assert other.session.started_ms == 0, "it waits"
    live.bar(2)
    assert live.session.orders.last().status == OrderStatus.FILLED
    other.turn()
    assert other.session.status == SessionStatus.FAILED, "all of it is the first session's"
    assert claimed(live, other) <= live.ledger()["USD"] + 1


def test_proceeds_of_a_resting_order_that_nobody_has_looked_at_are_not_either(market):
    live = market((0, 50_000), (130, 51_000), settings={"style": "market"})
    after(live, 60, 2)
    assert live.session.held > 0
    settings = {"style": "limit", "deadline_s": 600, "requote_s": 600}
    LiveSession.objects.filter(pk=live.session.pk).update(settings=settings, baseline="cash")
    now_ms = live.exchange.now_ms()
    ParentOrder.objects.create(
        session=live.session, style="limit", side="SELL", quantity=live.session.held, target=0.0,
        reason="signal SELL", planned_ms=now_ms, until_ms=now_ms + 600_000,
    )  # fmt: skip
    after(live, 10)
    assert live.session.orders.first().status == OrderStatus.OPEN
    live.venue.advance(120_000)  # the price rises: the venue fills it
    row = LiveSession.objects.create(
        owner=live.user, name="other", baseline="cash", account=live.account, pair="ETH/USD",
        interval_ms=60_000, risk=live.session.risk,
    )  # fmt: skip
    assert live.exchange.balances()["USD"].free > 40_000
    assert not sessions.begin(replace(live.seat, session=row), live.exchange.now_ms())
    assert (row.status, row.capital) == (SessionStatus.FAILED, None)
    assert "only 0 USD of the account are free" in row.note


def test_a_wallet_read_before_a_neighbour_bought_gives_nothing_away(live, monkeypatch):
    live.start("buy_and_hold")
    other = another(live)  # nobody has a claim yet
    other.seat.is_checked = True  # compared a moment ago
    seen = other.exchange.balances()
    live.bar(2)
    assert live.session.held > 0
    monkeypatch.setattr(other.exchange, "balances", lambda **_: seen)
    other.turn()
    assert other.session.status == SessionStatus.FAILED
    assert claimed(live, other) <= live.ledger()["USD"] + 1


def test_a_failed_session_does_not_come_back_to_cash_that_others_have(live):
    live.start("cash").turn()
    states.fail(live.session, "its pair is not listed any more", live.exchange.now_ms())
    live.die()
    other = another(live, capital=Decimal(45_000))
    other.turn()
    with pytest.raises(Conflict, match=r"45000\.00 USD of the cash .* belong to other sessions by now"):
        services.resume_session(session=live.session, by=live.user)
    services.stop_session(session=other.session)
    other.turn()
    assert services.resume_session(session=live.session).status == SessionStatus.RUNNING


def test_a_failed_session_with_a_position_can_be_flattened_although_others_have_its_cash(live):
    live.start("buy_and_hold", capital=Decimal(20_000), risk={"max_exposure": 0.5}).bar(2)
    states.fail(live.session, "its pair is not listed any more", live.exchange.now_ms())
    live.die()
    other = another(live)
    other.turn()
    with pytest.raises(Conflict, match="belong to other sessions"):
        services.resume_session(session=live.session)
    services.flatten_session(session=live.session)
    live.take().turn()
    assert (live.session.held, live.session.status) == (0, SessionStatus.STOPPING)
    live.turn()
    assert live.session.status == SessionStatus.STOPPED
    assert live.books() == pytest.approx(live.ledger(), abs=Decimal("0.02"))


def test_a_driver_whose_wallet_came_too_late_begins_no_session_again(live, monkeypatch):
    live.start("buy_and_hold", capital=Decimal(20_000))
    first, real = live.seat, live.exchange.balances

    def late(**given):
        wallet = real(**given)
        monkeypatch.undo()
        live.die()
        live.take().bar(2)  # another driver has begun it, and bought
        return wallet

    first.is_checked = True
    monkeypatch.setattr(live.exchange, "balances", late)
    quotes = live.exchange.quotes()
    with pytest.raises(LeaseLost):
        sessions.step(first, quote=quotes["BTC/USD"], now_ms=live.exchange.now_ms())
    live.session.refresh_from_db()
    fill = live.session.fills.get()
    assert live.session.cash == Decimal(20_000) - fill.quantity * fill.price - fill.fee
    assert live.session.status == SessionStatus.RUNNING


def test_what_one_session_owes_is_no_money_for_another(live):
    live.start("cash", capital=Decimal(20_000)).turn()
    LiveSession.objects.update(cash=Decimal(-50))
    beside = LiveSession(account=live.account, pair="ETH/USD")
    assert purse.capital_of(beside, Decimal(1000), Decimal(1)) == 1000


RESTS = {"style": "limit", "deadline_s": 3000, "requote_s": 3600}


def test_money_that_rests_in_a_neighbours_purchase_is_not_taken_off_twice(live):
    live.start("buy_and_hold", settings=RESTS, capital=Decimal(25_000)).turn()
    assert live.session.orders.get().status == OrderStatus.OPEN
    other = another(live, capital=Decimal(25_000))
    other.turn()
    assert (other.session.status, other.session.capital) == (SessionStatus.RUNNING, 25_000)
    assert claimed(live, other) == live.books()["USD"] == 50_000


def test_proceeds_nobody_knows_of_are_not_given_away_beside_a_resting_purchase(live):
    live.start("buy_and_hold", settings=RESTS, capital=Decimal(25_000)).turn()
    assert live.session.orders.get().status == OrderStatus.OPEN
    seen = live.exchange.balances()["USD"].free + 20_000  # somebody has just sold, and no books say so yet
    row = LiveSession(account=live.account, pair="ETH/USD")
    free = min(seen, purse.booked(row) - purse.resting(row))
    assert purse.capital_of(row, free, Decimal(1)) == 25_000
