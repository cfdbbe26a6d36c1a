from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.kernel.plan import open_track
from market.kernel.portfolio import equity, exposure_of
from market.kernel.sizing import sized_order
from market.kernel.step import Rules, fill_price, open_book, step_bar
from market.kernel.triggers import STOP, TAKE, TRAILING
from tests.market.kernel.instruments import NO_PLAN, as_floats, plans, rules

FREE = Rules(*[0.0] * 12, 1e-9)
targets = st.one_of(st.none(), st.integers(-4, 4).map(lambda quarters: Decimal(quarters) / 4))
moves = st.integers(-40, 40).map(lambda thousandths: 1 + Decimal(thousandths) / 1000)


@st.composite
def markets(draw):
    """Rules of a real pair, a plan, and bars on its tick grid with a wish and an average range for each."""
    traded, chosen = draw(rules())
    price, bars = draw(st.integers(2_000, 9_000_000)) * traded.tick, []
    for _ in range(draw(st.integers(1, 12))):
        path = [price]
        for _ in range(4):
            path.append((path[-1] * draw(moves)).quantize(traded.tick) or traded.tick)
        _, open_, *_, close = path
        atr = draw(st.integers(1, 40)) * price / 1000
        bars.append((draw(targets), open_, max(path[1:]), min(path[1:]), close, atr))
        price = close
    return chosen, draw(st.one_of(st.just(NO_PLAN), plans)), bars


def walk(book, bars, chosen, plan):
    """Size every wish at the close before its bar, then live through the bar."""
    steps, zero, close = [], book.cash - book.cash, bars[0][1]
    track = open_track(zero)
    for wish, *bar, atr in bars:
        is_order, target, code = wish is not None, zero, 0
        if is_order:
            exposure = exposure_of(book.cash, book.held, close)
            is_order, target, code = sized_order(
                wish, exposure, zero, book, track, close, atr, zero + 1, chosen, plan
            )
        book, track, order, exit = step_bar(book, track, is_order, target, *bar, atr, chosen, plan)
        steps.append((book, track, order, exit, bar, code))
        close = bar[-1]
    return steps


@settings(max_examples=200)
@given(markets())
def test_value_is_conserved_to_the_last_digit(market):
    chosen, plan, bars = market
    cash = start = Decimal("10000.00")
    held = Decimal(0)
    for book, _, order, exit, *_ in walk(open_book(start), bars, chosen, plan):
        for fill in (order, exit):
            cash, held = cash - fill.quantity * fill.price - fill.fee, held + fill.quantity
            assert fill.fee <= abs(fill.quantity) * fill.price * chosen.fee_rate
            assert fill.quantity % chosen.step == 0
        assert (book.cash, book.held) == (cash, held)


def in_floats(bars):
    return [tuple(None if value is None else float(value) for value in bar) for bar in bars]


@settings(max_examples=300)
@given(markets())
def test_floats_walk_the_same_path_as_decimals(market):
    chosen, plan, bars = market
    exact = walk(open_book(Decimal(10_000)), bars, chosen, plan)
    floats = walk(open_book(10_000.0), in_floats(bars), as_floats(chosen), as_floats(plan))
    for (book, track, order, exit, bar, code), (other, trail, order_, exit_, _, code_) in zip(
        exact, floats, strict=True
    ):
        worth = equity(book.cash, book.held, bar[-1])
        assert code_ == code
        assert abs(order.quantity - Decimal(order_.quantity)) < chosen.step / 2
        if exit_.reason != exit.reason:  # two levels at one decimal price may lie a digit apart in floats
            assert exit_.price == pytest.approx(float(exit.price), rel=1e-9)
        assert equity(other.cash, other.held, float(bar[-1])) == pytest.approx(
            float(worth), rel=1e-9, abs=1e-6
        )
        assert other.bars_held == book.bars_held
        assert list(trail) == pytest.approx([float(value) for value in track], rel=1e-9, abs=1e-9)
        assert other.stop == pytest.approx(float(book.stop), rel=1e-9, abs=1e-9)


