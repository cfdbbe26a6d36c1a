from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.kernel.plan import open_track
from market.kernel.step import Book, Rules
from market.kernel.triggers import (
    ATR_STOP,
    ATR_TRAILING,
    BRACKET,
    BREAK_EVEN,
    EXIT_REASONS,
    NONE,
    STOP,
    TAKE,
    TIME,
    TRAILING,
    bar_exit,
    bar_leave,
    best_price,
    levels,
    stop_price,
    take_price,
    tighter,
)
from tests.market.kernel.instruments import NO_PLAN, as_floats


def long(open, high, low, stop=95, take=110):
    return bar_exit(1, 100, open, high, low, stop, take)


def short(open, high, low, stop=105, take=90):
    return bar_exit(-1, 100, open, high, low, stop, take)


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
    assert levels_of(book_at(100), stop_loss=0.05, trailing=0.03)[:2] == (pytest.approx(97), TRAILING)
    assert levels_of(book_at(100), stop_loss=0.03, trailing=0.05)[:2] == (pytest.approx(97), STOP)
    assert levels_of(book_at(100, side=-1), stop_loss=0.05, trailing=0.03)[:2] == (
        pytest.approx(103),
        TRAILING,
    )
    assert levels_of(book_at(100), stop_loss=0.03, trailing=0.03)[1] == STOP


def test_a_range_that_is_not_known_moves_no_level():
    found = levels_of(book_at(100, bars=0), atr=0.0, plan={"stop_atr": 2.0, "trailing_atr": 2.0})
    assert found[:2] == (0.0, NONE)


def test_flat_or_without_a_known_entry_nothing_is_forced():
    assert bar_exit(0, 0, 100, 200, 1, 95, 110) == (0, NONE)
    assert bar_exit(1, 0, 100, 200, 1, 95, 110) == (0, NONE)


@pytest.mark.parametrize(("held", "stop", "take"), [(1, 98.0, 103.0), (-1, 102.0, 97.0), (0, 0.0, 0.0)])
def test_fractions_become_prices_on_the_right_side_of_the_entry(held, stop, take):
    assert stop_price(held, 100.0, 0.02) == pytest.approx(stop)
    assert take_price(held, 100.0, 0.03) == pytest.approx(take)


def book_at(water, stop=0.0, bars=3, side=1, entry=100.0):
    return Book(0.0, float(side), entry, bars, 0.0, float(water), float(stop))


def levels_of(book, *, kind=0, take=0.0, atr=2.0, plan=None, **rules):
    chosen = Rules(*[0.0] * len(Rules._fields))._replace(guard=1e-9, **rules)
    track = open_track(0.0)._replace(kind=kind, take=take)
    return levels(book, track, atr, chosen, as_floats(NO_PLAN)._replace(is_on=1.0, **(plan or {})))


def test_an_atr_stop_is_set_by_the_range_at_entry_and_kept():
    assert levels_of(book_at(100, bars=0), plan={"stop_atr": 3.0})[:2] == (94.0, ATR_STOP)
    assert levels_of(book_at(100, bars=0, side=-1), plan={"stop_atr": 3.0})[:2] == (106.0, ATR_STOP)
    kept = levels_of(book_at(100, stop=94, bars=4), kind=ATR_STOP, atr=0.1, plan={"stop_atr": 3.0})
    assert kept[:2] == (94.0, ATR_STOP)


def test_an_atr_trailing_stop_does_not_fall_back_when_the_range_widens():
    calm = levels_of(book_at(120), atr=1.0, plan={"trailing_atr": 3.0})
    assert calm[:2] == (117.0, ATR_TRAILING)
    wild = levels_of(book_at(120, stop=117), kind=ATR_TRAILING, atr=9.0, plan={"trailing_atr": 3.0})
    assert wild[:2] == (117.0, ATR_TRAILING)


@pytest.mark.parametrize(("water", "stop"), [(101.9, 97.0), (102.0, 98.94), (105.9, 100.88), (106.0, 102.82)])
def test_a_stepwise_trailing_stop_moves_in_whole_steps(water, stop):
    found = levels_of(book_at(water), trailing=0.03, plan={"trail_step": 0.02})
    assert found[0] == pytest.approx(stop)


def test_after_enough_profit_the_stop_moves_to_what_pays_both_fees():
    plan = {"break_even": 0.01}
    assert levels_of(book_at(100.9), fee_rate=0.001, plan=plan)[:2] == (0.0, NONE)
    stop, kind, *_ = levels_of(book_at(101), fee_rate=0.001, plan=plan)
    assert (stop, kind) == (pytest.approx(100.2), BREAK_EVEN)
    stop, *_ = levels_of(book_at(99, side=-1), fee_rate=0.001, plan=plan)
    assert stop == pytest.approx(99.8)


