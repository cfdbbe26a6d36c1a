"""The compiled functions against the plain ones, at the venue's real steps."""

import numpy as np
import pytest
from hypothesis import given, settings
from numba import njit

from market.kernel import batch, packing
from market.kernel.portfolio import exposure_of, portfolio_row
from market.kernel.sizing import sized_order
from market.kernel.step import Book, Fill, Rules, open_book, step_bar
from tests.market.kernel.instruments import as_floats
from tests.market.kernel.test_step import in_floats, markets, walk


@njit
def compiled_walk(bars, rules_vector, plan_vector, cash, books, tracks, fills):
    rules, plan = batch._capped_rules(rules_vector), batch._plan(plan_vector)
    book, track, before = open_book(cash), batch._no_track(), bars[0, 1]
    for i in range(len(bars)):
        target, is_order, code = bars[i, 0], not np.isnan(bars[i, 0]), 0
        if is_order:
            exposure = exposure_of(book.cash, book.held, before)
            is_order, target, code = sized_order(
                target, exposure, 0.0, book, track, before, bars[i, 5], 1.0, rules, plan
            )
        book, track, order, exit = step_bar(
            book, track, is_order, target, bars[i, 1], bars[i, 2], bars[i, 3], bars[i, 4], bars[i, 5], rules,
            plan,
        )  # fmt: skip
        before = bars[i, 4]
        books[i, 0], books[i, 1], books[i, 2], books[i, 3] = book.cash, book.held, book.entry, book.bars_held
        books[i, 4], books[i, 5], books[i, 6] = book.peak, book.water, book.stop
        batch._keep_track(i, tracks, track)
        fills[i, 0], fills[i, 1], fills[i, 2], fills[i, 3], fills[i, 4] = (
            order.quantity,
            order.price,
            exit.quantity,
            exit.reason,
            code,
        )


@settings(max_examples=200, deadline=None)
@given(markets())
def test_compiled_steps_equal_plain_float_steps(market):
    chosen, plan, bars = market
    rules, plan = as_floats(chosen), as_floats(plan)
    rows = np.array([[np.nan if value is None else float(value) for value in bar] for bar in bars])
    books, tracks, fills = np.zeros((len(bars), 7)), np.zeros((len(bars), 10)), np.zeros((len(bars), 5))
    compiled_walk(rows, np.array(rules), np.array(plan), 10_000.0, books, tracks, fills)
    for i, (book, track, order, exit, _, code) in enumerate(
        walk(open_book(10_000.0), in_floats(bars), rules, plan)
    ):
        assert books[i] == pytest.approx(list(book), rel=1e-12, abs=1e-9)
        assert tracks[i] == pytest.approx(list(track), rel=1e-12, abs=1e-9)
        expected = order.quantity, order.price, exit.quantity, exit.reason, code
        assert fills[i] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_named_tuples_keep_their_order():
    assert Book._fields == ("cash", "held", "entry", "bars_held", "peak", "water", "stop")
    assert Fill._fields == ("quantity", "price", "fee", "reason")
    assert Rules._fields[-1] == "guard"


def test_packed_rows_hold_prices_and_features_on_cache_lines():
    prices, features = np.arange(12.0).reshape(3, 4), np.arange(63, dtype=np.float32).reshape(3, 21)
    rows = packing.pack(prices, features)
    assert rows.ctypes.data % packing.LINE == 0
    assert rows.strides[0] % packing.LINE == 0
    assert (rows.view(np.float64)[:, :4] == prices).all()
    assert (rows[:, packing.PRICES : packing.PRICES + 21] == features).all()


def test_the_compiled_portfolio_row_is_the_plain_one():
    compiled = njit(lambda *values: portfolio_row(*values))
    values = 5_000.0, 0.1, 60_000.0, 77, 12_000.0, 61_000.0, 1_440.0
    assert compiled(*values) == pytest.approx(portfolio_row(*values), rel=1e-14)
