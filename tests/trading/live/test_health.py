"""Model health: measured from the latest decisions, unknown where it cannot be."""

import numpy as np
import pytest

from agents.models import Backtest
from agents.policies import baseline
from agents.services import Seat, create_council
from market.features import PRESETS
from market.kernel import health as kernel
from tests import factories
from tests.agents.council.members import made_model
from tests.agents.markets import stored, walk
from trading import breakers, health
from trading.models import RiskProfile

NAMES = ("entropy", "psi", "ks", "turnover")


def trained_on(rows):
    edges, shares = kernel.quantile_bins(rows)
    return {"edges": edges.tolist(), "shares": shares.tolist()}


@pytest.fixture
def session(db):
    made = factories.SessionFactory(held=0, model__metrics={"turnover_per_day": 2.0})
    made.risk = RiskProfile(min_entropy=0.1, max_psi=0.25, max_ks=0.3, max_turnover=3.0)
    return made


def fed(session, rows, probabilities, inputs):
    kept = [health.Reference(np.array(inputs["edges"]), np.array(inputs["shares"]))] if inputs else []
    watched = health.Health(kept)
    for row in rows:
        watched.see(session, probabilities, row.tolist())
    return watched


def verdict(session):
    session.peak_equity = session.day_equity = session.week_equity = session.cash
    return breakers.look(session, session.cash, is_flat=True, now_ms=0)


def draws(seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(128, 4)) + shift


def test_inputs_like_those_of_training_trip_nothing(session):
    fed(session, draws(1), [0.4, 0.3, 0.3], trained_on(np.random.default_rng(9).normal(size=(5000, 4))))
    assert session.health["psi"] < 0.25
    assert session.health["entropy"] > 0.9
    assert verdict(session).state == "active"


def test_inputs_outside_the_training_range_lead_to_safe_mode(session):
    fed(session, draws(1, 3.0), [0.4, 0.3, 0.3], trained_on(np.random.default_rng(9).normal(size=(5000, 4))))
    assert session.health["psi"] > 1
    assert session.health["ks"] > 0.7
    found = verdict(session)
    assert (found.state, found.reason.rpartition(":")[0]) == (
        "safe", "the inputs are outside the training range (PSI)",
    )  # fmt: skip
    assert found.reason.endswith(", the limit is 0.25")


def test_a_policy_that_has_collapsed_leads_to_safe_mode(session):
    fed(session, draws(1), [0.999, 0.0005, 0.0005], None)
    assert verdict(session).reason.startswith("the model's actions have collapsed")


def test_turnover_beyond_the_validated_one_leads_to_safe_mode(session):
    for _ in range(20):
        order = factories.OrderFactory(session=session)
        factories.FillFactory(order=order, quantity=1, price=10_000, filled_ms=session.price_ms)
    fed(session, draws(1), [0.4, 0.3, 0.3], None)
    assert session.health["turnover"] == pytest.approx(200_000 / 25_000.5 / 2, abs=1e-3)
    assert verdict(session).reason == "turnover is beyond what validation has shown: 4 times, the limit is 3"


def test_what_cannot_be_measured_is_unknown_and_trips_nothing(session):
    session.model.metrics = {}
    fed(session, draws(1, 50.0)[:56], [0.999, 0.0005, 0.0005], None)
    assert session.health == dict.fromkeys(NAMES)
    assert verdict(session).state == "active"
    fed(session, draws(1, 50.0), [], None)  # a model from before its inputs were kept, without probabilities
    assert session.health == dict.fromkeys(NAMES)


def test_a_fixed_rule_has_no_health(db):
    session = factories.SessionFactory(model=None, baseline="momentum")
    fed(session, draws(1, 50.0), [1.0, 0.0], None)
    assert session.health == {}


def test_a_fresh_driver_reads_the_latest_decisions_back(session):
    for row in draws(2)[:70]:
        factories.DecisionFactory(
            session=session, features=row.tolist(), probabilities=[0.5, 0.5], model_hash="h"
        )
    factories.DecisionFactory(session=session, features=[1.0], probabilities=[1.0, 0.0], model_hash="lost")
    policy = baseline("cash")
    policy.policy_hash = "h"
    watched = health.Health.of(session, policy)
    assert watched.kept == 70
    assert watched.measured()["entropy"] == 1.0


def test_only_the_latest_decisions_count_in_a_block_that_does_not_grow(session):
    watched = fed(session, draws(1, 9.0), [0.999, 0.001], None)
    size = watched._rows.nbytes
    for row in draws(2):
        watched.see(session, [0.5, 0.5], row.tolist())
    latest = fed(session, draws(2), [0.5, 0.5], None)
    assert watched.measured() == latest.measured()
    assert watched._rows.nbytes == size
    assert np.array_equal(np.sort(watched._rows, axis=0), np.sort(latest._rows, axis=0))


