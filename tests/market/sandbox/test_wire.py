"""Numbers as Go writes them."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.sandbox.wire import Tiny, encode, number, without_zeros


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (84596.0, "84596"),
        (84596.01 * 0.00236, "199.64658359999999"),
        (-0.0000118, "-0.0000118"),
        (0.000001, "0.000001"),
        (6.51e-06, "0.00000651"),
        (Tiny(6.51e-06), "6.51e-06"),
        (1e-7, "1e-7"),
        (-0.0, "0"),
        (Decimal("0.00236"), "0.00236"),
        (Decimal("50000.00"), "50000"),
    ],
)
def test_numbers_are_in_shortest_form(value, text):
    assert encode(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_survives_the_wire(value):
    assert float(number(value)) == value


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e14, 1e14) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(trees)
def test_what_is_written_is_the_same_json(value):
    assert json.loads(encode(value)) == value


def test_v6_answers_leave_zeros_out_but_keep_lists_and_success():
    answer = {"Success": False, "A": 0, "B": Decimal(0), "C": "", "D": [], "E": False, "F": 1}
    assert without_zeros(answer) == {"Success": False, "D": [], "F": 1}
