"""The finished days of a session."""

from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.db.models import F

from tests.trading.live.conftest import MINUTE
from trading import contest, plans, services
from trading.models import EquityPoint, LiveSession
from trading.summaries import close_days

HOUR, DAY = 3_600_000, 86_400_000


@pytest.fixture
def session(live):
    """A session with an equity point an hour: up 1 each time; the price goes up 2 % once."""
    live.start("cash", capital=1000)
    LiveSession.objects.filter(pk=live.session.pk).update(started_ms=HOUR, interval_ms=HOUR)
    live.session.refresh_from_db()
    for hour in range(1, 30):
        equity, price = Decimal(1000 + hour), Decimal(100 if hour == 1 else 102)
        EquityPoint.objects.create(
            session=live.session,
            at_ms=hour * HOUR,
            equity=equity,
            cash=equity,
            held=0,
            price=price,
            drawdown=0.0,
        )
    return live.session


def test_a_day_is_closed_once_it_is_over(session):
    assert close_days(session, HOUR + DAY - 1) == HOUR + DAY
    assert session.days.count() == 0
    assert close_days(session, HOUR + DAY) == HOUR + 2 * DAY
    close_days(session, HOUR + DAY)
    day = session.days.get()
    assert (day.from_ms, day.to_ms, day.trades) == (HOUR, HOUR + DAY, 0)
    assert day.pnl == 24
    assert day.metrics["return"] == pytest.approx(24 / 1001)
    assert day.metrics["buy_and_hold_return"] == pytest.approx(0.02)
    assert day.metrics["sharpe"] > 0
    assert day.metrics["max_drawdown"] == 0


def test_the_end_closes_the_last_shorter_day(session):
    close_days(session, HOUR + DAY + 3 * HOUR, is_end=True)
    assert [(day.from_ms, day.to_ms) for day in session.days.order_by("from_ms")] == [
        (HOUR, HOUR + DAY),
        (HOUR + DAY, HOUR + DAY + 3 * HOUR),
    ]


def test_a_live_day_counts_its_trades_and_fees(live):
    live.start("buy_and_hold").bar(5)
    services.flatten_session(session=live.session)
    live.turn()
    live.turn()
    day = live.session.days.get()
    assert day.trades == 2
    assert day.fees == live.session.fees > 0
    assert day.pnl == live.session.cash - live.session.capital
    assert day.metrics["fills"] == 2
    assert day.to_ms - day.from_ms < 7 * MINUTE


def test_money_that_a_plan_has_moved_is_neither_profit_nor_loss(session):
    close_days(session, HOUR + DAY)
    before = session.days.get()
    session.days.all().delete()
    points = EquityPoint.objects.filter(session=session)
    points.update(capital=1000)
    points.filter(at_ms__gte=10 * HOUR).update(capital=1500, equity=F("equity") + 500)
    close_days(session, HOUR + DAY)
    day = session.days.get()
    assert day.pnl == before.pnl == 24
    assert 0 < day.metrics["return"] < before.metrics["return"]  # the same profit, of more money
    assert day.metrics["max_drawdown"] == 0


def test_the_contest_score_is_the_same_whatever_money_has_moved(session):
    points = EquityPoint.objects.filter(session=session)
    points.update(at_ms=F("at_ms") * 1000, capital=1000)  # each on a day of its own
    points.filter(at_ms=20_000 * HOUR).update(equity=900)
    before = contest.score(session)
    assert before["contest_score"] is not None
    points.filter(at_ms__gte=10_000 * HOUR).update(capital=1000 + 1009, equity=F("equity") * 2)
    assert contest.score(session) == pytest.approx(before)


def test_what_a_plans_session_was_given_is_unknown_where_it_is_not_on_record():
    points = [(0, 7, None), (1, 8, 5)]
    assert plans.with_capital(SimpleNamespace(plan_id=1, capital=6), points) == [(1, 8, 5)]
    assert plans.with_capital(SimpleNamespace(plan_id=None, capital=6), points) == [(0, 7, 6), (1, 8, 5)]
