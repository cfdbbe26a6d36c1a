"""Breakers and entry guards of a session on the sandbox."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.trading.live.test_turns import Crash
from trading import selectors, services, sessions, states
from trading.exchanges.errors import Unreachable
from trading.models import Alert, LiveSession, RiskProfile, RiskState
from trading.weighing import watch


def limits(live, **changes):
    RiskProfile.objects.filter(pk=live.session.risk_id).update(**changes)


@pytest.mark.parametrize("limit", ["daily_loss", "weekly_loss", "max_drawdown"])
def test_a_breaker_acts_on_an_open_position_that_nobody_has_closed(live, limit):
    live.start("buy_and_hold").bar()
    held = live.session.held
    marks = {"daily_loss": "day_equity", "weekly_loss": "week_equity", "max_drawdown": "peak_equity"}
    LiveSession.objects.update(**{marks[limit]: live.session.capital * 2})
    limits(live, **{limit: 0.4})
    live.turn()
    live.turn()
    session = live.session
    assert held > 0 == session.held
    assert session.risk_state == RiskState.HALTED
    assert session.note in session.orders.first().reason
    assert live.books() == live.ledger()


def test_a_new_week_begins_on_monday_with_the_equity_of_its_first_mark(live):
    live.start("cash").bar()  # 2024-01-01 is a Monday
    LiveSession.objects.update(week_equity=1)
    live.venue.advance(6 * 86_400_000)
    live.turn()
    assert live.session.week_equity == 1
    live.venue.advance(86_400_000)
    live.turn()
    assert live.session.week_equity == live.session.capital


def test_a_clock_that_wobbles_over_midnight_forgives_no_loss(live):
    """Each fall back to the old day would take the loss for the new one's beginning."""
    live.start("cash").turn()
    seat, day, quote = live.seat, 86_400_000, live.exchange.quotes()["BTC/USD"]
    monday = quote.at_ms - quote.at_ms % day + 7 * day  # 2024-01-01 is a Monday
    for seconds, lost in ((-1, 0), (1, 2000), (-0.5, 0), (2, 0)):
        at_ms = monday + int(seconds * 1000)
        sessions._mark(seat, replace(quote, at_ms=at_ms), at_ms)
        seat.session.cash -= lost
    assert (seat.session.day_equity, seat.session.week_equity) == (50_000, 50_000)


def test_nor_does_it_forgive_a_plan_one(core):
    plan, monday = core.plan, 1_704_672_000_000  # 2024-01-08
    for seconds, equity in ((-1, 40_000), (1, 40_000), (-0.5, 38_000), (2, 38_000)):
        watch._mark(plan, Decimal(equity), monday + int(seconds * 1000))
    plan.refresh_from_db()
    assert (plan.day_equity, plan.week_equity) == (40_000, 40_000)


def test_losses_in_a_row_lead_to_safe_mode_and_its_end_back(live):
    live.start("buy_and_hold", risk={"max_loss_streak": 2, "safe_cooldown_s": 600.0})
    LiveSession.objects.update(loss_streak=2)
    live.bar()
    session = live.session
    assert session.risk_state == RiskState.SAFE
    assert session.note == "too many losses in a row: 2 of 2"
    assert session.loss_streak == 0
    assert 0 < session.held * session.price <= session.capital * Decimal("0.0501")
    assert "safe mode" in session.decisions.first().risk_reason
    assert Alert.objects.filter(key=f"risk:{session.pk}", closed_at=None).exists()
    live.bar(11)
    assert live.session.risk_state == RiskState.ACTIVE
    assert live.session.note == ""
    assert not Alert.objects.filter(key=f"risk:{session.pk}", closed_at=None).exists()


def test_a_person_ends_safe_mode_with_a_reason(live):
    live.start("cash", risk={"max_loss_streak": 1}).bar()
    LiveSession.objects.update(loss_streak=1)
    assert live.turn().risk_state == RiskState.SAFE
    services.resume_from_halt(session=live.session, reason="looked", by=live.user)
    assert live.turn().risk_state == RiskState.ACTIVE


def test_many_failed_calls_lead_to_safe_mode(live, monkeypatch):
    live.start("cash").bar()
    from trading import sessions

    real = sessions._guard
    with monkeypatch.context() as patch:
        patch.setattr(sessions, "_guard", lambda *a: (_ for _ in ()).throw(Unreachable("down")))
        for _ in range(12):
            live.turn()
    assert real is sessions._guard
    assert live.turn().risk_state == RiskState.SAFE
    assert live.session.note.startswith("too many failed calls to the venue: ")


