"""Plans of a portfolio's model: limits, people, refusals; pages, REST and commands."""

from decimal import Decimal as D
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from agents.models import TrainedModel
from market.errors import BadInput, Conflict
from tests.trading.live.test_commands import told
from tests.trading.live.weights import Driven, portfolio_model, start
from trading import services
from trading.models import (
    Alert,
    AlertKind,
    LiveSession,
    OrderStatus,
    PortfolioPlan,
    RiskProfile,
    RiskState,
    SessionStatus,
)
from trading.weighing.books import members_of, moves_to, spare_of

amounts = st.integers(0, 10**8).map(lambda cents: D(cents) / 100)


@given(
    lack=st.decimals(-(10**6), 10**6, places=8),
    spare=st.dictionaries(st.integers(2, 9), amounts),
)
def test_a_buyer_gets_what_it_lacks_and_nobody_gives_what_it_has_not(lack, spare):
    moves = moves_to(1, lack, spare)
    assert sum(moves.values()) == 0
    got, there = moves.get(1, D(0)), sum(spare.values(), D(0))
    assert got == 0 if lack <= 0 else min(lack, there) <= got < lack + D("0.01")
    assert all(-spare[pk] <= amount < 0 for pk, amount in moves.items() if pk != 1)


def statuses(core):
    return {row.status for row in core.sessions()}


def test_its_sessions_pause_go_on_and_stop_together(core, user):
    core.bar(2)
    services.pause_session(session=core.members[1].session, by=user)
    assert statuses(core) == {SessionStatus.PAUSED}
    core.bar()
    held = core.decisions()[-1]
    assert not held.is_made
    assert "is paused" in held.reason
    services.resume_plan(plan=core.plan, by=user)
    assert statuses(core) == {SessionStatus.RUNNING}
    core.bar()
    assert core.decisions()[-1].is_made
    with pytest.raises(Conflict):
        services.resume_plan(plan=core.plan, by=user)
    assert services.stop_all(sessions=LiveSession.objects.filter(owner=user), flatten=True, by=user) == (
        2,
        [],
    )
    core.bar(2)
    assert statuses(core) == {SessionStatus.STOPPED}
    assert {row.held for row in core.sessions()} == {0}
    assert core.members[0].books() == core.members[0].ledger()
    with pytest.raises(Conflict, match="stopped already"):
        services.stop_plan(plan=core.plan, by=user)


def test_a_loss_limit_acts_on_the_equity_of_the_whole_plan(core, user):
    core.bar(3)
    profile = RiskProfile.objects.get(name="plan")
    PortfolioPlan.objects.update(day_equity=D(40000) * D("1.02"))
    RiskProfile.objects.filter(pk=profile.pk).update(daily_loss=0.05)
    core.bar()
    assert {row.risk_state for row in core.sessions()} == {RiskState.ACTIVE}, "2 % lost, 5 % allowed"
    PortfolioPlan.objects.update(day_equity=D(40000) * D("1.1"))
    core.bar(2)
    assert {row.risk_state for row in core.sessions()} == {RiskState.HALTED}
    assert {row.held for row in core.sessions()} == {0}
    assert all("equity of the whole plan" in row.note for row in core.sessions())
    core.bar()
    assert "halted" in core.decisions()[-1].reason
    services.resume_from_halt(session=core.members[1].session, reason="I have looked", by=user)
    assert {row.risk_state for row in core.sessions()} == {RiskState.ACTIVE}
    core.bar(2)
    assert core.decisions()[-1].is_made
    assert {row.risk_state for row in core.sessions()} == {RiskState.ACTIVE}


def remembered(core, count):
    """Let the plan's newest decision have been made `count` times before."""
    made = core.plan.decisions.filter(is_made=True).latest("bar_ms")
    for place in range(1, count + 1):
        made.pk, made.bar_ms = None, made.bar_ms - core.plan.interval_ms * 1000 - place
        made.save(force_insert=True)


@pytest.fixture
def strange(user, account, profile, venue):
    """The model's inputs lie where its training never was, and it trades more than it did there."""
    model = portfolio_model(user, learned_at=100.0)
    model.metrics = {"turnover_per_day": 0.01}
    model.save()
    return Driven(start(user, account, profile, model), user, venue, account)


