"""What is shown of the archive."""

import numpy as np
import pytest

from market import archive, selectors, services
from market.candles import COLUMNS, Candles
from market.models import Series

pytestmark = pytest.mark.django_db
MINUTE = 60_000
NEW_YEAR = 1_704_067_200_000


@pytest.fixture
def series():
    """Ten thousand minutes around 2024-01-01, of which an hour is absent."""
    made = services.synthesize(name="s", bars=50_000, seed=1, pair="SIM/USD")
    whole = archive.load(made)
    shift = NEW_YEAR - 5_000 * MINUTE - int(whole.open_ms[0])
    moved = Candles(MINUTE, whole.open_ms + shift, *(getattr(whole, name) for name in COLUMNS[1:]))
    kept = Series.objects.create(source="t", pair="SIM/USD", interval_ms=MINUTE)
    archive.merge(kept, moved[:2_000])
    archive.merge(kept, moved[2_060:10_000])
    return kept


def test_coverage_counts_what_is_there_and_what_is_not(series, django_assert_num_queries):
    with django_assert_num_queries(3):
        shown = selectors.coverage(series)
    assert (shown["rows"], shown["missing"], shown["gap_count"]) == (9_940, 60, 1)
    assert shown["share"] == pytest.approx(0.994)
    assert shown["months"] == [
        {"month": "2023-12", "rows": 4_940, "expected": 5_000, "missing": 60},
        {"month": "2024-01", "rows": 5_000, "expected": 5_000, "missing": 0},
    ]


def test_the_list_shows_gaps_in_one_query_and_hides_what_is_not_yours(
    series, user, other_user, django_assert_num_queries
):
    services.synthesize(name="mine", bars=10, seed=1, pair="SIM/USD", owner=user)
    Series.objects.create(source="empty", pair="X/USD", interval_ms=MINUTE, owner=user)
    with django_assert_num_queries(1):
        shown = [(s.source, s.gap_count, s.missing) for s in selectors.series_list(user)]
    assert sorted(shown) == [("mine", 0, 0), ("s", 0, 0), ("t", 1, 60)]
    assert {s.source for s in selectors.series_list(other_user)} == {"s", "t"}


def test_a_thinned_chart_keeps_extremes_volume_and_ends(series):
    candles, shown = archive.load(series), selectors.downsampled(series, None, None, 100)
    assert 80 <= len(shown["t_ms"]) <= 101
    assert max(shown["high"]) == candles.high.max()
    assert min(shown["low"]) == candles.low.min()
    assert (shown["open"][0], shown["close"][-1]) == (candles.open[0], candles.close[-1])
    assert sum(shown["volume"]) == pytest.approx(candles.volume.sum())
    assert (np.diff(shown["t_ms"]) % shown["interval_ms"] == 0).all()


def test_few_bars_are_shown_as_they_are(series):
    first = series.first_ms
    shown = selectors.downsampled(series, first, first + 5 * MINUTE, 100)
    assert (shown["interval_ms"], shown["t_ms"][0], len(shown["close"])) == (MINUTE, first, 5)


def test_an_empty_range_is_an_empty_chart(series):
    shown = selectors.downsampled(series, 0, 1, 100)
    assert shown["t_ms"] == shown["high"] == shown["volume"] == []