@given(markets())
def test_a_long_account_never_owes_cash(market):
    chosen, plan, bars = market
    long_only = [(None if target is None else abs(target), *bar) for target, *bar in bars]
    for book, *_ in walk(open_book(Decimal(10_000)), long_only, chosen, plan):
        assert book.cash >= 0
        assert book.held >= 0


@given(markets())
def test_the_bars_after_a_step_cannot_change_it(market):
    chosen, plan, bars = market
    whole = walk(open_book(Decimal(10_000)), bars, chosen, plan)
    part = walk(open_book(Decimal(10_000)), bars[: len(bars) // 2] or bars, chosen, plan)
    assert whole[: len(part)] == part


@settings(max_examples=200)
@given(markets())
def test_the_stop_of_a_position_only_tightens(market):
    chosen, plan, bars = market
    before = None
    for book, track, *_ in walk(open_book(Decimal(10_000)), bars, chosen, plan):
        goes_on = (
            before is not None and before.held * book.held > 0 and book.bars_held == before.bars_held + 1
        )
        if goes_on and before.stop > 0:
            assert (book.stop - before.stop) * book.held >= 0
        assert book.held != 0 or (book.stop, track.base, track.lots) == (0, 0, 0)
        before = book


def bar_of(book, is_order, target, *bar, chosen, plan=None, track=None, atr=0.0):
    """One bar in floats."""
    plan, track = plan or as_floats(NO_PLAN), track or open_track(0.0)
    book, track, order, exit = step_bar(book, track, is_order, target, *bar, atr, chosen, plan)
    return book, order, exit


def test_an_order_fills_at_the_next_open_at_the_taker_price():
    costly = FREE._replace(half_spread=0.001, slippage=0.002)
    book, order, _ = bar_of(open_book(1000.0), True, 1.0, 100.0, 105.0, 99.0, 102.0, chosen=costly)
    assert order.price == pytest.approx(100.3)
    assert book.entry == pytest.approx(100.3)
    assert fill_price(100.0, -1, costly) == pytest.approx(99.7)


def test_a_stop_acts_on_the_bar_of_entry_and_starts_the_count_anew():
    book, order, exit = bar_of(
        open_book(1000.0), True, 1.0, 100.0, 101.0, 97.0, 100.0, chosen=FREE._replace(stop_loss=0.02)
    )
    assert (exit.reason, exit.price, exit.quantity) == (STOP, pytest.approx(98.0), -order.quantity)
    assert (book.held, book.entry, book.bars_held) == (0.0, 0.0, 0)
    assert book.cash == pytest.approx(980.0)


def test_a_target_is_taken_and_a_trailing_stop_follows_the_best_price():
    chosen = FREE._replace(take_profit=0.5, trailing=0.1)
    book, *_ = bar_of(open_book(1000.0), True, 1.0, 100.0, 120.0, 99.0, 119.0, chosen=chosen)
    assert (book.water, book.bars_held) == (120.0, 1)
    _, _, exit = bar_of(book, False, 0.0, 115.0, 116.0, 105.0, 110.0, chosen=chosen)
    assert (exit.reason, exit.price) == (TRAILING, pytest.approx(108.0))
    _, _, exit = bar_of(book, False, 0.0, 140.0, 155.0, 139.0, 150.0, chosen=chosen)
    assert (exit.reason, exit.price) == (TAKE, pytest.approx(150.0))


def test_a_bars_own_high_does_not_trail_its_own_stop():
    book, *_ = bar_of(
        open_book(1000.0), True, 1.0, 100.0, 100.0, 100.0, 100.0, chosen=FREE._replace(trailing=0.1)
    )
    _, _, exit = bar_of(book, False, 0.0, 100.0, 130.0, 95.0, 120.0, chosen=FREE._replace(trailing=0.1))
    assert exit.quantity == 0


def test_a_turn_from_long_to_short_is_one_order_and_a_new_position():
    book, *_ = bar_of(open_book(1000.0), True, 1.0, 100.0, 100.0, 100.0, 100.0, chosen=FREE)
    book, order, _ = bar_of(book, True, -1.0, 100.0, 100.0, 100.0, 100.0, chosen=FREE)
    assert (book.held, order.quantity, book.bars_held) == (pytest.approx(-10.0), pytest.approx(-20.0), 1)
