"""Comparing books: what counts as a difference."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.exchanges.port import FILLED, Balance, OrderReport, ShortPosition
from trading.foreign import effect_of
from trading.reconciliation import Seen, compare, is_equal

amounts = st.integers(0, 10**13).map(lambda n: D(n) / 10**8)


@given(amount=amounts)
def test_dollars_shown_floored_to_cents_are_equal(amount):
    shown = amount.quantize(D("0.01"), "ROUND_FLOOR")
    assert is_equal("USD", amount, shown)
    assert not is_equal("USD", amount, shown + D("0.01") + D("0.01"))
    assert not is_equal("USD", amount + D("0.02"), shown)


@given(amount=amounts)
def test_coins_are_compared_to_the_last_unit(amount):
    assert is_equal("BTC", amount, amount)
    assert not is_equal("BTC", amount, amount + D("0.00000001"))


@pytest.mark.parametrize(
    ("ours", "theirs", "coins"),
    [
        ({}, {}, []),
        ({"BTC": D(1)}, {"BTC": D(1), "ETH": D(0)}, []),
        ({"BTC": D(1)}, {}, ["BTC"]),
        ({}, {"ETH": D(2), "USD": D(5)}, ["ETH", "USD"]),
    ],
)
def test_a_coin_absent_on_one_side_counts_as_none_of_it(ours, theirs, coins):
    assert [one.coin for one in compare(ours, theirs)] == coins


def test_the_effect_of_orders_is_coins_against_money_and_fee():
    def report(side, quantity, price, fee):
        values = D(quantity), D(quantity), D(price), D(fee)
        return OrderReport("1", "BTC/USD", side, "MARKET", FILLED, *values, "USD", "TAKER", 1, 1)

    total = effect_of([report("BUY", 2, 10, "0.5"), report("SELL", 1, 20, "0.25")])
    assert total == {"BTC": D(1), "USD": D("-0.75")}


def test_what_is_free_and_what_is_locked_are_floored_each_by_itself():
    shown = Seen({"USD": Balance(D("99.98"), D("50.01"))})  # of 99.989 and 50.019
    ours = {"USD": D("150.008")}
    assert compare(ours, shown.totals) != []
    assert compare(ours, shown.totals, shown.parts) == []
    assert compare({"USD": D("150.0101")}, shown.totals, shown.parts) != []
    assert Seen({"USD": Balance(D(1))}).parts == {"USD": 1}


def test_a_short_is_a_holding_and_its_collateral_is_part_of_the_dollars():
    position = ShortPosition("BTC/USD", D("0.1"), D(50_000), D(5000), D(-3), 1)
    shown = Seen({"USD": Balance(D(1000), D(5000), D(5000))}, (position,))
    assert shown.totals == {"USD": D(6000), "BTC/USD short": D("0.1")}


def test_the_effect_of_shorts_is_their_fee_then_their_profit():
    def report(side, quantity, price):
        values = D(quantity), D(quantity), D(price), D("0.5")
        return OrderReport("1", "BTC/USD", side, "MARKET", FILLED, *values, "USD", "TAKER", 1, 1)

    acts = [report("SHORT_OPEN", 1, 100), report("SHORT_OPEN", 1, 110), report("SHORT_CLOSE", 1, 95)]
    assert effect_of(acts) == {"USD": D("-1.5") + 10, "BTC/USD short": D(1)}
