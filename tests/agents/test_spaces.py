"""Which actions can do something."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.spaces import ActionSpec

HBS = ActionSpec(band=0.05)


@pytest.mark.parametrize(
    ("exposure", "legal"),
    [(0.0, [True, True, False]), (0.5, [True, True, True]), (1.0, [True, False, True]),
     (0.97, [True, False, True]), (0.001, [True, True, True])],
)  # fmt: skip
def test_nothing_is_bought_without_cash_nor_sold_that_is_not_held(exposure, legal):
    assert HBS.legal(exposure) == legal


def test_of_levels_within_the_band_only_the_nearest_keeps():
    spec = ActionSpec("levels", (0.0, 0.5, 0.52, 1.0), band=0.05)
    assert spec.legal(0.511) == [True, False, True, True]


@given(exposure=st.floats(-1, 1), levels=st.lists(st.floats(-1, 1), min_size=2, max_size=6, unique=True))
def test_there_is_always_a_legal_action_and_an_illegal_one_would_change_nothing(exposure, levels):
    spec = ActionSpec("levels", tuple(sorted(levels)), band=0.05)
    legal = spec.legal(exposure)
    assert any(legal)
    for level, fits in zip(spec.levels, legal, strict=True):
        assert fits or level == exposure or abs(level - exposure) < spec.band