def test_a_bracket_aims_at_a_multiple_of_the_stops_distance():
    _, _, take, goal, bracket = levels_of(book_at(100, bars=0), stop_loss=0.02, plan={"reward_ratio": 2.0})
    assert (take, goal, bracket) == (pytest.approx(104), BRACKET, pytest.approx(104))
    later = levels_of(book_at(103), take=104.0, stop_loss=0.02, plan={"reward_ratio": 2.0})
    assert later[2:] == (104.0, BRACKET, 104.0)
    nearest = levels_of(book_at(103), take=104.0, take_profit=0.03, plan={"reward_ratio": 2.0})
    assert nearest[2:4] == (pytest.approx(103), TAKE)


def test_time_is_up_at_the_open_after_the_last_allowed_close():
    plan = as_floats(NO_PLAN)._replace(is_on=1.0, max_bars=4.0)
    assert bar_leave(book_at(100, bars=3), 101, 102, 99, 0, NONE, 0, TAKE, plan) == (0, NONE)
    assert bar_leave(book_at(100, bars=4), 101, 102, 99, 0, NONE, 0, TAKE, plan) == (101, TIME)


def test_the_rule_that_set_the_level_is_named():
    plan = as_floats(NO_PLAN)
    assert bar_leave(book_at(100), 99, 99, 95, 96, ATR_TRAILING, 0, TAKE, plan) == (96, ATR_TRAILING)
    assert bar_leave(book_at(100), 99, 108, 99, 96, STOP, 107, BRACKET, plan) == (107, BRACKET)
    assert sorted(EXIT_REASONS) == list(range(len(EXIT_REASONS)))


@given(
    st.lists(st.tuples(st.floats(60, 160), st.floats(0.1, 20)), min_size=1, max_size=25),
    st.sampled_from([1, -1]),
    st.sampled_from([0.0, 1.5]),
    st.sampled_from([0.0, 2.0]),
    st.sampled_from([0.0, 0.02]),
    st.sampled_from([0.0, 0.05]),
)
def test_whatever_ranges_and_prices_do_a_stop_only_tightens(
    path, side, stop_atr, trailing_atr, even, trailing
):
    stop, kind, water = 0.0, NONE, 100.0
    plan = {"stop_atr": stop_atr, "trailing_atr": trailing_atr, "break_even": even, "trail_step": 0.01}
    for bars, (price, atr) in enumerate(path):
        book = book_at(water, stop, bars, side)
        moved, kind, *_ = levels_of(book, kind=kind, atr=atr, plan=plan, trailing=trailing, fee_rate=0.001)
        assert stop == 0 or side * (moved - stop) >= 0
        stop, water = moved, best_price(water, price, price, side)


def spelled_out(held, open, high, low, stop, take):
    """The exits of longs and of shorts, each in its own words."""
    if held > 0:
        if stop > 0 and low <= stop and not 0 < take <= open:
            return min(open, stop), STOP
        return (max(open, take), TAKE) if 0 < take <= high else (open - open, NONE)
    if 0 < stop <= high and not (take > 0 and open <= take):
        return max(open, stop), STOP
    return (min(open, take), TAKE) if take > 0 and low <= take else (open - open, NONE)


near = st.integers(1, 12).map(lambda n: Decimal(n) / 7)  # few prices: many are equal
bars = st.tuples(near, near, near).map(sorted)
off_or_near = st.one_of(st.just(Decimal(0)), near)


@given(st.sampled_from([1, -1]), bars, off_or_near, off_or_near, st.sampled_from([Decimal, float]))
def test_one_way_to_leave_serves_both_sides(side, bar, stop, take, number):
    low, open, high, stop, take = (number(value) for value in (*bar, stop, take))
    expected = spelled_out(side, open, high, low, stop, take)
    assert bar_exit(number(side), open, open, high, low, stop, take) == expected


@given(off_or_near, st.one_of(off_or_near, near.map(lambda level: -level)), st.sampled_from([Decimal, float]))
def test_the_nearer_stop_is_the_higher_of_a_long_and_the_lower_of_a_short(stop, level, number):
    stop, level = number(stop), number(level)
    assert tighter(stop, STOP, level, TRAILING, 1)[0] == max(stop, level)
    known = [one for one in (stop, level) if one > 0]
    assert tighter(stop, STOP, level, TRAILING, -1)[0] == min(known, default=stop)
