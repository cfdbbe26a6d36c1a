"""Turns of a session on the sandbox."""

import itertools
from decimal import Decimal

import pytest

from market import leases
from tests.trading.live.conftest import MINUTE
from trading import orders, services, sessions
from trading.guard import LeaseLost
from trading.models import Alert, LedgerKind, LiveSession, OrderStatus, RiskState, SessionStatus


def test_a_session_buys_and_its_books_are_the_venues_to_the_last_digit(live):
    live.start("buy_and_hold")
    session = live.bar(2)
    assert session.status == SessionStatus.RUNNING
    assert [order.status for order in session.orders.all()] == [OrderStatus.FILLED]
    assert live.books() == live.ledger()
    assert session.held == live.ledger()["BTC"]
    assert session.cash == live.ledger()["USD"]


def test_every_bar_is_decided_on_once_and_holds_are_stored(live):
    live.start("buy_and_hold")
    live.bar(4)
    live.turn()
    decisions = list(live.session.decisions.order_by("bar_ms"))
    assert [decision.action for decision in decisions] == ["BUY", "HOLD", "HOLD", "HOLD"]
    assert {b.bar_ms - a.bar_ms for a, b in itertools.pairwise(decisions)} == {60_000}
    assert all(len(d.observation_hash) == 64 and d.model_hash for d in decisions)


def test_the_account_opens_with_what_the_venue_shows(live):
    live.start("cash").bar()
    opening = live.account.ledger.filter(kind=LedgerKind.OPENING)
    assert [(entry.coin, entry.amount) for entry in opening] == [("USD", Decimal(50000))]


def test_books_are_equal_after_many_trades(live):
    live.start("random", settings={"turnover": 0.8, "seed": 3})
    live.bar(25)
    session = live.session
    assert session.fills.count() >= 8
    assert live.books() == live.ledger()
    spent = sum(fill.quantity * fill.price + fill.fee for fill in session.fills.all())
    assert session.cash == session.capital - spent
    assert session.fees == sum(fill.fee for fill in session.fills.all())


def test_no_two_orders_of_an_hour_look_alike(live):
    live.start("random", settings={"turnover": 0.9, "seed": 5})
    live.bar(20)
    looks = [(order.side, order.quantity) for order in live.session.orders.all()]
    assert len(looks) == len(set(looks)) > 8


def test_a_stop_loss_sells_on_the_tick(live):
    live.start("buy_and_hold", risk={"stop_loss": 0.0001})
    for _ in range(400):
        live.venue.advance(5_000)
        live.turn()
        if live.session.orders.filter(reason="stop-loss").exists():
            break
    order = live.session.orders.get(reason="stop-loss")
    assert (order.side, order.status, order.decision) == ("SELL", OrderStatus.FILLED, None)
    assert live.session.stop_price == 0 == live.session.held


def test_a_loss_limit_makes_the_session_leave_and_halt_until_a_person_resumes_it(live):
    live.start("buy_and_hold", risk={"max_drawdown": 0.0005})
    for _ in range(400):
        if live.bar().risk_state == RiskState.HALTED:
            break
    session = live.session
    assert session.risk_state == RiskState.HALTED
    assert session.held == 0
    assert "drawdown" in session.note
    bought = session.orders.filter(side="BUY").count()
    live.bar(3)
    assert session.orders.filter(side="BUY").count() == bought
    assert "halted" in session.decisions.first().risk_reason
    services.resume_from_halt(session=session, reason="looked at it", by=live.user)
    live.bar()
    assert session.orders.filter(side="BUY").count() == bought + 1


def test_a_paused_session_decides_nothing_and_goes_on_when_resumed(live):
    live.start("buy_and_hold").bar()
    services.pause_session(session=live.session, by=live.user)
    before = live.bar(3).decisions.count()
    services.resume_session(session=live.session, by=live.user)
    assert before == 1
    assert live.bar(2).decisions.count() == 3


