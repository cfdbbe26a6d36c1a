import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.kernel.triggers import (
    NONE,
    STOP,
    TAKE,
    TRAILING,
    bar_exit,
    best_price,
    stop_price,
    take_price,
    trail_stop,
)


def long(open, high, low, stop=95, take=110, trail=0):
    return bar_exit(1, 100, open, high, low, stop, take, trail)


def short(open, high, low, stop=105, take=90, trail=0):
    return bar_exit(-1, 100, open, high, low, stop, take, trail)


def test_a_quiet_bar_forces_nothing():
    assert long(100, 109, 96) == (0, NONE)
    assert short(100, 104, 91) == (0, NONE)


def test_a_touched_stop_fills_at_the_stop():
    assert long(100, 101, 95) == (95, STOP)
    assert short(100, 105, 99) == (105, STOP)


def test_a_gap_through_the_stop_fills_at_the_open():
    assert long(93, 97, 92) == (93, STOP)
    assert short(107, 108, 104) == (107, STOP)


def test_a_gap_beyond_the_target_fills_at_the_open():
    assert long(112, 113, 111) == (112, TAKE)
    assert short(88, 89, 87) == (88, TAKE)


def test_a_bar_that_touches_both_is_taken_for_the_stop():
    assert long(100, 111, 94) == (95, STOP)
    assert short(100, 106, 89) == (105, STOP)


def test_a_bar_that_opens_beyond_the_target_reached_it_first():
    assert long(112, 112, 90) == (112, TAKE)
    assert short(88, 110, 88) == (88, TAKE)


def test_levels_of_zero_are_off():
    assert long(100, 1000, 1, stop=0, take=0) == (0, NONE)
    assert short(100, 1000, 1, stop=0, take=0) == (0, NONE)


def test_the_tighter_stop_acts_and_is_named():
    assert long(100, 101, 90, stop=95, trail=97) == (97, TRAILING)
    assert long(100, 101, 90, stop=97, trail=95) == (97, STOP)
    assert short(100, 110, 99, stop=105, trail=103) == (103, TRAILING)
    assert short(100, 110, 99, stop=0, trail=103) == (103, TRAILING)


def test_flat_or_without_a_known_entry_nothing_is_forced():
    assert bar_exit(0, 0, 100, 200, 1, 95, 110) == (0, NONE)
    assert bar_exit(1, 0, 100, 200, 1, 95, 110) == (0, NONE)


@pytest.mark.parametrize(("held", "stop", "take"), [(1, 98.0, 103.0), (-1, 102.0, 97.0), (0, 0.0, 0.0)])
def test_fractions_become_prices_on_the_right_side_of_the_entry(held, stop, take):
    assert stop_price(held, 100.0, 0.02) == pytest.approx(stop)
    assert take_price(held, 100.0, 0.03) == pytest.approx(take)


@given(st.lists(st.floats(50, 200), min_size=1, max_size=20), st.sampled_from([1, -1]))
def test_a_trailed_stop_only_moves_in_the_positions_favour(prices, side):
    stop, water = 0.0, prices[0]
    for price in prices:
        water = best_price(water, price, price, side)
        moved = trail_stop(stop, water, 0.1, side)
        assert stop == 0.0 or side * (moved - stop) >= 0
        assert side * (water - moved) > 0
        stop = moved


def test_trailing_by_nothing_leaves_the_stop():
    assert trail_stop(95, 200, 0) == 95
