from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.kernel.quotes import Quoting, desk_bar, quote_fill, quote_prices, quote_shares
from market.kernel.step import Rules

FREE = Rules(*[0.0] * 12, 1e-9)
EXACT = Rules(*[Decimal(0)] * 13)
prices = st.floats(90, 110)


def bar(draw_a, draw_b, draw_c):
    """Return (high, low, close) of a bar between three prices."""
    return max(draw_a, draw_b, draw_c), min(draw_a, draw_b, draw_c), draw_c


def desk(
    cash=10_000.0, held=0.0, target=0.0, high=100.0, low=100.0, close=100.0, offset=0.01, size=0.1, fee=0.0
):
    quoting = Quoting(offset, size, fee)
    return desk_bar(cash, held, target, 100.0, high, low, close, 0.0, 1.0, quoting, FREE)


def test_a_quote_that_is_only_touched_does_not_fill():
    assert desk(low=99.0, close=99.5)[2] == 0
    cash, held, traded = desk(low=98.9, close=99.5)
    assert (cash, held, traded) == pytest.approx((9000.0, 1000 / 99, 1000.0), rel=0.02)
    assert held == pytest.approx(10.0)


def test_a_quote_fills_at_its_price_and_no_better_and_pays_the_makers_fee():
    cash, _, traded = desk(low=50.0, close=50.0, fee=0.002)
    assert traded == pytest.approx(10 * 99.0)
    assert cash == pytest.approx(10_000 - 990 - 990 * 0.002)


@given(prices, prices, prices, st.floats(0, 50), st.floats(0, 50))
def test_of_two_quotes_traded_through_the_worse_one_fills(first, second, close, bidden, asked):
    high, low, close = bar(first, second, close)
    quantity, price = quote_fill(99.0, bidden, 101.0, asked, high, low, close)
    each = [(bidden, 99.0)] if bidden > 0 and low < 99.0 else []
    each += [(-asked, 101.0)] if asked > 0 and high > 101.0 else []
    gains = [own * (close - at) for own, at in each]
    assert quantity * (close - price) == (min(gains) if gains else 0.0)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.3))
def test_quotes_keep_the_inventory_near_its_target_and_in_its_bounds(inventory, target, size):
    bid, ask = quote_shares(inventory, target, size, 0.0, 1.0)
    assert bid >= 0 <= ask
    if bid:
        assert inventory + bid <= min(1.0, target + size) + 1e-12
    if ask:
        assert inventory - ask >= max(0.0, target - size) - 1e-12


def test_quotes_are_rounded_away_from_the_price():
    assert quote_prices(100.0, 0.0011, 0.5, 1e-9) == (99.5, 100.5)
    assert quote_prices(Decimal(100), Decimal("0.0011"), Decimal("0.5"), Decimal(0)) == (99.5, 100.5)


@given(prices, prices, prices)
def test_decimals_and_floats_of_a_desk_agree(first, second, close):
    high, low, close = (round(price, 2) for price in bar(first, second, close))
    floats = desk(held=20.0, target=0.25, high=high, low=low, close=close, fee=0.001)
    quoting = Quoting(Decimal("0.01"), Decimal("0.1"), Decimal("0.001"))
    numbers = [Decimal(10_000), Decimal(20), Decimal("0.25"), Decimal(100)]
    numbers += [Decimal(str(price)) for price in (high, low, close)]
    exact = desk_bar(*numbers, Decimal(0), Decimal(1), quoting, EXACT)
    assert [float(number) for number in exact] == pytest.approx(floats)


def test_a_desk_without_worth_quotes_nothing():
    assert desk(cash=-10_000.0, held=100.0, low=50.0) == (-10_000.0, 100.0, 0.0)
