"""Bars that close while nobody looks at a session count as if somebody had."""

from decimal import Decimal

import pytest

from market.models import LiveBar
from tests.factories import FillFactory, SessionFactory
from tests.trading.live.conftest import MINUTE
from trading import away
from trading.models import OrderStatus

AWAY = 30  # bars, more than a rule's feed remembers


@pytest.mark.parametrize("is_killed", [True, False])
def test_bars_nobody_looked_at_are_counted_and_marked(live, venue, is_killed):
    live.start("buy_and_hold").bar(3)
    before, left_ms = live.session.bars_held, live.session.last_bar_ms + MINUTE
    if is_killed:
        live.die()
    venue.advance(AWAY * MINUTE)
    if is_killed:
        live.take()
    session = live.turn()
    assert session.bars_held == before + AWAY
    bars = {bar.open_ms + MINUTE: bar.close for bar in LiveBar.objects.filter(pair="BTC/USD")}
    marked = session.equity_points.filter(at_ms__gt=left_ms, at_ms__lte=session.last_bar_ms + MINUTE)
    marked = [point for point in marked if point.at_ms % MINUTE == 0]
    assert [point.at_ms for point in marked] == [at_ms for at_ms in sorted(bars) if at_ms > left_ms]
    assert is_killed or len(marked) == AWAY
    for point in marked:
        assert point.price == Decimal(repr(bars[point.at_ms]))
        assert point.equity == session.cash + session.held * point.price
    assert session.peak_equity >= max(point.equity for point in marked)
    assert list(session.decisions.filter(bar_ms__gte=left_ms).values_list("bar_ms", flat=True)) == [
        session.last_bar_ms
    ]


def test_a_time_stop_that_fell_due_in_an_outage_acts_on_the_first_look(live, venue):
    live.start("buy_and_hold", risk={"max_bars": AWAY}).bar(3)
    live.die()
    venue.advance(AWAY * MINUTE)
    live.take().turn()
    venue.advance(1_000)
    session = live.turn()
    assert session.orders.first().reason == "time stop"
    assert session.held == 0


def test_bars_that_are_not_on_record_any_more_are_counted_by_the_clock(live, venue):
    live.start("buy_and_hold").bar(3)
    before = live.session.bars_held
    live.die()
    venue.advance(3_000 * MINUTE)
    session = live.take().turn()
    assert LiveBar.objects.filter(pair="BTC/USD").count() < 3_000
    assert session.bars_held == before + 3_000


def test_a_position_that_opened_in_the_outage_is_counted_from_its_fill(market):
    live = market((395, 49_980), settings={"style": "limit", "deadline_s": 3_600})
    live.bar(2)
    order = live.session.orders.get()
    assert order.status == OrderStatus.OPEN
    left_ms = live.session.last_bar_ms + MINUTE
    live.die()
    live.venue.advance(10 * MINUTE)
    session = live.take().turn()
    fill = session.fills.get()
    closed_ms = session.last_bar_ms + MINUTE
    assert order.sent_ms + 2 * MINUTE < fill.filled_ms < closed_ms - 2 * MINUTE
    assert session.bars_held == (closed_ms - fill.filled_ms) // MINUTE + 1
    marked = session.equity_points.filter(at_ms__gt=left_ms).order_by("at_ms")
    assert marked[0].at_ms == fill.filled_ms
    assert all(point.held == session.held for point in marked)


@pytest.mark.parametrize(("filled_s", "counted"), [(115, 1), (121, 0)])
def test_a_position_that_opens_behind_a_close_was_not_held_through_that_bar(market, filled_s, counted):
    """Its fill and the bar before it may be seen in one look."""
    live = market((filled_s, 49_980), settings={"style": "limit", "deadline_s": 3_600})
    live.bar()
    assert live.session.orders.get().status == OrderStatus.OPEN
    live.venue.advance(50_000)
    assert live.turn().held == 0
    live.venue.advance(13_000)
    session = live.turn()
    assert (session.held > 0, session.last_bar_ms % (60 * MINUTE)) == (True, MINUTE)
    assert session.bars_held == counted
    assert live.bar().bars_held == counted + 1


@pytest.mark.parametrize(
    ("fills", "is_open"),
    [
        ([(5, "1"), (45, "1"), (61, "1")], True),
        ([(61, "1"), (62, "1")], False),
        ([(5, "0.001"), (61, "3")], False),
        ([(5, "-2"), (61, "3")], False),
    ],
    ids=["a part came behind the close", "opened behind it", "a rest before", "turned behind it"],
)
def test_a_position_is_counted_at_a_close_it_was_open_at(db, fills, is_open):
    session = SessionFactory(held=sum(Decimal(quantity) for _, quantity in fills))
    for at_s, quantity in fills:
        FillFactory(
            session=session, order__session=session, quantity=Decimal(quantity), filled_ms=at_s * 1000
        )
    assert away.was_open(session, 60_000) is is_open
