"""One test per bug that live trading code of other projects is known for; each is named after its bug."""

from decimal import Decimal

import numpy as np
import pytest

from agents.policies import baseline
from market.features import compute
from trading import services
from trading.exchanges.errors import ExchangeError
from trading.exchanges.port import Proposal
from trading.models import Alert, ForeignOrders, LiveSession, OrderStatus, Reconciliation, SessionStatus

BTC = "BTC/USD"


def by_hand(live, side, quantity, pair=BTC):
    """Trade on the account as its owner might on the venue's own page."""
    return live.exchange.place(Proposal(pair, side, "MARKET", quantity))


def compare_books(live):
    live.seat.is_checked = False
    return live.turn()


def filled_sides(live):
    done = live.session.orders.filter(status=OrderStatus.FILLED)
    return list(done.order_by("id").values_list("side", flat=True))


def buys(live):
    return live.session.orders.filter(side="BUY", status=OrderStatus.FILLED).count()


@pytest.mark.parametrize(
    "outage",
    [
        {"empty_wallet": True},
        {"drop_before": True},
        {"http_5xx_after": 500},
        {"malformed_json": True},
        {"truncated_json": True},
        {"missing_pair": BTC},
        {"http_429": True},
    ],
)
def test_unknown_is_not_flat_an_outage_does_not_make_it_buy_again(live, outage):
    live.start("buy_and_hold").bar()
    held = live.session.held
    assert (held > 0, buys(live)) == (True, 1)
    live.venue.faults(**outage)
    for _ in range(3):
        live.venue.advance(60_000)
        live.seat.is_checked = False
        try:
            quotes = live.exchange.quotes()
        except ExchangeError:  # the runner, too, has no prices then
            quotes = {}
        live_turn(live, quotes)
    live.venue.faults(clear=True)
    live.bar(2)
    assert live.session.held == held
    assert buys(live) == 1
    assert live.books() == live.ledger()


def live_turn(live, quotes):
    from trading import sessions

    sessions.step(live.seat, quote=quotes.get(live.session.pair), now_ms=live.exchange.now_ms())
    live.session.refresh_from_db()


def test_stale_cached_position_after_manual_close_is_noticed(live):
    live.start("buy_and_hold").bar()
    held, cash = live.session.held, live.session.cash
    report = by_hand(live, "SELL", held)
    session = compare_books(live)
    assert session.held == session.entry_price == 0
    assert session.cash == cash + held * report.average_price - report.fee
    order = session.orders.get(venue_order_id=report.venue_order_id)
    assert (order.reason, order.status) == ("placed by hand", OrderStatus.FILLED)
    assert live.books() == live.ledger()
    assert not live.account.ledger.filter(kind="adjustment").exists()
    assert "the position of" in Alert.objects.get(key=f"books:{live.account.pk}").text
    assert compare_books(live).held == 0
    assert Reconciliation.objects.first().equal


def test_a_partly_closed_position_keeps_the_rest_and_can_be_flattened(live):
    live.start("buy_and_hold").bar()
    held = live.session.held
    part = (held / 3).quantize(Decimal("0.00001"))
    by_hand(live, "SELL", part)
    assert compare_books(live).held == held - part
    services.flatten_session(session=live.session, by=live.user)
    live.turn()
    assert live.turn().status == SessionStatus.STOPPED
    assert live.session.held == 0
    assert live.books() == live.ledger()


def test_a_manual_close_that_is_to_be_ignored_changes_no_session_and_tells_nobody(live):
    type(live.account).objects.update(foreign_orders=ForeignOrders.IGNORE)
    live.account.refresh_from_db()
    live.start("buy_and_hold").bar()
    held = live.session.held
    by_hand(live, "SELL", held)
    assert compare_books(live).held == held
    assert live.books() == live.ledger()
    assert "ignored" in Reconciliation.objects.first().differences[0]["done"]
    assert not Alert.objects.filter(key=f"books:{live.account.pk}").exists()


def test_coins_that_were_bought_by_hand_and_sold_again_are_no_sessions_position(live):
    live.start("buy_and_hold", capital=Decimal(20000)).bar()
    held = live.session.held
    by_hand(live, "BUY", Decimal("0.02"))
    compare_books(live)
    by_hand(live, "SELL", Decimal("0.02"))
    assert compare_books(live).held == held
    assert live.books() == live.ledger()


def test_position_present_at_start_is_neither_sold_nor_counted(live):
    by_hand(live, "BUY", Decimal("0.1"))
    live.start("buy_and_hold", capital=Decimal(20000)).bar()
    assert live.session.capital == 20_000
    assert live.books()["BTC"] == Decimal("0.1") + live.session.held
    services.flatten_session(session=live.session, by=live.user)
    live.turn()
    live.turn()
    assert live.session.held == 0
    assert live.ledger()["BTC"] == Decimal("0.1") == live.books()["BTC"]


