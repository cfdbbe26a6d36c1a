"""Contest helpers: no idle day, no over-trading, a score; and where people set and see them."""

from decimal import Decimal as D

import numpy as np
import pytest

from agents.policies.port import Opinion
from agents.spaces import ActionSpec
from market.kernel import metrics
from tests.factories import DecisionFactory, EquityFactory, SessionFactory
from tests.trading.live.conftest import MINUTE
from trading import contest, services, sessions, turnover
from trading.forms import SessionForm
from trading.models import Alert, ExposureCap, OrderStatus
from trading.risk import DAY_MS

DAY_END = 24 * 60


def leaning(monkeypatch, live, probabilities):
    """The policy holds, and these are its probabilities of HOLD, BUY and SELL."""
    opinion = Opinion(0, "HOLD", probabilities, None, None, None)
    monkeypatch.setattr(live.seat.decider.policy, "opine", lambda *_: opinion)


def at_minute(live, minute):
    """Turn at a minute of the first day: once as the bar closes, once 10 s later."""
    began = live.session.started_ms - live.session.started_ms % DAY_MS
    live.venue.advance(began + minute * MINUTE + 2000 - live.exchange.server_ms())
    live.turn()
    live.venue.advance(10_000)
    return live.turn()


def test_an_idle_day_gets_one_small_trade_the_way_the_policy_leans(live, monkeypatch):
    live.start("buy_and_hold", settings={"activity_s": 1800})
    leaning(monkeypatch, live, (0.6, 0.3, 0.1))
    live.turn()
    at_minute(live, DAY_END - 60)
    assert not live.session.orders.exists()  # there is time
    at_minute(live, DAY_END - 20)
    order = live.session.orders.get()
    assert order.reason.startswith("activity floor: the policy leans to more")
    assert order.quantity * order.expected_price == pytest.approx(D(1000), rel=D("0.01"))  # 2 % of 50,000
    at_minute(live, DAY_END - 10)
    assert live.session.orders.count() == 1
    assert live.books() == live.ledger()


def test_where_the_policy_leans_to_neither_side_no_trade_is_invented(live, monkeypatch):
    live.start("cash", settings={"activity_s": 1800})
    live.turn()
    at_minute(live, DAY_END - 20)
    at_minute(live, DAY_END - 15)
    assert not live.session.orders.exists()
    alert = Alert.objects.get(key__startswith="idle:")
    assert "leans to neither side" in alert.text
    assert alert.count == 1


def test_who_leans_to_sell_and_has_nothing_to_sell_does_not_trade(live, monkeypatch):
    live.start("buy_and_hold", settings={"activity_s": 1800})
    leaning(monkeypatch, live, (0.2, 0.0, 0.8))
    live.turn()
    at_minute(live, DAY_END - 20)
    assert not live.session.orders.exists()


@pytest.mark.parametrize(
    ("limits", "age_ms", "why"),
    [
        ({"entry_stale_s": 3.0}, 20_000, "old, entries need 3 s"),
        ({"price_collar": 0.00000001}, 0, "away from the last close"),
    ],
)
def test_the_small_trade_passes_the_guards_of_entries(live, monkeypatch, limits, age_ms, why):
    live.start("cash", settings={"activity_s": 86_400}, risk=limits)
    monkeypatch.setattr(contest, "lean", lambda *_: 0.5)
    live.venue.advance(MINUTE - live.exchange.server_ms() % MINUTE + 20_000)  # away from the bar's close
    quote = live.exchange.quotes()[live.session.pair]
    sessions.step(live.seat, quote=quote, now_ms=quote.at_ms + age_ms)
    assert not live.session.orders.exists()
    assert why in Alert.objects.get(key__startswith="idle:").text


def test_once_the_turnover_budget_is_spent_only_exits_are_made(live, monkeypatch):
    live.start("random", settings={"turnover": 1.0, "turnover_budget": 0.5})
    live.turn()
    for _ in range(5):
        live.bar()
    assert [order.side for order in live.session.orders.order_by("id")] == ["BUY", "SELL"]
    assert "0.5 is the budget: exits only" in live.session.decisions.first().risk_reason
    assert turnover.turnover_today(live.session, live.exchange.now_ms()) > D("1.9")
    assert turnover.spent(live.session, live.exchange.now_ms() + DAY_MS) == ""  # tomorrow is another day