def test_a_paused_session_still_guards_its_stop(live):
    live.start("buy_and_hold", risk={"stop_loss": 0.02}).bar()
    services.pause_session(session=live.session, by=live.user)
    LiveSession.objects.update(entry_price=live.session.price * 2)
    live.turn()
    assert live.session.status == SessionStatus.PAUSED
    assert live.session.held == 0
    assert live.session.orders.first().reason.startswith("stop")


def test_stop_leaves_the_position_and_flatten_sells_it(live):
    live.start("buy_and_hold").bar()
    services.stop_session(session=live.session, by=live.user)
    assert live.turn().status == SessionStatus.STOPPED
    assert live.session.held > 0
    live.die()
    live.start("buy_and_hold", capital=Decimal("5")).bar()
    services.flatten_session(session=live.session, by=live.user)
    live.turn()
    assert live.turn().status == SessionStatus.STOPPED
    assert live.session.held == 0


def test_a_session_whose_time_is_over_sells_and_stops(live):
    live.start("buy_and_hold", duration_s=300).bar(4)
    assert live.session.held > 0
    live.bar(2)
    assert live.turn().status == SessionStatus.STOPPED
    assert live.session.held == 0
    assert live.session.days.count() == 1


def test_two_sessions_share_one_account_without_touching_each_others_money(live, user, venue, account):
    from tests.trading.live.conftest import Live

    one = live.start("buy_and_hold", capital=Decimal("20000"))
    two = Live(user, venue, account).start("random", pair="ETH/USD", settings={"turnover": 0.7})
    for _ in range(8):
        venue.advance(60_000)
        one.turn()
        two.turn()
    assert (one.session.capital, two.session.capital) == (Decimal(20000), Decimal("29999.99"))
    assert one.books() == one.ledger()
    assert Decimal(0) <= one.ledger()["USD"] - one.session.cash - two.session.cash <= Decimal("0.02")


def test_capital_that_is_gone_by_the_first_turn_fails_with_one_sentence(live):
    live.start("cash", capital=Decimal("40000"))
    LiveSession.objects.update(capital=Decimal("60000"))
    live.bar()
    assert live.session.status == SessionStatus.FAILED
    assert "only 50000 USD of the account are free" in live.session.note


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"empty_wallet": True}, ""),
        ({"missing_pair": "BTC/USD"}, "no price"),
        ({"http_5xx_before": {"value": 503, "paths": ["klines"]}}, ""),
    ],
)
def test_a_failed_read_decides_nothing_and_tells_a_person(live, fault, words):
    live.start("buy_and_hold")
    live.venue.faults(**fault)
    live.bar(2)
    assert live.session.orders.count() == live.session.decisions.count() == 0
    alert = Alert.objects.get(key=f"unknown:{live.session.pk}", closed_at=None)
    assert words in alert.text
    live.venue.faults(clear=True)
    live.bar()
    assert live.session.orders.count() == 1
    assert not Alert.objects.filter(key=f"unknown:{live.session.pk}", closed_at=None).exists()


def test_an_empty_wallet_read_leaves_the_books_as_they_are(live):
    live.start("buy_and_hold").bar()
    books = live.books()
    live.venue.faults(empty_wallet=True)
    live.seat.is_checked = False
    live.bar(2)
    assert live.books() == books
    assert live.session.held == books["BTC"]


def test_the_minutes_comparison_comes_behind_the_turn_and_where_it_failed_before_the_next(live):
    live.start("random", settings={"turnover": 1.0}).bar()
    count, proven = live.session.decisions.count(), live.account.reconciliations.count()
    live.seat.wants_check = True
    live.venue.faults(empty_wallet=True)
    live.bar()
    assert live.session.decisions.count() == count + 1  # no order waits for the wallet
    live.bar(2)
    assert live.session.decisions.count() == count + 1  # on books not compared nothing is decided
    live.venue.faults(clear=True)
    live.bar()
    assert live.session.decisions.count() == count + 2
    assert live.account.reconciliations.count() == proven + 1
    live.bar()
    assert live.account.reconciliations.count() == proven + 1  # once is enough