def test_failed_close_then_direction_switch_closes_before_anything_is_opened(live):
    """A close that failed: nothing is opened on top of what is still held; the next switch closes first."""
    live.start("random_long_short", settings={"turnover": 1.0, "share": 0.8, "seed": 1}).turn()
    held = live.session.held
    assert held > 0
    live.venue.faults(no_permission=True)
    live.bar()  # it decides to go short, and its close is refused
    assert live.session.decisions.first().target < 0
    live.venue.faults(clear=True)
    live.turn()
    assert live.session.held == held
    assert filled_sides(live) == ["BUY"]
    live.bar()  # the same wish again: now the close is filled, and only then the short opened
    assert filled_sides(live) == ["BUY", "SELL", "SHORT_OPEN"]
    closed, opened = live.session.orders.filter(status=OrderStatus.FILLED).order_by("id")[1:]
    assert (closed.quantity, closed.decision) == (held, opened.decision)
    assert int(closed.venue_order_id) < int(opened.venue_order_id)
    assert live.session.held == -live.session.shorted < 0
    short = {f"{one['pair']} short": Decimal(one["quantity"]) for one in live.venue.account()["shorts"]}
    assert live.books() == live.ledger() | short


def test_a_failed_close_is_tried_again_and_sold_once(live):
    live.start("buy_and_hold").bar()
    held = live.session.held
    services.flatten_session(session=live.session, by=live.user)
    live.venue.faults(no_permission=True)
    live.turn()
    assert live.session.held == held
    assert live.session.status == SessionStatus.STOPPING
    live.venue.faults(clear=True)
    live.venue.advance(15_000)
    live.turn()
    assert live.turn().status == SessionStatus.STOPPED
    assert filled_sides(live) == ["BUY", "SELL"]
    assert live.books() == live.ledger()


def test_observation_failing_while_a_position_is_open_keeps_the_position_and_its_stop(live):
    live.start("buy_and_hold", risk={"stop_loss": 0.02}).bar()
    live.turn()  # the stop is set from the first quote after the fill
    held, stop = live.session.held, live.session.stop_price
    assert stop > 0
    live.venue.faults(http_5xx_before={"value": 503, "paths": ["klines"]})
    live.bar(3)
    assert (live.session.held, live.session.stop_price) == (held, stop)
    assert Alert.objects.filter(key=f"unknown:{live.session.pk}", closed_at=None).exists()
    LiveSession.objects.update(entry_price=live.session.price * 2)  # far below its stop, still without bars
    live.turn()
    assert live.session.held == 0


def test_an_unclosed_bar_is_never_in_the_observation(live):
    live.start("buy_and_hold").bar(2)
    seat = live.seat
    for _ in range(3):
        live.venue.advance(17_000)  # into the next bar, which has opened and not closed
        live.turn()
        now_ms = live.exchange.now_ms()
        assert seat.feed.last_ms + 2 * live.session.interval_ms > now_ms >= seat.feed.last_ms + 60_000
    decided = live.session.decisions.first()
    assert decided.bar_ms + live.session.interval_ms <= decided.decided_ms
    needs = baseline("buy_and_hold").observation.feature_set
    from trading.bars import stored_bars

    bars = stored_bars(live.seat.feed.market, BTC, 60_000, decided.warm_from_ms, decided.bar_ms)
    assert np.array_equal(np.asarray(decided.features), compute(bars, needs)[-1])


def test_fee_headroom_an_all_in_order_leaves_the_fee_and_a_moving_touch(live):
    live.start("buy_and_hold").bar()
    order, session = live.session.orders.get(), live.session
    assert order.status == OrderStatus.FILLED  # and was not refused for want of the fee
    spent = sum(fill.quantity * fill.price + fill.fee for fill in session.fills.all())
    assert Decimal("0.99") * session.capital < spent <= session.capital


def test_negative_cash_never_happens_over_many_all_in_trades(live):
    live.start("random", settings={"turnover": 0.9, "seed": 12})
    live.bar(30)
    cash, held = live.session.capital, Decimal(0)
    fills = list(live.session.fills.order_by("id"))
    assert len(fills) > 10
    for fill in fills:
        cash, held = cash - fill.quantity * fill.price - fill.fee, held + fill.quantity
        assert cash >= 0
        assert held >= 0
    assert live.books() == live.ledger()


def test_forced_churn_a_policy_that_wants_what_it_has_trades_nothing(live):
    """Fees, rounding and distinct quantities leave a little cash; it must not be traded bar after bar."""
    live.start("buy_and_hold")
    live.bar(15)
    assert live.session.decisions.count() == 15
    assert live.session.orders.count() == 1
