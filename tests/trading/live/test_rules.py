"""Sizing, exits and averaging cycles of a session, and what is left of them after kill -9."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from market.plans import average_true_range
from trading import positions, selectors
from trading.bars import stored_bars
from trading.models import Decision, LiveSession, Order, RiskProfile
from trading.parity import verify
from trading.positions import track_of

MEMORY = (*positions.FIELDS, "stop_price", "take_price", "high_water", "bars_held", "atr", "levels")


def memory(session):
    row = LiveSession.objects.get(pk=session.pk)
    return {name: getattr(row, name) for name in MEMORY}


def ranges(session, bars):
    candles = stored_bars(
        session.account.bars(with_volume=False), session.pair, 60_000, 0, session.last_bar_ms
    )
    return average_true_range(candles.high, candles.low, candles.close, bars)


def test_a_fixed_fraction_buys_its_share_and_says_so(live):
    session = live.start("buy_and_hold", risk={"size_fraction": 0.25}).bar(3)
    assert 0.24 < session.held * session.price / session.capital < 0.26
    assert "fixed fraction" in session.decisions.last().risk_reason
    assert session.decisions.last().sized == 0.25
    assert session.orders.count() == 1


def test_risk_at_an_atr_stop_sizes_by_the_range_of_the_closed_bars(live):
    session = live.start("buy_and_hold", risk={"stop_atr": 20.0, "risk_per_trade": 0.001}).bar(2)
    first = session.decisions.last()
    atr = ranges(session, 14)[-2]  # the bar decided on is the one before the newest
    assert first.atr == atr
    assert "equity at risk" in first.risk_reason
    assert first.sized == pytest.approx(0.001 * float(first.price) / (20 * atr), rel=2e-3)
    assert session.stop_kind == 4
    assert session.stop_price == pytest.approx(session.entry_price - 20 * Decimal(atr), rel=Decimal("1e-9"))


def test_parity_repeats_the_average_range_and_names_a_changed_one(live):
    session = live.start("buy_and_hold", risk={"volatility_target": 0.0001}).bar(4)
    assert verify(session).is_equal
    decision = session.decisions.first()
    Decision.objects.filter(pk=decision.pk).update(atr=decision.atr * 1.01)
    [mismatch] = verify(session).mismatches
    assert "average true range" in mismatch.what


def test_levels_cycles_and_statistics_survive_the_end_of_the_process(live):
    profile = {"stop_atr": 20.0, "trailing_atr": 30.0, "reward_ratio": 5.0, "break_even": 0.5, "max_bars": 50}
    before = live.start("buy_and_hold", risk=profile).bar(3)
    assert before.stop_price > 0 < before.take_price
    kept = memory(before)
    live.die()
    live.take().turn()
    after = memory(live.session)
    assert {name for name in MEMORY if after[name] != kept[name]} <= {"high_water", "stop_price", "levels"}
    assert after["stop_price"] >= kept["stop_price"]
    assert track_of(live.session).base == live.session.capital
    assert live.bar().bars_held == 3


def test_a_time_stop_leaves_on_the_tick_after_the_last_close(live):
    live.start("buy_and_hold", risk={"max_bars": 2}).bar(3)
    assert live.session.levels == {"time stop": "1 bars"}
    live.venue.advance(1_000)
    session = live.turn()
    assert session.orders.first().reason == "time stop"
    assert (session.held, session.levels, session.open_equity, session.trades_closed) == (0, {}, 0, 1)


def test_every_level_in_force_is_shown_and_the_acting_one_is_marked(live):
    profile = {"stop_loss": 0.05, "trailing_stop": 0.03, "take_profit": 0.1, "reward_ratio": 1.0}
    live.start("buy_and_hold", risk=profile).bar(2)
    live.turn()
    found = {row["rule"]: row["is_acting"] for row in selectors.levels(live.session)}
    assert found == {"stop-loss": False, "trailing stop": True, "take-profit": False, "bracket target": True}
    labels = [row["label"] for row in selectors.distances(selectors.session_figures(live.session))]
    assert labels[:2] == ["Trailing stop", "Bracket target"]


def cycle(live, **rules):
    risk = {"dca_lots": 3, "dca_first": 0.1, "dca_spacing": 0.0001, "dca_max_loss": 0.5, "dca_profit": 1.0}
    return live.start("momentum", settings={"threshold": -0.5}, risk={**risk, **rules})  # always wants to buy


def test_an_averaging_cycle_buys_lots_as_the_price_falls_and_stops_at_its_number(live):
    cycle(live)
    for _ in range(60):
        if live.bar().lots == 3:
            break
    session = live.session
    assert session.lots == 3 == session.orders.filter(side="BUY").count()
    prices = list(session.fills.order_by("id").values_list("price", flat=True))
    assert prices == sorted(prices, reverse=True)
    live.bar()
    assert "all lots" in session.decisions.first().risk_reason
    assert live.books() == live.ledger()


def test_a_cycle_is_given_up_at_its_bound_and_ends_flat(live):
    cycle(live)
    live.bar(2)
    lost = live.session.open_equity * Decimal("0.6")
    LiveSession.objects.update(open_equity=live.session.open_equity + lost * 2)
    session = live.turn()
    assert session.orders.first().reason == "maximum loss of the cycle"
    assert (session.held, session.lots, session.losses_open) == (0, 0, 1)


def test_what_is_too_little_to_sell_is_no_position(live):
    live.start("buy_and_hold", risk={"stop_loss": 0.5}).bar(2)
    session, quote = live.session, live.exchange.quotes()["BTC/USD"]
    session.held, session.stop_price = Decimal("0.00001"), quote.bid * 2
    before = session.trades_closed
    positions.rest(session, quote.bid)
    assert (session.stop_price, session.bars_held, session.open_equity) == (0, 0, 0)
    assert (session.trades_closed, session.high_water) == (before + 1, quote.bid)
    positions.rest(session, quote.bid)
    assert session.trades_closed == before + 1


def test_nothing_is_entered_before_the_range_is_known(live):
    live.start("buy_and_hold", risk={"stop_atr": 3.0, "risk_per_trade": 0.01})
    wish = positions.sized(live.session, Decimal(1), Decimal(100), live.seat.instrument, 1.0, 0.0)
    assert wish[0] is False
    assert "not known yet" in wish[2][0]
    assert positions.sized(live.session, Decimal(0), Decimal(100), live.seat.instrument, 1.0, 0.0)[0]


def test_the_live_books_hold_what_the_kernel_remembers(live):
    live.start("random", settings={"turnover": 0.9, "seed": 3}, risk={"streak_losses": 2})
    session = live.bar(14)
    assert session.trades_closed == session.fills.filter(quantity__lt=0).count() > 2
    gained = session.cash + session.held * session.price - session.capital
    assert (session.mean_gain - session.mean_loss) * session.trades_closed * session.capital == pytest.approx(
        gained, rel=Decimal("0.3"), abs=Decimal(60)
    )
    assert Order.objects.filter(session=session).exclude(reason="").exists()


def test_a_profile_that_contradicts_itself_is_refused_with_a_sentence():
    with pytest.raises(ValidationError, match="switch a stop on"):
        RiskProfile(name="x", stop_loss=0.0, risk_per_trade=0.01).clean()
    RiskProfile(name="x", stop_loss=0.02, risk_per_trade=0.01).clean()


def looks_taken(live, side, counts):
    """Give the account orders of the last hour with these numbers of quantity steps."""
    step, now_ms = Decimal(live.seat.instrument.step), live.exchange.now_ms()
    Order.objects.bulk_create(
        Order(
            client_ref=f"taken:{side}:{count}", session=live.session, account=live.account,
            pair=live.session.pair, side=side, type="MARKET", quantity=count * step, expected_price=1,
            reason="taken", status="filled", fence=0, planned_ms=now_ms, venue_order_id=f"taken:{count}",
        )
        for count in counts
    )  # fmt: skip
    return step


def test_a_stop_leaves_although_every_smaller_quantity_was_used_within_the_hour(live):
    """Else nothing would be sent, and nobody told."""
    live.start("buy_and_hold", capital=Decimal(1000), risk={"stop_loss": 0.05}).bar()
    held, step = live.session.held, Decimal(live.seat.instrument.step)
    looks_taken(live, "SELL", range(1, int(held / step) + 1))
    LiveSession.objects.filter(pk=live.session.pk).update(stop_price=2 * live.session.price)
    live.turn()
    assert live.session.held == 0
    sold = live.session.orders.filter(side="SELL").exclude(reason="taken").get()
    assert (sold.reason, sold.quantity) == ("stop-loss", held)
    assert live.books() == live.ledger()


@pytest.mark.parametrize(
    ("fault", "statuses"), [("drop_after", ["filled"]), ("drop_before", ["absent", "filled"])]
)
def test_such_a_stop_is_settled_although_nobody_answered(live, fault, statuses):
    live.start("buy_and_hold", capital=Decimal(1000), risk={"stop_loss": 0.05}).bar()
    held, step = live.session.held, Decimal(live.seat.instrument.step)
    looks_taken(live, "SELL", range(1, int(held / step) + 1))
    LiveSession.objects.filter(pk=live.session.pk).update(stop_price=2 * live.session.price)
    live.venue.faults(**{fault: {"value": True, "paths": ["place_order"], "times": 1}})
    for _ in range(3):
        live.bar()
        Order.objects.update(changed_at=timezone.now() - timedelta(seconds=30))
    sold = live.session.orders.filter(side="SELL").exclude(reason="taken").order_by("id")
    assert [(order.status, order.quantity) for order in sold] == [(status, held) for status in statuses]
    assert live.books() == live.ledger()


def test_a_decision_whose_order_cannot_be_told_apart_says_so(live):
    live.start("cash", capital=Decimal(10)).turn()
    looks_taken(live, "BUY", range(1, 30))
    LiveSession.objects.filter(pk=live.session.pk).update(baseline="buy_and_hold")
    live.die()
    live.take().bar(2)
    assert not live.session.orders.exclude(reason="taken").exists()
    assert "too small to be told from other orders" in live.session.decisions.first().risk_reason
