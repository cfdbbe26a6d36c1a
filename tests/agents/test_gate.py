"""The gate between an opinion and an order."""

import numpy as np
import pytest

from agents.gate import Gate
from agents.policies.port import Opinion
from market.errors import BadInput

CLOSES = np.array([100.0, 101.0, 100.5])  # a range of 1 %


def opinion(target, confidence=None):
    return Opinion(1, "BUY", (), None, confidence, target)


def test_an_open_gate_passes_every_wish():
    assert Gate().passed(opinion(0.7, 0.1), CLOSES, 0.0) == (0.7, "")


def test_a_doubtful_opinion_changes_nothing_and_says_why():
    target, reason = Gate(confidence=0.6).passed(opinion(1.0, 0.55), CLOSES, 0.0)
    assert target is None
    assert reason == "confidence 0.55 is below 0.60"


def test_an_opinion_without_confidence_is_not_doubted():
    assert Gate(confidence=0.9).passed(opinion(1.0), CLOSES, 0.0)[0] == 1.0


def test_a_quiet_market_forbids_to_enlarge_a_position():
    target, reason = Gate(min_move=0.02, move_bars=3).passed(opinion(1.0), CLOSES, 0.5)
    assert target is None
    assert reason == "moved 1.000% in 3 bars, less than 2.000%"


@pytest.mark.parametrize(("wish", "held"), [(0.0, 1.0), (0.2, 0.8), (0.0, -1.0)])
def test_leaving_is_always_possible_in_a_quiet_market(wish, held):
    assert Gate(min_move=0.5, move_bars=3).passed(opinion(wish), CLOSES, held) == (wish, "")


def test_only_the_newest_closes_count():
    moved = np.array([50.0, 100.0, 101.0, 100.5])
    assert Gate(min_move=0.02, move_bars=3).passed(opinion(1.0), moved, 0.0)[0] is None
    assert Gate(min_move=0.02, move_bars=4).passed(opinion(1.0), moved, 0.0)[0] == 1.0


def test_a_wish_to_keep_needs_no_gate():
    assert Gate(confidence=1.0).passed(opinion(None, 0.1), CLOSES, 0.0) == (None, "")


@pytest.mark.parametrize(
    "values",
    [{"confidence": 1.5}, {"confidence": float("nan")}, {"min_move": -0.1}, {"move_bars": 1}, {"doubt": 1}],
)
def test_a_gate_that_makes_no_sense_is_refused(values):
    with pytest.raises(BadInput):
        Gate.from_dict(values)
