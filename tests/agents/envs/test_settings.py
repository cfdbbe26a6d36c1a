import json
from decimal import Decimal

import pytest
from hypothesis import given

from agents.envs.settings import EnvSettings
from agents.spaces import ActionSpec
from market.errors import BadInput
from market.kernel.instrument import Instrument
from tests.agents.envs.markets import every_setting


@given(every_setting)
def test_settings_survive_json(chosen):
    assert EnvSettings.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"fee_rate": -0.1}, "fee_rate"),
        ({"fee_rate": 1.5}, "fee_rate"),
        ({"stop_loss": 2}, "stop_loss"),
        ({"initial_cash": 0}, "initial_cash"),
        ({"initial_cash": float("nan")}, "initial_cash"),
        ({"max_exposure": 2.0}, "max_exposure"),
        ({"window": 0}, "window"),
        ({"window": 1.5}, "window"),
        ({"decision_every": 0}, "decision_every"),
        ({"episode_bars": -1}, "episode_bars"),
        ({"episode_bars": True}, "episode_bars"),
        ({"action": {"kind": "levels", "levels": [-2, 0, 1]}}, "levels"),
        ({"market": "options"}, "market"),
        ({"leverage": 3}, "leverage"),
        ({"market": "futures", "leverage": 0.5}, "leverage"),
        ({"market": "futures", "leverage": 3, "max_exposure": 4}, "max_exposure"),
        ({"market": "futures", "leverage": 3, "action": {"kind": "levels", "levels": [-4, 1]}}, "levels"),
        ({"market": "futures", "leverage": 100, "maintenance": 0.01}, "maintenance"),
        ({"market": "futures", "maintenance": 0.001, "funding_rate": -0.002}, "funding_rate"),
        ({"market": "futures", "funding_hours": 0}, "funding_hours"),
        ({"market": "futures", "dca_lots": 4}, "dca_lots"),
        ({"reward": "money"}, "reward"),
        ({"reward": {"money": 1}}, "reward"),
        ({"reward": {"sharpe": -1}}, "reward"),
        ({"reward": {"sharpe": float("nan")}}, "reward"),
        ({"reward": {"log_return": 0}}, "reward"),
        ({"reward": {"sharpe": 1, "decay": 1}}, "reward"),
        ({"half_spread": 0.5, "slippage": 0.5}, "slippage"),
        ({"tick": "0.01"}, "tick"),
        ({"fees": 0.1}, "fees"),
        ({"action": {"kind": "dance"}}, "action"),
        ({"action": {"colour": "red"}}, "action"),
        ({"action": {"kind": "levels", "levels": [0, 0.5, 2]}}, "levels"),
        ({"action": {"kind": "levels", "levels": [0, 1]}, "max_exposure": 0.5}, "levels"),
    ],
)
def test_absurd_settings_are_refused_and_name_their_field(values, field):
    with pytest.raises(BadInput) as refusal:
        EnvSettings.from_dict(values)
    assert refusal.value.field == field


def test_a_pairs_own_rules_replace_the_defaults():
    fees = Decimal("0.001"), Decimal("0.0005"), Decimal("0.000001")
    btc = Instrument("BTC/USD", "BTC", "USD", Decimal("0.01"), Decimal("0.00001"), Decimal(1), *fees)
    found = EnvSettings(slippage=0.002).for_instrument(btc)
    assert (found.tick, found.step, found.fee_step, found.slippage) == (0.01, 0.00001, 1e-6, 0.002)


def test_rules_are_floats_with_the_float_guard():
    rules = EnvSettings(stop_loss=0).rules()
    assert {type(value) for value in rules} == {float}
    assert rules.guard == 1e-9


def test_the_maximum_exposure_limits_what_buy_means():
    assert EnvSettings(max_exposure=0.5).allowed_action == ActionSpec("hold_buy_sell", (0, 0.5))