# --- councils


def vote(member, *probabilities, weight=1.0):
    return {"member": member, "weight": weight, "vote": "BUY" if probabilities else "",
            "probabilities": list(probabilities), "failure": ""}  # fmt: skip


def test_a_councils_entropy_is_that_of_its_models_whichever_way_votes_count(db):
    session = factories.SessionFactory(model=None, council=factories.CouncilFactory())
    watched = health.Health(voices=frozenset({"a", "b", "c"}))
    votes = [vote("a", 0.5, 0.5, 0.0), vote("b", 0.0, 0.5, 0.5, weight=3.0), vote("rule", 1.0, 0.0, 0.0),
             vote("c"), vote("watcher", 0.0, 0.0, 1.0, weight=0.0)]  # fmt: skip
    counted = [0.0, 1.0, 0.0]
    assert watched.said(session, counted, {"votes": votes}) == pytest.approx([0.125, 0.5, 0.375])
    assert watched.said(session, counted, {"votes": [vote("a"), vote("rule", 1.0, 0.0, 0.0)]}) == []


def test_of_a_council_the_model_that_strays_furthest_counts_by_its_own_columns():
    edges, shares = kernel.quantile_bins(np.random.default_rng(9).normal(size=(5000, 2)))
    calm = health.Reference(edges, shares, np.array([0, 1]))
    strays = health.Reference(edges, shares, np.array([3, 2]))
    rows = draws(1)
    rows[:, 2:] += 3.0
    for references, is_beyond in (([calm], False), ([calm, strays], True), ([strays, calm], True)):
        watched = health.Health(references)
        for row in rows:
            watched._take([0.5, 0.5], row)
        found = watched.measured()
        assert (found["psi"] > 1, found["ks"] > 0.7) == (is_beyond, is_beyond)


def test_a_model_that_cannot_be_asked_has_no_entropy(session):
    assert health.Health().said(session, [1.0, 0.0, 0.0], {"votes": [vote("it")]}) == []
    assert health.Health().said(session, [0.2, 0.8], {}) == [0.2, 0.8]


def test_a_councils_turnover_is_held_against_its_newest_backtest(db):
    council = factories.CouncilFactory()
    backtest = factories.BacktestFactory(baseline="", council=council, metrics={"turnover_per_day": 4.0})
    session = factories.SessionFactory(model=None, council=council, held=0)
    session.interval_ms = backtest.series.interval_ms
    order = factories.OrderFactory(session=session)
    factories.FillFactory(order=order, quantity=1, price=10_000, filled_ms=session.price_ms)
    assert health.turnover_of(session) == pytest.approx(10_000 / float(session.cash) / 4, abs=1e-3)
    Backtest.objects.update(status="failed")
    assert health.turnover_of(session) is None


@pytest.fixture
def seats(user, monkeypatch):
    monkeypatch.setattr(health, "LEAST", 4)
    monkeypatch.setattr(health, "EVERY", 2)
    candles = walk(700, seed=4)
    series = stored(candles, user)
    rows = np.random.default_rng(1).normal(50.0, 1.0, size=(500, 40))

    def seated(name, columns, **given):
        inputs = trained_on(rows[:, :columns])
        return Seat(model=made_model(user, series, candles, name, inputs=inputs, **given))

    return seated


@pytest.mark.parametrize(
    ("limit", "words"),
    [({"min_entropy": 0.999}, "the model's actions have collapsed"), ({"max_psi": 0.5}, "(PSI)"),
     ({"max_ks": 0.5}, "(KS)")],
)  # fmt: skip
def test_a_councils_health_leads_to_safe_mode(live, user, seats, limit, words):
    columns = len(PRESETS["price"])
    members = [seats(name, columns, features="price", window=at) for at, name in enumerate(("one", "two"), 1)]
    council = create_council(owner=user, name="c", members=[*members, Seat(baseline="momentum")])
    live.start("", council=council, risk=limit).bar(8)
    assert live.session.risk_state == "safe"
    assert words in live.session.note
    assert 0 < live.session.health["entropy"] < 1
    live.die()
    live.take().bar()
    assert live.seat.health.kept == live.session.decisions.count()  # read back, none of them twice


def test_a_council_of_fixed_rules_is_unknown_as_a_fixed_rule_is(live, user, client, monkeypatch):
    monkeypatch.setattr(health, "LEAST", 4)
    monkeypatch.setattr(health, "EVERY", 2)
    members = [Seat(baseline="buy_and_hold"), Seat(baseline="momentum")]
    council = create_council(owner=user, name="c", members=members)
    live.start("", council=council, risk={"min_entropy": 0.99, "max_psi": 0.0001}).bar(8)
    assert (live.session.health, live.session.risk_state) == ({}, "active")
    client.force_login(user)
    assert "PSI unknown" in client.get("/risk/overview/").content.decode()
