from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.kernel.portfolio import equity
from market.kernel.step import Rules, fill_price, open_book, step_bar
from market.kernel.triggers import STOP, TAKE, TRAILING
from tests.market.kernel.instruments import as_floats, rules

FREE = Rules(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-9)
targets = st.one_of(st.none(), st.integers(-4, 4).map(lambda quarters: Decimal(quarters) / 4))
moves = st.integers(-40, 40).map(lambda thousandths: 1 + Decimal(thousandths) / 1000)


@st.composite
def markets(draw):
    """Rules of a real pair, and bars on its tick grid with a target for each."""
    traded, chosen = draw(rules())
    price, bars = draw(st.integers(2_000, 9_000_000)) * traded.tick, []
    for _ in range(draw(st.integers(1, 12))):
        path = [price]
        for _ in range(4):
            path.append((path[-1] * draw(moves)).quantize(traded.tick) or traded.tick)
        _, open_, *_, close = path
        bars.append((draw(targets), open_, max(path[1:]), min(path[1:]), close))
        price = close
    return chosen, bars


def walk(book, bars, chosen):
    steps = []
    for target, *bar in bars:
        book, order, exit = step_bar(book, target is not None, target or bar[0] - bar[0], *bar, chosen)
        steps.append((book, order, exit, bar))
    return steps


@settings(max_examples=200)
@given(markets())
def test_value_is_conserved_to_the_last_digit(market):
    chosen, bars = market
    cash = start = Decimal("10000.00")
    held = Decimal(0)
    for book, order, exit, _ in walk(open_book(start), bars, chosen):
        for fill in (order, exit):
            cash, held = cash - fill.quantity * fill.price - fill.fee, held + fill.quantity
            assert fill.fee <= abs(fill.quantity) * fill.price * chosen.fee_rate
            assert fill.quantity % chosen.step == 0
        assert (book.cash, book.held) == (cash, held)


@settings(max_examples=200)
@given(markets())
def test_floats_walk_the_same_path_as_decimals(market):
    chosen, bars = market
    exact = walk(open_book(Decimal(10_000)), bars, chosen)
    as_float = [tuple(None if value is None else float(value) for value in bar) for bar in bars]
    floats = walk(open_book(10_000.0), as_float, as_floats(chosen))
    for (book, order, exit, bar), (other, order_, exit_, _) in zip(exact, floats, strict=True):
        worth = equity(book.cash, book.held, bar[-1])
        assert abs(order.quantity - Decimal(order_.quantity)) < chosen.step / 2
        assert exit_.reason == exit.reason
        assert equity(other.cash, other.held, float(bar[-1])) == pytest.approx(
            float(worth), rel=1e-9, abs=1e-6
        )
        assert other.bars_held == book.bars_held


@given(markets())
def test_a_long_account_never_owes_cash(market):
    chosen, bars = market
    long_only = [(None if target is None else abs(target), *bar) for target, *bar in bars]
    for book, *_ in walk(open_book(Decimal(10_000)), long_only, chosen):
        assert book.cash >= 0
        assert book.held >= 0


@given(markets())
def test_the_bars_after_a_step_cannot_change_it(market):
    chosen, bars = market
    whole = walk(open_book(Decimal(10_000)), bars, chosen)
    part = walk(open_book(Decimal(10_000)), bars[: len(bars) // 2], chosen)
    assert whole[: len(part)] == part


def test_an_order_fills_at_the_next_open_at_the_taker_price():
    costly = FREE._replace(half_spread=0.001, slippage=0.002)
    book, order, _ = step_bar(open_book(1000.0), True, 1.0, 100.0, 105.0, 99.0, 102.0, costly)
    assert order.price == pytest.approx(100.3)
    assert book.entry == pytest.approx(100.3)
    assert fill_price(100.0, -1, costly) == pytest.approx(99.7)


def test_a_stop_acts_on_the_bar_of_entry_and_starts_the_count_anew():
    book, order, exit = step_bar(
        open_book(1000.0), True, 1.0, 100.0, 101.0, 97.0, 100.0, FREE._replace(stop_loss=0.02)
    )
    assert (exit.reason, exit.price, exit.quantity) == (STOP, pytest.approx(98.0), -order.quantity)
    assert (book.held, book.entry, book.bars_held) == (0.0, 0.0, 0)
    assert book.cash == pytest.approx(980.0)


def test_a_target_is_taken_and_a_trailing_stop_follows_the_best_price():
    chosen = FREE._replace(take_profit=0.5, trailing=0.1)
    book, *_ = step_bar(open_book(1000.0), True, 1.0, 100.0, 120.0, 99.0, 119.0, chosen)
    assert (book.water, book.bars_held) == (120.0, 1)
    _, _, exit = step_bar(book, False, 0.0, 115.0, 116.0, 105.0, 110.0, chosen)
    assert (exit.reason, exit.price) == (TRAILING, pytest.approx(108.0))
    _, _, exit = step_bar(book, False, 0.0, 140.0, 155.0, 139.0, 150.0, chosen)
    assert (exit.reason, exit.price) == (TAKE, pytest.approx(150.0))


def test_a_bars_own_high_does_not_trail_its_own_stop():
    book, *_ = step_bar(open_book(1000.0), True, 1.0, 100.0, 100.0, 100.0, 100.0, FREE._replace(trailing=0.1))
    _, _, exit = step_bar(book, False, 0.0, 100.0, 130.0, 95.0, 120.0, FREE._replace(trailing=0.1))
    assert exit.quantity == 0


def test_a_turn_from_long_to_short_is_one_order_and_a_new_position():
    book, *_ = step_bar(open_book(1000.0), True, 1.0, 100.0, 100.0, 100.0, 100.0, FREE)
    book, order, _ = step_bar(book, True, -1.0, 100.0, 100.0, 100.0, 100.0, FREE)
    assert (book.held, order.quantity, book.bars_held) == (pytest.approx(-10.0), pytest.approx(-20.0), 1)