def test_the_health_of_its_model_is_measured_over_all_pairs_and_acts_on_all(strange, user):
    strange.bar(2)
    plan = PortfolioPlan.objects.get()
    assert plan.health["psi"] is None, "too few decisions"
    remembered(strange, 64)
    traded = sum(abs(fill.quantity * fill.price) for row in strange.sessions() for fill in row.fills.all())
    strange.bar()
    plan.refresh_from_db()
    assert plan.health["psi"] > 1
    assert plan.health["ks"] > 0.5
    assert plan.health["entropy"] is None
    assert plan.health["turnover"] == pytest.approx(
        float(traded / strange.facts()["equity"]) / 0.01, rel=0.02
    )
    assert {row.risk_state for row in strange.sessions()} == {RiskState.ACTIVE}, "limits are off"
    shown = APIClient()
    shown.force_login(user)
    assert shown.get(f"/api/v1/plans/{plan.pk}/").json()["health"] == plan.health
    first = strange.members[0].session
    assert shown.get(f"/api/v1/sessions/{first.pk}/").json()["health"] == plan.health
    for page in (
        reverse("plan", args=[plan.pk]),
        reverse("session", args=[first.pk]),
        reverse("risk-overview"),
    ):
        assert f"PSI {plan.health['psi']:.2f}" in shown.get(page).content.decode()

    RiskProfile.objects.update(max_psi=0.25)
    strange.turns()
    assert {row.risk_state for row in strange.sessions()} == {RiskState.SAFE}
    assert all("the plan's model" in row.note for row in strange.sessions())
    assert Alert.objects.filter(kind=AlertKind.BREAKER, closed_at=None).count() == 1
    services.resume_from_halt(session=first, reason="the market is another one now", by=user)
    strange.turns()
    assert {row.risk_state for row in strange.sessions()} == {RiskState.ACTIVE}
    RiskProfile.objects.update(max_psi=0.0, max_turnover=2.0)
    strange.bar()
    strange.turns()
    assert {row.risk_state for row in strange.sessions()} == {RiskState.SAFE}


def test_one_pair_alone_may_lose_what_the_plan_as_a_whole_does_not(core):
    core.bar(3)
    RiskProfile.objects.update(daily_loss=0.05, max_drawdown=0.05)
    LiveSession.objects.filter(pk=core.members[0].session.pk).update(
        day_equity=D(90000), peak_equity=D(90000)
    )
    core.bar()
    assert {row.risk_state for row in core.sessions()} == {RiskState.ACTIVE}


def test_a_large_buy_waits_for_a_person_and_its_money_with_it(core, user):
    RiskProfile.objects.update(approval_above=100.0)
    core.bar(2)
    waiting = [order for row in core.sessions() for order in row.orders.filter(status=OrderStatus.WAITING)]
    assert waiting
    for order in waiting:
        session = LiveSession.objects.get(pk=order.session_id)
        assert session.cash >= order.quantity * order.expected_price
        services.approve_order(order=order, by=user)
    core.turns()
    assert {order.status for row in core.sessions() for order in row.orders.all()} >= {OrderStatus.FILLED}
    cash, left = core.money()
    assert cash == left


def test_a_cap_cuts_what_the_model_wants_and_the_reason_is_stored(core, user):
    services.set_cap(owner=user, max_total=D(1500), by=user)
    core.bar(3)
    held = sum(row.held * row.price for row in core.sessions())
    assert 0 < held < 1600
    assert any("others hold" in row.risk_reason for s in core.sessions() for row in s.decisions.all())


