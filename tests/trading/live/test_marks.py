"""Marks and equity points are stored as the ORM stores them, and not over what changed meanwhile."""

from contextlib import nullcontext
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError

from market.prepared import Rows
from trading import states
from trading.models import Decision, EquityPoint, LiveSession, RiskState

ODD = {
    "price": Decimal("68123.123456789012"), "bid": Decimal("0.000000000001"), "ask": Decimal("7E+3"),
    "price_ms": 1_700_000_000_123, "levels": {"0.5": [1, "x"]}, "day": date(2024, 2, 29), "bars_held": 3,
    "stop_price": Decimal(0), "peak_equity": Decimal("10000.5"), "health": {"entropy": 0.25, "words": "a'b"},
}  # fmt: skip


@pytest.fixture
def session(live):
    live.start("cash")
    live.turn()
    return live.session


def stored(session):
    return LiveSession.objects.filter(pk=session.pk).values(*states.MARKS).get()


def test_marks_are_stored_as_by_the_orm(session):
    LiveSession.objects.filter(pk=session.pk).update(**ODD)
    wanted = stored(session)
    LiveSession.objects.filter(pk=session.pk).update(**{name: getattr(session, name) for name in ODD})
    assert stored(session) != wanted
    states.reload(session)
    for name, value in ODD.items():
        setattr(session, name, value)
    states.save_marks(session)
    assert stored(session) == wanted
    assert LiveSession.objects.get(pk=session.pk).turn_at == session.turn_at


def test_marks_are_not_stored_over_what_a_person_or_a_plan_changed(session):
    states.reload(session)
    session.peak_equity = Decimal(1)
    LiveSession.objects.filter(pk=session.pk).update(risk_state=RiskState.HALTED)
    states.save_marks(session)
    assert stored(session)["peak_equity"] != 1
    assert session.stored_marks is None
    LiveSession.objects.filter(pk=session.pk).update(risk_state=session.risk_state, capital=Decimal(5))
    session.plan_id = 1  # as a plan's session reads its row; none is stored
    states.save_marks(session)
    assert stored(session)["peak_equity"] != 1
    session.capital = Decimal(5)
    states.save_marks(session)
    assert stored(session)["peak_equity"] == 1


def test_prices_alone_wait_a_second_but_never_a_whole_bar(session):
    session.refresh_from_db()
    states.adopt(session, states.WITH_RELATED.get(pk=session.pk))
    before = stored(session)
    session.price, session.price_ms = session.price + 1, session.price_ms + session.interval_ms - 1
    session.turn_at = session.turn_at + timedelta(days=1)  # a second is not over yet
    states.save_marks(session, passing=states.PRICES)
    assert stored(session) == before
    session.price_ms += 1
    states.save_marks(session, passing=states.PRICES)
    assert stored(session)["price"] == session.price
    session.price += 1
    session.stop_price = Decimal(7)
    states.save_marks(session, passing=states.PRICES)
    assert stored(session)["stop_price"] == 7


def test_a_point_is_written_once_an_instant_and_renewed(session):
    at_ms = 1_700_000_000_000
    for price in (Decimal("3.000000000001"), Decimal(4)):
        states.point(session, at_ms, price)
    row = EquityPoint.objects.get(session=session, at_ms=at_ms)
    assert (row.price, row.cash, row.held) == (4, session.cash, session.held)
    assert row.equity == session.cash + session.held * 4
    assert 0 <= row.drawdown < 1


def test_a_decision_is_stored_as_by_the_orm(session):
    given = {
        "session": session, "decided_ms": 1_700_000_000_000, "price": Decimal("0.000000000001"),
        "action": "BUY", "target": None, "probabilities": [0.1, 0.2, 0.7],
        "value": -0.0, "confidence": 1e-300, "sized": 1.0,
        "risk_reason": "it's \"cut\" ½", "features": [1e-9, -3.5, 2.0], "votes": {"a": {"b": [None, True]}},
        "observation_hash": "o" * 64, "model_hash": "m" * 64, "latency_us": 7,
    }  # fmt: skip
    by_orm, mine = Decision.objects.create(bar_ms=1, **given), Decision(bar_ms=2, **given)
    states.store_decision(mine)
    rows = [Decision.objects.filter(pk=one.pk).values().get() for one in (by_orm, mine)]
    assert [row.pop("bar_ms") for row in rows] == [1, 2]
    assert rows[1].pop("id") == rows[0].pop("id") + 1
    assert rows[0] == rows[1]
    assert not mine._state.adding
    mine.action = "HOLD"
    mine.save()
    assert Decision.objects.get(pk=mine.pk).action == "HOLD"


def test_a_second_decision_of_a_bar_is_refused_by_the_database(session):
    for number in range(2):
        one = Decision(session=session, bar_ms=1, decided_ms=2, price=Decimal(1), action="HOLD")
        with pytest.raises(IntegrityError) if number else nullcontext():
            states.store_decision(one)


def test_rows_compared_are_the_same_objects_until_something_changes(session, live):
    rows = Rows(LiveSession, without=["turn_at"])
    before = rows([session.pk])[session.pk]
    LiveSession.objects.update(turn_at=None)
    assert rows([session.pk])[session.pk] is before
    LiveSession.objects.update(note="somebody was here")
    after = rows([session.pk])[session.pk]
    assert after != before
    assert rows([]) == {}
    assert rows([session.pk, -1]) == {session.pk: after}
