from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from market.kernel.costs import fee_of
from market.kernel.portfolio import equity, settle
from market.kernel.rebalance import closing_quantity, is_kept, order_quantity
from tests.market.kernel.instruments import priced

ZERO = Decimal(0)
cash_amounts = st.decimals("10", 1_000_000, places=2)
shares = st.integers(-20, 20).map(lambda twentieths: Decimal(twentieths) / 20)


def ordered(traded, target, cash, held, price):
    return order_quantity(target, cash, held, price, traded.step, traded.min_notional, traded.taker_fee, ZERO)


def filled(traded, cash, held, quantity, price):
    return settle(
        cash, held, quantity, price, fee_of(quantity * price, traded.taker_fee, traded.fee_step, ZERO)
    )


@given(priced(), cash_amounts)
def test_an_all_in_buy_leaves_room_for_its_own_fee_and_no_more(found, cash):
    traded, price, _ = found
    quantity = ordered(traded, Decimal(1), cash, ZERO, price)
    assume(quantity != 0)
    left, _ = filled(traded, cash, ZERO, quantity, price)
    assert 0 <= left < traded.step * price * Decimal("1.001") + traded.fee_step


@given(priced(), cash_amounts)
def test_target_zero_sells_exactly_what_is_held(found, cash):
    traded, price, held = found
    assume(abs(held) * price > traded.min_notional)
    assert ordered(traded, ZERO, cash, held, price) == -held


@settings(max_examples=200)
@given(priced(), cash_amounts, shares, st.booleans())
def test_an_order_approaches_its_target_and_never_passes_it(found, cash, target, is_flat):
    traded, price, held = found
    held = ZERO if is_flat else abs(held)
    quantity = ordered(traded, target, cash, held, price)
    wanted = target * equity(cash, held, price) - held * price
    assert quantity * wanted >= 0
    assert abs(quantity) * price <= abs(wanted)
    assert quantity % traded.step == 0


@given(priced(), cash_amounts, st.integers(1, 20).map(lambda n: Decimal(n) / 20))
def test_exposure_after_the_fill_is_within_reach_of_the_target(found, cash, target):
    traded, price, _ = found
    quantity = ordered(traded, target, cash, ZERO, price)
    assume(quantity != 0)
    cash_after, held = filled(traded, cash, ZERO, quantity, price)
    reached = held * price / equity(cash_after, held, price)
    slack = (traded.step * price + traded.fee_step) / cash + Decimal("0.0011")
    assert target - slack <= reached <= min(target * Decimal("1.0011"), Decimal(1))


@given(priced(), cash_amounts)
def test_a_full_short_never_exceeds_equity_after_its_fee(found, cash):
    traded, price, _ = found
    quantity = ordered(traded, Decimal(-1), cash, ZERO, price)
    assume(quantity != 0)
    cash_after, held = filled(traded, cash, ZERO, quantity, price)
    assert abs(held) * price <= equity(cash_after, held, price)


@given(priced())
def test_what_the_venue_would_refuse_as_too_small_is_not_ordered(found):
    traded, price, _ = found
    assert ordered(traded, Decimal(1), Decimal("1.00"), ZERO, price) == 0


@settings(max_examples=200)
@given(priced(), st.integers(1, 30))
def test_a_float_sum_of_fills_is_sold_whole(found, parts):
    traded, _, quantity = found
    held = sum([float(quantity)] * parts, 0.0)
    assert held + closing_quantity(held, float(traded.step), 1e-9) == 0.0


def test_dust_below_the_step_is_left_when_decimals_say_so():
    assert closing_quantity(Decimal("1.2345678"), Decimal("0.001"), ZERO) == Decimal("-1.234")


@settings(max_examples=300)
@given(priced(), cash_amounts, shares)
def test_float_orders_equal_decimal_orders_to_one_step(found, cash, target):
    traded, price, held = found
    exact = ordered(traded, target, cash, abs(held), price)
    own = traded.as_float()
    floats = order_quantity(
        float(target),
        float(cash),
        float(abs(held)),
        float(price),
        own.step,
        own.min_notional,
        own.taker_fee,
        1e-9,
    )
    assert floats == pytest.approx(float(exact), rel=1e-12, abs=1.001 * own.step)


def test_a_target_near_the_present_exposure_is_kept_but_leaving_is_not():
    assert is_kept(0.5, 0.495, 0.01)
    assert not is_kept(0.5, 0.48, 0.01)
    assert not is_kept(0.0, 0.005, 0.01)