@pytest.mark.parametrize(
    ("changes", "words", "field"),
    [
        ({"pairs": ["BTC/USD", "SOL/USD"]}, "weighs BTC, ETH in this order", "pairs"),
        ({"pairs": ["BTC/USD", "ETH/EUR"]}, "the same quote currency", "pairs"),
        ({"pairs": ["BTC/USDT", "ETH/USDT"]}, "has no pair 'BTC/USDT'", "pair"),
        ({"weights": {"BTC/USD": 0.5}}, "either weights or a model", "weights"),
        ({"model": None}, "either weights or a model", "weights"),
        ({"band": 0.1}, "its own band and rhythm", "band"),
        ({"interval": "1h"}, "has learned on 1m bars", "interval"),
        ({"capital": D(60000)}, "only 50000 USD of the account are free", "capital"),
        ({"capital": D(1)}, "too small", "capital"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_written(user, account, profile, changes, words, field):
    with pytest.raises(BadInput) as refused:
        start(user, account, profile, **({"model": portfolio_model(user)} | changes))
    assert words in refused.value.message
    assert refused.value.field == field
    assert not LiveSession.objects.exists()
    assert not PortfolioPlan.objects.exists()


def test_volume_needs_a_source_of_candles(user, account, profile):
    account.candles_url = ""
    account.save()
    model = portfolio_model(user, features="full")
    with pytest.raises(BadInput, match="no candle source"):
        start(user, account, profile, model)


def test_a_model_whose_files_have_changed_is_refused_and_a_plan_that_runs_holds(core, user, settings):
    model = TrainedModel.objects.get()
    core.bar()
    (Path(settings.VAR_DIR) / model.path / "card.json").write_text("{}")
    with pytest.raises(BadInput, match="have changed"):
        start(user, core.account, RiskProfile.objects.get(name="plan"), model, name="again")
    core.die()
    core.bar(2)
    assert statuses(core) == {SessionStatus.RUNNING}, "its stops go on"
    held = core.decisions()[-1]
    assert not held.is_made
    assert "have changed" in held.reason
    told_of = Alert.objects.filter(kind="council", closed_at=None)
    assert told_of.filter(text__contains="only guards its stops").exists()
    assert services.stop_plan(plan=core.plan, flatten=True, by=user) == 2
    core.bar(2)
    assert {row.held for row in core.sessions()} == {0}


@pytest.mark.parametrize("name", ["/plans/", "chart/"])
def test_pages_show_it_to_its_owner_alone(core, client, user, name):
    core.bar(2)
    client.force_login(user)
    address = reverse("plan" if name == "/plans/" else "plan-chart", args=[core.plan.pk])
    text = client.get(address).content.decode()
    assert "BTC/USD" in text
    assert str(core.decisions()[-1].weights[0])[:3] in text or "%" in text
    client.force_login(User.objects.create_user("stranger"))
    assert client.get(address).status_code == 404


def test_the_start_form_starts_it_with_the_venues_pairs(user, account, profile, client):
    model = portfolio_model(user, pairs=("BTC/USDT", "ETH/USDT"))
    user.groups.add(Group.objects.get(name="operator"))
    client.force_login(user)
    given = {
        "name": "learned",
        "account": account.pk,
        "model": model.pk,
        "capital": "1000",
        "risk": profile.pk,
    }
    wrong = client.post(reverse("plans"), given)
    assert wrong.status_code == 422
    assert "has no pair" in wrong.content.decode()
    answer = client.post(reverse("plans"), given | {"pairs": "BTC/USD, ETH/USD"})
    plan = PortfolioPlan.objects.get()
    assert (answer.status_code, answer.url) == (302, reverse("plan", args=[plan.pk]))
    assert plan.model == model
    assert [row.pair for row in plan.sessions.order_by("pk")] == ["BTC/USD", "ETH/USD"]
    assert plan.capital == 1000
    assert client.post(reverse("plan-act", args=[plan.pk, "pause"])).status_code == 302
    assert {row.status for row in plan.sessions.all()} == {SessionStatus.PAUSED}


def test_the_command_starts_it_and_a_session_says_where_to(user, account):
    model = portfolio_model(user)
    answer = told(
        "start_plan", "learned", "--account", "sandbox", "--model", model.name, "--capital", "2000",
        "--pairs", "BTC/USD,ETH/USD",
    )  # fmt: skip
    assert len(answer["sessions"]) == 2
    with pytest.raises(CommandError, match="start a portfolio plan with it"):
        told("start_session", "--account", "sandbox", "--model", model.name, "--pair", "BTC/USD")


def test_rest_starts_shows_and_pauses_it(user, account):
    model = portfolio_model(user)
    user.groups.add(Group.objects.get(name="operator"))
    client = APIClient()
    client.force_authenticate(user)
    body = {"name": "learned", "account": account.pk, "model": model.pk, "capital": "2000"}
    made = client.post("/api/v1/plans/", body, format="json")
    assert made.status_code == 201, made.content
    live = Driven(PortfolioPlan.objects.get(), user, None, account)
    assert made.json()["model"] == model.pk
    assert client.post(f"/api/v1/plans/{live.plan.pk}/pause/").status_code == 200
    assert client.post(f"/api/v1/plans/{live.plan.pk}/pause/").status_code == 409
    assert client.post(f"/api/v1/plans/{live.plan.pk}/resume/").json()["parts"][0]["status"] == "running"


def test_rest_shows_decisions_and_equity(core, user):
    core.bar(4)
    client = APIClient()
    client.force_authenticate(user)
    rows = client.get(f"/api/v1/plans/{core.plan.pk}/decisions/").json()["results"]
    assert [row["bar_ms"] for row in rows] == [row.bar_ms for row in reversed(core.decisions())]
    assert rows[0]["weights"] == core.decisions()[-1].weights
    curve = client.get(f"/api/v1/plans/{core.plan.pk}/equity/").json()
    assert len(curve) == 4
    found = client.get(f"/api/v1/plans/{core.plan.pk}/").json()
    assert (found["sharpe"], found["max_drawdown"] <= 0) == (None, True), "a ratio of minutes says nothing"
    assert D(found["equity"]) == D(found["pnl"]) + 40000


def test_the_cash_of_a_member_that_has_failed_is_not_spent_by_the_others(core):
    buyer, other = members_of(core.plan)
    other.cash = D(500)
    assert spare_of([buyer, other], buyer) == {other.pk: other.cash}
    other.status = SessionStatus.FAILED  # it is in nobody's keeping: another session may have it by now
    assert spare_of([buyer, other], buyer) == {}
