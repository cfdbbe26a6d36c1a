"""What pages write: every figure has a definition, a unit and as many places as it deserves."""

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.utils import timezone

from agents.evaluation.score import score_of
from agents.observation import PORTFOLIO
from agents.rl import figures
from agents.rl.training import SHOWN
from market.kernel.metrics import summary
from market.web import definitions, metrics, tags
from market.web.numbers import EMPTY, MINUS
from tests import factories
from trading.selectors import cautions, figures_of
from trading.selectors.risk import folded

DAY_MS = 86_400_000
LOGGED = {*figures.LOGGED.values(), "action_value_loss"}
REPORTED = {*LOGGED, "reward", "episode_return", "valid_score", *(f"valid_{n}" for n in SHOWN)}
KEPT = {"score", "benchmark_return", "benchmark_score", "best_step", "checkpoints_compared", "last_score"}
OURS = {"training_score", "score_gap", "excess_return", "cpu", "rss_mb", "queue"}
BACKTEST = {"decisions", "gated", "final_equity", "benchmark_sharpe", "benchmark_max_drawdown"}
CURVE = np.array([100.0, 101.0, 99.0, 103.0])


def test_every_figure_that_is_reported_is_explained():
    measured = summary(CURVE, np.arange(4) * DAY_MS, DAY_MS)
    for name in {*measured, *REPORTED, *KEPT, *OURS, *BACKTEST}:
        assert metrics.explained(name), name
        assert metrics.label(name), name
    assert set(PORTFOLIO) <= set(definitions.DEFINITIONS)
    assert np.isfinite(score_of(CURVE))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("best_step", 253952, "253,952"),
        ("valid_fills", 51.0, "51"),
        ("valid_max_drawdown", -0.0206, f"{MINUS}2.06 %"),
        ("valid_total_return", -0.016, f"{MINUS}1.60 %"),
        ("fees", 126.946, "126.95 USD"),
        ("gated", 0, "0"),
        ("kl", 0.0016136, "0.00161"),
        ("sharpe", None, EMPTY),
    ],
)
def test_a_figure_has_the_places_and_the_unit_it_needs(name, value, text):
    assert metrics.text(name, value, "USD") == text


def test_figures_of_the_validation_say_so():
    assert metrics.label("valid_sharpe") == "Validation Sharpe"
    assert metrics.label("valid_score") == "Validation score"
    assert metrics.explained("valid_sharpe").startswith("Newest checkpoint")


def test_unknown_figures_are_shown_too():
    assert [row["name"] for row in metrics.rows({"new": 1.5, "sharpe": 1.0})] == ["sharpe", "new"]


def test_amounts_in_books_keep_every_place():
    assert tags.exact(Decimal("-12474.534160")) == f"{MINUS}12,474.53416"
    assert tags.exact(Decimal("50000")) == "50,000"
    assert tags.exact(None) == EMPTY


def test_what_is_left_counts_down():
    assert ">1 h<" in tags.left(timezone.now() + timedelta(hours=1, seconds=1))
    assert tags.left(None) == "never"


@pytest.mark.parametrize(("apart_s", "age_s"), [(0, 40.0), (7 * 86_400, 5.0)])
def test_a_decision_grows_old_although_no_price_follows(db, apart_s, age_s):
    now = timezone.now()
    started_ms = int((now.timestamp() - 100 - apart_s) * 1000)
    session = factories.SessionFactory(started_ms=started_ms, price_ms=started_ms + 65_000)
    found = figures_of(session, equity=None, decided_ms=started_ms + 60_000, now=now)
    assert found.is_replay == bool(apart_s)
    assert found.decision_age_s == pytest.approx(age_s, abs=0.01)


def test_least_limits_are_used_up_as_a_value_falls_to_them(db):
    session = factories.SessionFactory(health={"entropy": 0.4})
    session.risk.min_entropy, session.risk.max_error_share = 0.2, 0.5
    shown = figures_of(session, equity=Decimal(50_000), decided_ms=None, now=timezone.now())
    rows = {row["name"]: row for row in cautions(shown)}
    assert (rows["health_entropy"]["used"], rows["health_entropy"]["left"]) == (0.5, Decimal("0.2"))
    assert (rows["venue_errors"]["is_on"], rows["venue_errors"]["used"]) == (True, None)
    assert set(rows) <= set(definitions.DEFINITIONS)


def test_an_instant_of_another_year_says_which():
    this_year = timezone.now().replace(month=3, day=4, hour=5, minute=6, second=7, microsecond=0)
    assert ">03-04 05:06:07<" in tags.moment(int(this_year.timestamp() * 1000))
    assert ">2024-10-01 00:00:00<" in tags.moment(factories.START_MS)


def test_what_a_limit_cuts_again_and_again_is_one_row():
    rows = [
        {"session_id": 1 + n % 2, "side": "BUY", "at_ms": 9000 - n, "why": f"cut to {n}.5 USD"}
        for n in range(8)
    ]
    rows.append({"session_id": 1, "side": "BUY", "at_ms": 10, "why": "the session is halted"})
    found = folded(rows)
    assert [(row["session_id"], row["why"], row["count"]) for row in found] == [
        (1, "cut to 0.5 USD", 4), (2, "cut to 1.5 USD", 4), (1, "the session is halted", 1),
    ]  # fmt: skip
    assert [(row["at_ms"], row["since_ms"]) for row in found] == [(9000, 8994), (8999, 8993), (10, 10)]
