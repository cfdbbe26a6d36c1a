from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.kernel.costs import fee_of, taker_price
from market.kernel.portfolio import average_entry, equity, portfolio_row, settle
from tests.market.kernel.instruments import FEE_STEP, priced

ZERO = Decimal(0)
amounts = st.decimals(-1_000_000, 1_000_000, places=5)
prices = st.decimals("0.00001", 100_000, places=5)

# The venue's recorded session (field guide §7): price, signed quantity, fee rate, fee, USD free afterwards
RECORDED = [
    ("84596.01", "0.00236", "0.001", "0.199646", "49800.1537704"),
    ("84596", "-0.00236", "0.001", "0.199646", "49999.6006844"),
    ("84596", "0.00236", "0.0005", "0.099823", "49799.8543014"),
    ("84480", "-0.00236", "0.001", "0.199372", "49999.0277294"),
]


def test_the_recorded_ledger_comes_out_to_the_last_digit():
    cash, held = Decimal("50000.00"), ZERO
    for price, quantity, rate, fee, free in RECORDED:
        price, quantity = Decimal(price), Decimal(quantity)
        charged = fee_of(price * quantity, Decimal(rate), FEE_STEP, ZERO)
        cash, held = settle(cash, held, quantity, price, charged)
        assert (str(charged), str(cash.normalize())) == (fee, free)
    assert held == 0


def test_the_recorded_short_fees_come_out_too():
    open_fee = fee_of(Decimal("0.00118") * 84480, Decimal("0.001"), FEE_STEP, ZERO)
    close_fee = fee_of(Decimal("0.00118") * Decimal("84480.01"), Decimal("0.001"), FEE_STEP, ZERO)
    assert (str(open_fee), str(close_fee)) == ("0.099686", "0.099686")


@given(priced())
def test_float_fees_equal_decimal_fees(found):
    _, price, quantity = found
    exact = fee_of(price * quantity, Decimal("0.001"), FEE_STEP, ZERO)
    assert fee_of(float(price) * float(quantity), 0.001, 1e-6, 1e-9) == pytest.approx(float(exact), abs=1e-9)


@given(amounts, amounts, amounts, prices, prices)
def test_a_fill_costs_exactly_its_fee(cash, held, quantity, price, fee):
    after = settle(cash, held, quantity, price, fee)
    assert equity(*after, price) == equity(cash, held, price) - fee


@given(prices, st.sampled_from([1, -1]))
def test_a_taker_never_gets_better_than_the_reference(price, side):
    paid = taker_price(price, side, Decimal("0.0002"), Decimal("0.0005"))
    assert side * (paid - price) > 0
    assert abs(paid - price) == price * Decimal("0.0007")


@given(st.lists(st.tuples(st.decimals("0.01", 10, places=2), prices), min_size=1, max_size=6))
def test_the_entry_is_the_average_price_of_everything_bought(buys):
    entry = held = ZERO
    for quantity, price in buys:
        entry, held = average_entry(entry, held, quantity, price), held + quantity
    paid = sum(quantity * price for quantity, price in buys)
    assert entry * held == pytest.approx(paid, rel=Decimal("1e-20"))


@pytest.mark.parametrize(
    ("held", "quantity", "entry"),
    [
        ("2", "-1", "100"),
        ("2", "-2", "0"),
        ("2", "-3", "110"),
        ("-2", "1", "100"),
        ("-2", "3", "110"),
        ("0", "1", "110"),
    ],
)
def test_reducing_keeps_the_entry_and_crossing_zero_starts_anew(held, quantity, entry):
    assert average_entry(Decimal(100), Decimal(held), Decimal(quantity), Decimal(110)) == Decimal(entry)


def test_a_portfolio_row_says_what_its_names_say():
    row = portfolio_row(50.0, 1.0, 40.0, 10, 200.0, 50.0, 30.0)
    assert row == pytest.approx((0.5, 0.25, 0.25, -0.5, 0.5))
    assert portfolio_row(200.0, 0.0, 0.0, 0, 200.0, 50.0, 30.0) == (0.0, 0.0, 0.0, 0.0, 1.0)


def test_a_short_gains_when_the_price_falls():
    exposure, unrealised, *_ = portfolio_row(150.0, -1.0, 50.0, 1, 110.0, 40.0, 30.0)
    assert (exposure, unrealised) == pytest.approx((-40 / 110, 0.2))


def test_nothing_left_reads_as_total_drawdown():
    assert portfolio_row(-10.0, 0.0, 0.0, 0, 100.0, 50.0, 30.0) == (0.0, 0.0, 0.0, -1.0, 0.0)


@given(priced(), st.integers(1, 5000))
def test_a_portfolio_row_is_the_same_in_decimal_and_float(found, bars):
    _, price, quantity = found
    cash, peak = abs(quantity) * price * 3, abs(quantity) * price * 5
    exact = portfolio_row(cash, quantity, price, bars, peak, price * 2, Decimal(1440))
    floats = portfolio_row(*map(float, (cash, quantity, price)), bars, float(peak), float(price) * 2, 1440.0)
    assert floats == pytest.approx([float(value) for value in exact], abs=1e-12)