def test_a_day_whose_trade_waits_for_a_person_is_told_as_that_only(live, monkeypatch):
    risk = {"approval_above": 100.0, "approval_s": 86_400.0}
    live.start("buy_and_hold", settings={"activity_s": 1800}, risk=risk)
    leaning(monkeypatch, live, (0.6, 0.3, 0.1))
    live.turn()
    at_minute(live, DAY_END - 20)
    at_minute(live, DAY_END - 15)
    assert live.session.orders.get().status == OrderStatus.WAITING
    assert [one.kind for one in Alert.objects.filter(closed_at=None)] == ["approval"]
    services.reject_order(order=live.session.orders.get(), by=live.user)
    at_minute(live, DAY_END - 10)
    assert live.session.orders.get().status == OrderStatus.REFUSED, "nobody is asked once more"
    assert "asked again from" in Alert.objects.get(closed_at=None).text


@pytest.mark.django_db
def test_a_policy_leans_to_the_mean_of_what_its_actions_ask_for():
    session = SessionFactory()
    asked = ActionSpec("hold_buy_sell", (0.0, 1.0)).asked
    assert contest.lean(session, asked) is None
    row = [0.25, 0.0, 0.0, 0.0, 0.75]
    DecisionFactory(session=session, bar_ms=1, portfolio=row, probabilities=[0.5, 0.4, 0.1])
    assert contest.lean(session, asked) == pytest.approx(0.5 * 0.25 + 0.4 - 0.25)
    DecisionFactory(session=session, bar_ms=2, portfolio=row, probabilities=[1.0, 0.0, 0.0])
    assert contest.lean(session, asked) is None
    DecisionFactory(session=session, bar_ms=3, portfolio=row, probabilities=[], target=0.1)
    assert contest.lean(session, asked) == pytest.approx(-0.15)


@pytest.mark.django_db
def test_the_score_from_daily_closes_is_that_of_the_whole_curve():
    session, random = SessionFactory(), np.random.default_rng(5)
    times = np.arange(1, 24 * 9) * 3_600_000 + 19_700 * DAY_MS
    equity = 50_000 * np.cumprod(1 + random.normal(0.0002, 0.004, len(times)))
    equity = np.round(equity, 2)
    for at_ms, worth in zip(times.tolist(), equity.tolist(), strict=True):
        EquityFactory(session=session, at_ms=at_ms, equity=D(str(worth)))
    found, whole = contest.score(session), metrics.contest(equity, times)
    assert found == pytest.approx(whole)
    assert found["contest_score"] is not None
    early = contest.score(session, int(times[100]))
    assert early == pytest.approx(metrics.contest(equity[:101], times[:101]))


@pytest.mark.django_db
def test_too_few_days_have_no_score():
    assert contest.score(SessionFactory())["contest_score"] is None


@pytest.mark.django_db
def test_the_start_form_gathers_the_execution_settings(user):
    form = SessionForm({"style": "limit", "deadline_s": "90", "children": ""}, user=user)
    form.is_valid()
    assert form.cleaned_data["settings"] == {"style": "limit", "deadline_s": 90.0}
    assert not {"style", "deadline_s"} & set(form.cleaned_data)


def test_a_cap_that_leaves_room_for_the_small_trade_is_no_reason_to_call_the_day_idle(live, monkeypatch):
    settings = {"activity_s": 86_400, "activity_share": 0.2}
    live.start("cash", capital=D(10_000), settings=settings)
    ExposureCap.objects.create(owner=live.user, account=live.account, max_total=D(1000))
    monkeypatch.setattr(contest, "lean", lambda *_: 0.5)
    live.turn()
    live.venue.advance(20_000)
    live.turn()
    order = live.session.orders.get()
    assert order.status == OrderStatus.FILLED
    assert order.quantity * order.expected_price <= 1000
    assert not Alert.objects.filter(key__startswith="idle").exists()


def test_the_days_turnover_binds_every_child(live):
    live.start(
        "buy_and_hold", settings={"style": "split", "turnover_budget": 0.1, "children": 4, "over_s": 40}
    )
    notes = set()
    for _ in range(12):
        live.venue.advance(10_000)
        live.turn()
        notes |= {parent.note for parent in live.session.parents.all()}
    traded = turnover.turnover_today(live.session, live.exchange.now_ms())
    assert traded < D("0.3"), "the first child goes over the budget, no other follows"
    assert any("is the budget" in note for note in notes)
