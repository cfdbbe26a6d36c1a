"""What a policy sees of a session's books is the kernel's row of the same numbers as floats."""

from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st

from market.kernel import portfolio
from trading.deciding import portfolio_row
from trading.models import LiveSession

money = st.integers(0, 10**12).map(lambda n: D(n) / 10**6)
coins = st.one_of(
    st.just(D(0)), st.just(D("-0.000")), st.integers(-(10**9), 10**9).map(lambda n: D(n) / 10**8)
)


@given(
    cash=money, held=coins, entry=money, peak=money, bars_held=st.integers(0, 9), close=st.floats(0.01, 1e6)
)
def test_the_row_is_that_of_all_the_numbers_also_where_nothing_is_held(
    cash, held, entry, peak, bars_held, close
):
    entry = entry or D(1)
    session = LiveSession(cash=cash, held=held, entry_price=entry)
    books = [float(number) for number in (cash, held, entry, bars_held, peak)]
    expected = portfolio.portfolio_row(*books, close, 1440.0)
    assert repr(portfolio_row(session, close, 1440.0, bars_held, peak)) == repr(expected)
