"""Slices of one account: conserved, netted, and told the same in Decimal and float."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.kernel.step import Book, Fill
from market.kernel.team import CASH, HELD, WIDTH, handed_out, joint_target, shared_bar, slice_worth
from market.kernel.triggers import NONE, STOP

shares = st.lists(st.integers(0, 100), min_size=2, max_size=5).filter(sum)
exposures = st.sampled_from([-1, 0, 0.25, 0.5, 1])


def sliced(book, weights, number=float, own=()):
    """Return slices handed out at a close of 100, of specialists that held these exposures before."""
    slices = np.array(
        [[number(0)] * WIDTH for _ in weights], dtype=object if number is Decimal else np.float64
    )
    for row, exposure in zip(slices, own, strict=False):
        row[CASH], row[HELD] = number(100) * (1 - exposure), exposure
    handed_out(slices, weights, book, number(100))
    return slices


def opened(cash, held, number=float):
    zero = number(0)
    return Book(number(cash), number(held), number(100), 1, number(10_000), zero, zero)


@st.composite
def bars(draw, number=float):
    """Return (own exposures, wishes, weights, book, order, exit, open): any order, then an exit of a part."""
    parts = draw(shares)
    weights = [number(part) / number(sum(parts)) for part in parts]
    own, wishes = ([number(str(draw(exposures))) for _ in parts] for _ in range(2))
    cash, held = draw(st.integers(1_000, 20_000)), draw(st.integers(-40, 80))
    order = Fill(number(draw(st.integers(-60, 60))), number(draw(st.integers(95, 105))), number(2), NONE)
    after = held + int(order.quantity)
    part = draw(st.integers(0, abs(after)))
    exit_ = Fill(number(-part if after > 0 else part), number(draw(st.integers(90, 110))), number(1), STOP)
    return own, wishes, weights, opened(cash, held, number), order, exit_, number(100)


def after(book, *fills):
    cash, held = book.cash, book.held
    for fill in fills:
        if fill.quantity:
            cash, held = cash - fill.quantity * fill.price - fill.fee, held + fill.quantity
    return cash, held


@given(bars())
def test_slices_add_up_to_the_account(given_bar):
    own, wishes, weights, book, order, exit_, open_ = given_bar
    slices = sliced(book, weights, own=own)
    order = order if order.quantity else order._replace(fee=0.0)
    shared_bar(slices, wishes, weights, True, book, order, exit_, open_)
    cash, held = after(book, order, exit_)
    for price in (80.0, 100.0, 130.0):
        whole = sum(weight * slice_worth(slices, i, price) for i, weight in enumerate(weights))
        assert whole == pytest.approx(cash + held * price, rel=1e-9, abs=1e-9 * book.cash)


@given(bars(Decimal))
def test_floats_of_slices_are_the_decimals(given_bar):
    own, wishes, weights, book, order, exit_, open_ = given_bar
    exact = sliced(book, weights, Decimal, own)
    shared_bar(exact, wishes, weights, True, book, order, exit_, open_)
    as_float = [float(wish) for wish in wishes], [float(weight) for weight in weights]
    floats = sliced(Book(*map(float, book)), as_float[1], own=[float(wish) for wish in own])
    fills = [Fill(*map(float, fill[:3]), fill.reason) for fill in (order, exit_)]
    shared_bar(floats, *as_float, True, Book(*map(float, book)), *fills, float(open_))
    assert floats[:, :2] == pytest.approx(exact[:, :2].astype(float), rel=1e-9, abs=1e-6)


def test_what_slices_want_of_each_other_changes_hands_free_of_charge():
    book = opened(5_000, 50)
    slices = sliced(book, [0.5, 0.5])
    shared_bar(slices, [1.0, 0.0], [0.5, 0.5], True, book, Fill(0.0, 100.0, 0.0, NONE), NOTHING, 100.0)
    assert slices[:, CASH].tolist() == [0.0, 10_000.0]
    assert slices[:, HELD].tolist() == [100.0, 0.0]


NOTHING = Fill(0.0, 100.0, 0.0, NONE)


def test_the_side_that_needs_the_order_pays_for_it():
    book, order = opened(10_000, 0), Fill(50.0, 101.0, 5.0, NONE)
    slices = sliced(book, [0.5, 0.5])
    shared_bar(slices, [1.0, 0.0], [0.5, 0.5], True, book, order, NOTHING, 100.0)
    assert slices[:, HELD].tolist() == [100.0, 0.0]
    assert slices[:, CASH].tolist() == [
        -110.0,
        10_000.0,
    ]  # 50 for a price 1 above the open and 5 of fee, twice


def test_a_specialist_without_weight_is_told_what_it_would_have_earned():
    book, order = opened(10_000, 0), Fill(100.0, 100.0, 0.0, NONE)
    slices = sliced(book, [1.0, 0.0])
    shared_bar(slices, [1.0, 0.0], [1.0, 0.0], True, book, order, NOTHING, 100.0)
    assert [slice_worth(slices, i, 110.0) for i in range(2)] == [11_000.0, 10_000.0]


def test_an_order_nobody_asked_for_closes_all_slices_alike():
    book = opened(5_000, 50)
    slices = sliced(book, [0.5, 0.5])
    shared_bar(slices, [1.0, 0.0], [0.5, 0.5], True, book, NOTHING, NOTHING, 100.0)
    shared_bar(slices, [1.0, 0.0], [0.5, 0.5], False, book, Fill(-50.0, 120.0, 0.0, NONE), NOTHING, 120.0)
    assert slices[:, HELD].tolist() == [0.0, 0.0]
    assert slices[:, CASH].tolist() == [12_000.0, 10_000.0]


@given(st.lists(exposures, min_size=2, max_size=4), st.data())
def test_the_joint_wish_never_leaves_the_range_of_the_wishes(wishes, data):
    parts = data.draw(st.lists(st.integers(0, 9), min_size=len(wishes), max_size=len(wishes)).filter(sum))
    target = joint_target(wishes, [part / sum(parts) for part in parts])
    assert min(wishes) <= target <= max(wishes)
    assert target == wishes[0] or len(set(wishes)) > 1


def test_who_holds_nothing_earns_nothing_of_what_another_holds():
    book = opened(5_000, 50)
    slices = sliced(book, [0.5, 0.5], own=[1.0, 0.0])
    assert slices[:, HELD].tolist() == [100.0, 0.0]
    assert [slice_worth(slices, i, 110.0) for i in range(2)] == [11_000.0, 10_000.0]


def test_what_the_weights_moved_is_every_slices_alike():
    slices = sliced(opened(5_000, 50), [0.25, 0.75], own=[1.0, 0.0])
    assert slices[:, HELD].tolist() == [125.0, 25.0]
    assert slices[:, CASH].tolist() == [-2_500.0, 7_500.0]
