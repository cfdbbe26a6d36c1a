"""Which order a wish becomes: only one that crosses flat turns, and never more is ordered than was wished."""

from decimal import Decimal as D
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from market.kernel.instrument import Instrument
from trading import legs

RULES = Instrument("BTC/USD", "BTC", "USD", *map(D, ("0.01", "0.00001", "1", "0.001", "0.0005", "0.000001")))
PRICE = D("50000")
STEPS = st.integers(-200_000, 200_000).map(lambda steps: steps * D("0.00001"))


def session_of(held):
    return SimpleNamespace(held=held, shorted=max(-held, D(0)))


@given(STEPS.filter(lambda held: abs(held) * PRICE > 1), STEPS.filter(bool))
def test_a_wish_turns_only_where_something_is_left_to_trade_beyond_flat(held, wished):
    session = session_of(held)
    if held <= 0 and wished < 0:
        return  # a short grows: what covers it is asked of the account
    leg = legs.first_leg(session, wished, PRICE, RULES)
    beyond = abs(wished) - abs(held) if wished * held < 0 else D(0)
    assert legs.turns(session, leg, wished, PRICE, RULES) is (beyond * PRICE > 1)
    assert abs(leg.signed) <= abs(wished)
    assert leg.signed * wished > 0
