"""Settings of sizing and exits, and the average true range they use."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from agents.envs.settings import EnvSettings
from agents.spec import Trading
from market.errors import BadInput
from market.kernel.plan import Plan
from market.plans import RANGES, PositionRules, average_true_range, contradiction, plan_of
from tests.agents.envs.markets import random_market

DEFAULTS = asdict(PositionRules())


def test_environment_backtest_and_training_share_names_and_defaults():
    assert set(RANGES) == set(DEFAULTS)
    assert {name: getattr(Trading(), name) for name in DEFAULTS} == DEFAULTS
    assert {*Plan._fields} == {*DEFAULTS, "is_on"} - {"atr_bars"}
    assert not any(plan_of(DEFAULTS))


@pytest.mark.parametrize("name", RANGES)
def test_a_setting_out_of_its_range_is_refused_with_its_range(name):
    with pytest.raises(BadInput, match=name) as refused:
        EnvSettings(**{name: 10**9})
    assert RANGES[name].words in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        {"trail_step": 0.01},
        {"reward_ratio": 2.0},
        {"risk_per_trade": 0.01},
        {"dca_lots": 3, "size_fraction": 0.5},
    ],
)
def test_settings_that_make_no_sense_together_are_refused_in_one_sentence(values):
    with pytest.raises(BadInput, match="switch"):
        EnvSettings(**values)
    assert contradiction({**values, "stop_loss": 0.0, "trailing": 0.0})


def test_the_range_of_a_bar_counts_the_gap_before_it():
    high, low, close = np.array([[11.0, 15.0], [9.0, 14.0], [10.0, 15.0]])
    assert average_true_range(high, low, close, 1).tolist() == [2.0, 5.0]
    assert average_true_range(high, low, close, 5).tolist() == [2.0, 3.5]


def test_later_bars_never_change_an_average_range():
    candles, _ = random_market(bars=80)
    whole = average_true_range(candles.high, candles.low, candles.close, 14)
    for end in (1, 5, 14, 40):
        part = candles[:end]
        found = average_true_range(part.high, part.low, part.close, 14)
        assert found.tobytes() == whole[:end].tobytes()


def test_a_range_needs_its_own_bars_alone_to_the_last_bit():
    candles, _ = random_market(bars=80)
    whole = average_true_range(candles.high, candles.low, candles.close, 14)
    for at in (14, 30, 79):
        part = candles[at - 14 : at + 1]
        assert average_true_range(part.high, part.low, part.close, 14)[-1] == whole[at]


def test_every_setting_is_explained():
    text = Path("docs/positions.md").read_text()
    assert [name for name in RANGES if f"`{name}`" not in text] == []
