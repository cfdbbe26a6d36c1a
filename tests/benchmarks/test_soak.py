"""What the soak says of a run is what the run did."""

import numpy as np
import pytest

from benchmarks import bench_soak
from benchmarks.bench_soak import DAY, HOUR, Mark, decided, growth, steady
from tests import factories

SPEED = 3600.0  # a market day in 24 s


def memory(days, rss_of_day):
    times_s = np.arange(0.0, days * DAY / 1000 / SPEED)
    return np.array([times_s, rss_of_day(times_s * SPEED * 1000 / DAY)]).T


def test_growth_is_measured_once_what_a_session_keeps_is_full():
    found = growth(memory(30, lambda day: 300 + 10 * np.minimum(day, 7.0) + 0.5 * day), SPEED)
    assert 7 < found["growth_from_day"] < 8
    assert found["growth_mb_per_market_h"] == pytest.approx(0.5 / 24, rel=1e-6)
    assert found["growth_mb_per_h"] == pytest.approx(0.5 / 24 * SPEED, rel=1e-6)
    assert found["growth_mb"] == pytest.approx(0.5 * (30 - found["growth_from_day"]), abs=0.1)
    assert len(found["rss_by_day_mb"]) == 29  # the last one is not over
    assert found["rss_by_day_mb"][0] == pytest.approx(310.5, abs=0.1)


def test_of_a_short_run_the_first_third_is_left_out():
    found = growth(memory(6, lambda day: np.where(day < 1.9, 100 * day, 190.0)), SPEED)
    assert found["growth_from_day"] == pytest.approx(2.0, abs=0.1)
    assert found["growth_mb_per_h"] == pytest.approx(0, abs=1e-6)


@pytest.mark.django_db
def test_bars_without_a_decision_are_counted_from_when_all_have_decided():
    first, second = factories.SessionFactory(), factories.SessionFactory()
    for session, bars in ((first, range(2, 12)), (second, (4, 5, 8, 9, 10))):
        for bar in bars:
            factories.DecisionFactory(session=session, bar_ms=bar * HOUR, decided_ms=(bar + 1) * HOUR + 1000)
    found = steady(Mark(10.0, 5.0, 4, 4 * HOUR), Mark(20.0, 8.0, 14, 11 * HOUR), 2)
    assert (found["steady_bars"], found["steady_missed_bars"]) == (12, 2)  # bars 5 to 10 of two sessions
    assert found["steady_decisions_per_s"] == 1.0
    assert found["steady_cpu_ms_per_decision"] == 300.0
    whole = decided(30.0)
    assert (whole["decisions"], whole["bars"], whole["missed_bars"]) == (15, 17, 2)
    assert whole["late_market_s_p50"] == 1.0
    assert whole["sessions_deciding"] == 2


@pytest.mark.django_db
def test_all_must_have_taken_in_a_bar_before_the_run_counts_as_steady():
    one, other = factories.SessionFactory(last_bar_ms=HOUR), factories.SessionFactory(last_bar_ms=0)
    factories.DecisionFactory(session=one, bar_ms=HOUR)
    assert bench_soak._mark(1.0, 1.0, 2) is None
    type(other).objects.filter(pk=other.pk).update(last_bar_ms=HOUR)
    assert bench_soak._mark(1.0, 0.5, 2) == Mark(1.0, 0.5, 1, HOUR)
