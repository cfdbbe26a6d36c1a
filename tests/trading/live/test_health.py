"""Model health: measured from the latest decisions, unknown where it cannot be."""

import numpy as np
import pytest

from market.kernel import health as kernel
from tests import factories
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
    watched = health.Health(inputs)
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
    assert verdict(session) == breakers.Verdict("safe", "the inputs are outside the training range (PSI)")


def test_a_policy_that_has_collapsed_leads_to_safe_mode(session):
    fed(session, draws(1), [0.999, 0.0005, 0.0005], None)
    assert verdict(session).reason.startswith("the model's actions have collapsed")


def test_turnover_beyond_the_validated_one_leads_to_safe_mode(session):
    for _ in range(20):
        order = factories.OrderFactory(session=session)
        factories.FillFactory(order=order, quantity=1, price=10_000, filled_ms=session.price_ms)
    fed(session, draws(1), [0.4, 0.3, 0.3], None)
    assert session.health["turnover"] == pytest.approx(200_000 / 25_000.5 / 2, abs=1e-3)
    assert verdict(session).reason == "turnover is beyond what validation has shown"


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
        factories.DecisionFactory(session=session, features=row.tolist(), probabilities=[0.5, 0.5])
    watched = health.Health.of(session)
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