def test_a_closing_fill_with_a_loss_counts_and_starts_the_cool_downs(live):
    live.start("buy_and_hold", risk={"loss_cooldown_s": 3600.0}).bar()
    LiveSession.objects.update(entry_price=live.session.price * 2, high_water=live.session.price * 2)
    limits(live, stop_loss=0.1)
    live.turn()
    session = live.session
    assert session.held == 0
    assert (session.loss_streak, session.last_exit_ms) == (1, session.last_loss_ms)
    limits(live, stop_loss=0.0)
    live.bar(3)
    assert live.session.held == 0
    assert "since the last loss, 3600 s must pass: exits only" in live.session.decisions.first().risk_reason
    live.bar(60)
    assert live.session.held > 0


def test_an_old_price_is_not_entered_on_and_still_left_on(live):
    live.start("buy_and_hold", risk={"entry_stale_s": 0.001, "max_stale_s": 3600.0})
    live.venue.advance(60_000)
    quote = live.exchange.quotes()["BTC/USD"]
    from trading import sessions

    sessions.step(live.seat, quote=quote, now_ms=quote.at_ms + 5)
    live.session.refresh_from_db()
    assert live.session.held == 0
    assert "old, entries need 0.001 s: exits only" in live.session.decisions.get().risk_reason
    limits(live, entry_stale_s=600.0)
    assert live.bar().held > 0
    services.flatten_session(session=live.session, by=live.user)
    limits(live, entry_stale_s=0.001)
    quote = live.exchange.quotes()["BTC/USD"]
    sessions.step(live.seat, quote=quote, now_ms=quote.at_ms + 5)
    live.session.refresh_from_db()
    assert live.session.held == 0


def test_a_price_far_from_the_last_close_is_not_entered_on(live):
    live.start("buy_and_hold", risk={"price_collar": 0.00000001})
    live.bar(3)
    assert any("away from the last close" in row.risk_reason for row in live.session.decisions.all())


def test_a_position_stays_below_its_largest_value(live):
    live.start("buy_and_hold", risk={"max_position": 1000.0}).bar()
    session = live.session
    assert 900 < session.held * session.orders.get().expected_price <= 1000
    assert session.decisions.get().risk_reason == "position cut to its maximum value"


def test_what_a_person_forgives_is_shown_all_the_same(live):
    """Limits count from today's equity again; the day's loss and the fall from the top have happened."""
    live.start("cash").bar()
    lost, shown = Decimal(-2500), selectors.session_figures
    LiveSession.objects.update(cash=live.session.capital + lost)
    for _ in range(2):  # the second forgives nothing more
        LiveSession.objects.update(risk_state=RiskState.HALTED)
        services.resume_from_halt(session=live.session, reason="looked at it", by=live.user)
        live.bar()
        assert live.session.day_equity == live.session.peak_equity == live.session.cash
        assert (shown(live.session).pnl_today, shown(live.session).pnl_total) == (lost, lost)
        assert shown(live.session).drawdown == -lost / live.session.capital
    live.venue.advance(86_400_000)
    live.turn()
    assert (shown(live.session).pnl_today, shown(live.session).pnl_total) == (0, lost)


def test_what_is_said_of_a_halted_session_ends_with_it(live):
    live.start("buy_and_hold").bar()
    LiveSession.objects.update(day_equity=live.session.capital * 2)
    limits(live, daily_loss=0.4)
    live.turn()
    live.turn()
    assert live.session.risk_state == RiskState.HALTED
    assert Alert.objects.filter(key=f"risk:{live.session.pk}", closed_at=None).exists()
    services.stop_session(session=live.session, by=live.user)
    live.turn()
    assert not Alert.objects.filter(key=f"risk:{live.session.pk}", closed_at=None).exists()


def test_the_end_of_safe_mode_is_stored_with_its_state(live, monkeypatch):
    """Who took over in between would have found the cool-down over, and what led to it forgotten."""
    live.start("cash", risk={"max_loss_streak": 2, "safe_cooldown_s": 600.0}).bar()
    LiveSession.objects.update(loss_streak=2)
    seen = []
    real = states.change_risk_state

    def dies(session, *args, **changes):
        seen.append(LiveSession.objects.get(pk=session.pk).loss_streak)
        assert real(session, *args, **changes)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(sessions, "change_risk_state", dies)
        with pytest.raises(Crash):
            live.turn()
    row = LiveSession.objects.get(pk=live.session.pk)
    assert (row.risk_state, row.loss_streak) == (RiskState.ACTIVE, 2), "neither without the other"
    live.die()
    live.take()
    monkeypatch.setattr(sessions, "save_marks", lambda *_, **__: (_ for _ in ()).throw(Crash))
    with pytest.raises(Crash):
        live.turn()
    row = LiveSession.objects.get(pk=live.session.pk)
    assert (row.risk_state, row.loss_streak) == (RiskState.SAFE, 0)
    assert row.safe_until_ms > live.exchange.now_ms() + 500_000
    monkeypatch.undo()
    live.die()
    assert live.take().turn().risk_state == RiskState.SAFE
