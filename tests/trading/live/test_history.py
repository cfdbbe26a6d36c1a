"""What happened to a session stays visible: risk states with their reasons, wishes that were given up."""

import pytest

from market.models import AuditEvent
from tests.api.conftest import client_of
from tests.trading.live.conftest import after
from trading import export, selectors, services, states
from trading.models import LiveSession, ParentOrder, RiskState


def shown(live, client, part):
    """Return the session's page and one of its lists in the API, as its owner sees them."""
    client.force_login(live.user)
    page = client.get(f"/sessions/{live.session.pk}/").content.decode()
    rows = client_of(live.user).get(f"/api/v1/sessions/{live.session.pk}/{part}/").json()["results"]
    return page, rows


def changes(live):
    rows = selectors.risk_changes(live.session).order_by("id")
    return [(row.detail["before"], row.detail["after"], row.detail["reason"]) for row in rows]


def test_safe_mode_stays_on_record_once_it_is_over(live, client):
    live.start("cash", risk={"max_loss_streak": 1, "safe_cooldown_s": 120.0}).bar()
    LiveSession.objects.update(loss_streak=1)
    live.bar(4)
    assert (live.session.risk_state, live.session.note) == (RiskState.ACTIVE, "")
    over = "the cool-down of 120 s is over (too many losses in a row: 1 of 1)"
    assert changes(live) == [("active", "safe", "too many losses in a row: 1 of 1"), ("safe", "active", over)]
    page, rows = shown(live, client, "risk-changes")
    assert over in page
    assert [(row["before"], row["after"], row["reason"], row["actor"]) for row in rows] == [
        ("safe", "active", over, None), ("active", "safe", "too many losses in a row: 1 of 1", None),
    ]  # fmt: skip
    assert [row["reason"] for row in export.export(live.session)["risk_changes"]] == [
        "too many losses in a row: 1 of 1", over,
    ]  # fmt: skip


def test_a_halt_and_the_person_who_ended_it_are_on_record(live, client):
    live.start("buy_and_hold").bar()
    LiveSession.objects.update(peak_equity=live.session.capital * 2)
    type(live.session.risk).objects.update(max_drawdown=0.4)
    live.turn()
    live.turn()
    services.resume_from_halt(session=live.session, reason="a deposit was booked late", by=live.user)
    reason = changes(live)[0][2]
    assert "drawdown" in reason
    assert changes(live) == [
        ("active", "reducing", reason), ("reducing", "halted", reason),
        ("halted", "active", "a deposit was booked late"),
    ]  # fmt: skip
    page, rows = shown(live, client, "risk-changes")
    assert "a deposit was booked late" in page
    assert [row["actor"] for row in rows] == [live.user.username, None, None]


def test_a_change_that_a_person_was_quicker_with_leaves_no_record(live):
    live.start("cash").bar()
    LiveSession.objects.update(risk_state=RiskState.HALTED)
    assert not states.change_risk_state(live.session, RiskState.SAFE, "why")
    assert not AuditEvent.objects.filter(action=states.RISK_CHANGE).exists()


@pytest.mark.parametrize(("turns", "orders"), [(1, 1), (0, 0)])
def test_a_wish_that_was_given_up_says_why_beside_its_orders_or_alone(
    market, client, monkeypatch, turns, orders
):
    live = market(settings={"style": "limit", "deadline_s": 600}, start=bool(turns))
    if not turns:  # given up before any order of it was placed
        live.start("buy_and_hold", settings={"style": "limit", "deadline_s": 600})
        monkeypatch.setattr("trading.working._place", lambda *_: None)
    live.turn()
    services.pause_session(session=live.session, by=live.user)
    after(live, 5, turns=2)
    parent = ParentOrder.objects.get()
    assert (parent.status, parent.note) == ("ended", "paused, risk active")
    page, rows = shown(live, client, "orders")
    assert page.count("paused, risk active") == orders + 1
    assert [(row["parent"], row["parent_note"]) for row in rows] == [(parent.pk, parent.note)] * orders
    _, wishes = shown(live, client, "parents")
    assert [(row["status"], row["traded"], row["note"]) for row in wishes] == [("ended", "0", parent.note)]
    assert export.export(live.session)["parents"][0]["note"] == parent.note
