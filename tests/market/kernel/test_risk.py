from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.kernel import risk

ZERO, STEP = Decimal(0), Decimal("0.001")
quantities = st.decimals(-100, 100, places=3)


@pytest.mark.parametrize(("target", "capped"), [("0.3", "0.3"), ("0.9", "0.5"), ("-0.9", "-0.5")])
def test_targets_are_cut_to_the_maximum_exposure(target, capped):
    value, code = risk.cap_exposure(Decimal(target), Decimal("0.5"))
    assert (value, code) == (Decimal(capped), risk.OK if target == capped else risk.MAX_EXPOSURE)


@given(quantities, quantities)
def test_reduce_only_never_increases_or_turns_a_position(quantity, held):
    cut, code = risk.reduce_only(quantity, held, STEP, ZERO)
    assert abs(held + cut) <= abs(held)
    assert (held + cut) * held >= 0
    assert (code == risk.OK) == (cut == quantity)


@pytest.mark.parametrize(("equity", "code"), [(80.0, risk.DRAWDOWN), (80.1, risk.OK)])
def test_the_drawdown_limit_is_met_at_its_value(equity, code):
    assert risk.drawdown_breach(equity, 100.0, 0.2) == code


@pytest.mark.parametrize(("equity", "code"), [("95", risk.DAILY_LOSS), ("95.01", risk.OK)])
def test_the_daily_loss_limit_is_met_at_its_value(equity, code):
    assert risk.daily_loss_breach(Decimal(equity), Decimal(100), Decimal("0.05")) == code


def test_limits_of_zero_are_off():
    assert risk.drawdown_breach(1.0, 100.0, 0.0) == risk.OK
    assert risk.daily_loss_breach(1.0, 100.0, 0.0) == risk.OK


def test_orders_at_the_minimum_are_too_small():
    assert risk.too_small(Decimal("0.01"), Decimal(100), Decimal(1)) == risk.MIN_NOTIONAL
    assert risk.too_small(Decimal("0.02"), Decimal(100), Decimal(1)) == risk.OK


def test_every_code_has_its_words():
    assert sorted(risk.REASONS) == list(range(len(risk.REASONS)))
    assert all(text for code, text in risk.REASONS.items() if code != risk.OK)