def test_a_frozen_ticker_is_stale_and_decides_nothing(live):
    live.start("random", settings={"turnover": 1.0}).bar()
    count = live.session.decisions.count()
    quote = live.exchange.quotes()["BTC/USD"]
    live.venue.advance(60_000)
    live.exchange.quotes()
    sessions.step(live.seat, quote=quote, now_ms=live.exchange.now_ms())
    assert live.session.decisions.count() == count
    assert "s old" in Alert.objects.get(key=f"unknown:{live.session.pk}").text


def test_a_driver_that_lost_its_lease_decides_and_sends_nothing(live):
    live.start("random", settings={"turnover": 1.0})
    live.turn()
    done = len(live.venue_orders()), live.session.decisions.count()
    live.seat.lease.until_ms = 0  # suspended for longer than its lease; somebody else has taken over
    leases.Lease.objects.filter(name=live.session.lease_name).update(until_ms=0)
    assert leases.acquire(live.session.lease_name) is not None
    live.venue.advance(60_000)
    with pytest.raises(LeaseLost):
        live.turn()
    assert (len(live.venue_orders()), live.session.decisions.count()) == done


def test_a_suspended_driver_does_not_send_an_order_it_had_planned(live, monkeypatch):
    live.start("buy_and_hold")
    real = orders.move

    def slow(order, status, **changes):  # the process is suspended right after the intent became SENDING
        moved = real(order, status, **changes)
        live.seat.lease.until_ms = 0
        return moved

    monkeypatch.setattr(orders, "move", slow)
    with pytest.raises(LeaseLost):
        live.turn()
    assert live.venue_orders() == []
    assert live.session.orders.get().status == OrderStatus.REFUSED


def test_a_planned_order_of_a_dead_driver_is_refused_by_the_next(live, monkeypatch):
    live.start("buy_and_hold")
    monkeypatch.setattr(orders, "send", crash)
    with pytest.raises(Crash):
        live.turn()
    monkeypatch.undo()
    assert live.session.orders.get().status == OrderStatus.PLANNED
    live.die()
    live.take().turn()
    assert live.session.orders.get().status == OrderStatus.REFUSED
    assert live.venue_orders() == []


class Crash(BaseException):
    """kill -9, as far as the database can tell."""


def crash(*args, **kwargs):
    raise Crash


@pytest.mark.parametrize(
    ("poll_s", "advice"),
    [
        (100.0, "Trade on an account with 15 s between prices (this one has 100)."),
        (0.05, "Reading takes longer than"),
    ],
)
def test_polls_longer_than_a_bar_are_told_and_taken_back(live, poll_s, advice):
    live.start("cash")
    type(live.account).objects.update(poll_s=poll_s)
    live.bar(3)
    for _ in range(3):
        live.venue.advance(5 * MINUTE)
        live.turn()
    alert = Alert.objects.get(key=f"pace:{live.session.pk}")
    assert "prices are read 300 s of the venue's time apart, but its bars are 1m long" in alert.text
    assert advice in alert.text
    live.bar(1)
    alert.refresh_from_db()
    assert alert.closed_at is not None


def test_one_long_step_is_an_outage_and_no_alert(live):
    live.start("cash")
    live.bar(2)
    live.venue.advance(9 * MINUTE)
    live.turn()
    live.bar(3)
    assert not Alert.objects.filter(key__startswith="pace:").exists()


def test_an_exit_is_not_put_off_for_a_day_because_the_clock_was_a_day_ahead(live):
    live.start("buy_and_hold").bar()
    live.seat.refused_ms = live.exchange.now_ms() + 86_400_000
    services.flatten_session(session=live.session)
    assert live.bar().held == 0
