from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.kernel.instrument import floor_to_step, is_tradable, round_price
from tests.market.kernel.instruments import instruments, priced

GUARD = 1e-9
amounts = st.decimals(0, 1_000_000, places=9)


@given(instruments, amounts, st.sampled_from([1, -1]))
def test_flooring_lands_on_the_step_and_never_exceeds(traded, amount, side):
    floored = floor_to_step(side * amount, traded.step, Decimal(0))
    assert floored % traded.step == 0
    assert 0 <= side * floored <= amount < side * floored + traded.step


@given(priced())
def test_a_quantity_on_the_step_is_left_alone_in_decimal_and_in_float(found):
    traded, _, quantity = found
    assert floor_to_step(quantity, traded.step, Decimal(0)) == quantity
    rounded = floor_to_step(float(quantity), float(traded.step), GUARD)
    assert rounded == pytest.approx(float(quantity), rel=1e-15)


@settings(max_examples=300)
@given(instruments, st.integers(0, 10**12), st.integers(1, 999))
def test_flooring_floats_counts_the_same_steps_as_decimals(traded, steps, thousandths):
    value = (steps + Decimal(thousandths) / 1000) * traded.step
    exact = floor_to_step(value, traded.step, Decimal(0)) / traded.step
    floats = floor_to_step(float(value), float(traded.step), GUARD) / float(traded.step)
    assert round(floats) == (exact if steps < 10**11 else pytest.approx(exact, abs=1))


@given(instruments, amounts, st.integers(0, 1))
def test_a_price_rounds_to_the_tick_on_the_asked_side(traded, price, up):
    rounded = round_price(price, traded.tick, Decimal(0), up)
    assert rounded % traded.tick == 0
    assert (price <= rounded < price + traded.tick) if up else (price - traded.tick < rounded <= price)


@given(priced(), st.integers(0, 1))
def test_a_price_on_the_tick_stays_in_float_too(found, up):
    traded, price, _ = found
    assert round_price(float(price), float(traded.tick), GUARD, up) == pytest.approx(float(price), rel=1e-15)


def test_the_minimum_notional_must_be_exceeded():
    assert not is_tradable(Decimal("0.01"), Decimal(100), Decimal(1))
    assert is_tradable(Decimal("-0.02"), Decimal(100), Decimal(1))


def test_step_zero_rounds_nothing():
    assert floor_to_step(1.23456789, 0.0, GUARD) == 1.23456789
    assert round_price(1.23456789, 0.0, GUARD, 1) == 1.23456789


@given(instruments)
def test_an_instrument_survives_the_way_to_floats_and_back(traded):
    assert traded.as_float().as_decimal() == traded
    assert (traded.guard, traded.as_float().guard) == (Decimal(0), GUARD)


def test_decimal_and_float_do_not_mix():
    with pytest.raises(TypeError):
        floor_to_step(Decimal("1.5"), 0.1, Decimal(0))
