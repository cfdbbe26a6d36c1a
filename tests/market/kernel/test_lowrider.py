from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.kernel import triggers
from market.kernel.lowrider import (
    ALL_LOTS,
    CLAMPED,
    KEPT,
    LOT,
    PATIENT,
    SPACED,
    break_even_price,
    cycle_target,
    give_up_price,
    lot_value,
    profit_price,
)
from market.kernel.plan import open_track
from market.kernel.portfolio import equity, exposure_of
from market.kernel.sizing import sized_order
from market.kernel.step import Book, Rules, open_book, step_bar
from tests.market.kernel.instruments import NO_PLAN

D = Decimal
PLAN = NO_PLAN._replace(
    is_on=D(1), dca_lots=D(5), dca_first=D("0.05"), dca_spacing=D("0.01"), dca_growth=D("1.5"),
    dca_reluctance=D(4), dca_profit=D("0.01"), dca_max_loss=D("0.05"),
)  # fmt: skip
COSTS = Rules(*map(D, ("0.01", "0.00001", "1", "0.001", "0.000001", "0.0001", "0.0005", *["0"] * 6)))
FLAT = open_book(D(10_000))


def in_cycle(lots=1, last=100, cash=9500, held=5):
    book = Book(D(cash), D(held), D(100), 3, D(10_000), D(100), D(0))
    return book, open_track(D(0))._replace(base=D(10_000), lots=lots, last=D(last))


def test_a_cycle_begins_with_a_lot_scaled_by_the_buy_probability():
    track = open_track(D(0))
    assert cycle_target(D(1), FLAT, track, D(100), D(1), COSTS, PLAN) == (D("0.05"), LOT)
    assert cycle_target(D(1), FLAT, track, D(100), D("0.5"), COSTS, PLAN) == (D("0.025"), LOT)
    assert cycle_target(D(0), FLAT, track, D(100), D(1), COSTS, PLAN) == (0, 0)


def test_lots_grow_and_are_clamped_by_cash_over_reluctance():
    assert lot_value(2, D(10_000), D(9_000), D(1), PLAN) == (D("1125.00"), LOT)
    assert lot_value(4, D(10_000), D(4_000), D(1), PLAN) == (D(1_000), LOT + CLAMPED)


def test_the_next_lot_waits_for_its_spacing():
    book, track = in_cycle()
    assert cycle_target(D(1), book, track, D("99.5"), D(1), COSTS, PLAN)[1] == KEPT + SPACED
    target, code = cycle_target(D(1), book, track, D(99), D(1), COSTS, PLAN)
    assert (code, target > exposure_of(book.cash, book.held, D(99))) == (LOT, True)


def test_no_more_lots_than_allowed():
    book, track = in_cycle(lots=5)
    assert cycle_target(D(1), book, track, D(50), D(1), COSTS, PLAN)[1] == KEPT + ALL_LOTS


def test_a_wish_to_leave_waits_for_break_even():
    book, track = in_cycle()
    assert cycle_target(D(0), book, track, D(99), D(0), COSTS, PLAN)[1] == KEPT + PATIENT
    even = break_even_price(book.cash, book.held, track.base, COSTS)
    assert cycle_target(D(0), book, track, even, D(0), COSTS, PLAN) == (0, 0)
    assert 100 < even < D("100.2")


def test_selling_at_the_named_prices_gives_what_they_promise():
    book, track = in_cycle()
    kept = (1 - COSTS.fee_rate) * (1 - COSTS.half_spread - COSTS.slippage)

    def left(price):
        return float(book.cash + book.held * price * kept)

    assert left(break_even_price(book.cash, book.held, track.base, COSTS)) == pytest.approx(10_000)
    assert left(profit_price(book.cash, book.held, track.base, COSTS, PLAN)) > 10_000
    tight = PLAN._replace(dca_max_loss=D("0.01"))
    assert left(give_up_price(book.cash, book.held, track.base, COSTS, tight)) == pytest.approx(9_900)
    assert give_up_price(book.cash, book.held, track.base, COSTS, PLAN._replace(dca_max_loss=D(0))) == 0


moves = st.lists(st.integers(-60, 50).map(lambda n: 1 + D(n) / 1000), min_size=5, max_size=60)
wishes = st.lists(st.sampled_from([D(1), D(1), D(1), D(0)]), min_size=60, max_size=60)
convictions = st.lists(st.integers(0, 10).map(lambda n: D(n) / 10), min_size=60, max_size=60)


def cycles(moves, wishes, convictions, plan):
    """Trade closes one after another: bars open where the one before closed, so that gaps are visible."""
    book, track, close, low = open_book(D(10_000)), open_track(D(0)), D(100), D(100)
    for move, wish, conviction in zip(moves, wishes, convictions, strict=False):
        exposure = exposure_of(book.cash, book.held, close)
        is_order, target, _ = sized_order(
            wish, exposure, D(0), book, track, close, D(1), conviction, COSTS, plan
        )
        is_order = is_order and (wish != 0 or book.held != 0)
        open_ = close
        close = (close * move).quantize(D("0.01"))
        low, high = min(open_, close), max(open_, close)
        before = track
        book, track, order, exit = step_bar(
            book, track, is_order, target, open_, high, low, close, D(1), COSTS, plan
        )
        yield before, book, track, order, exit, close, low


@settings(max_examples=200)
@given(moves, wishes, convictions)
def test_a_cycle_never_spends_more_cash_than_there_is_and_stays_within_its_lots(moves, wishes, convictions):
    for _, book, track, *_ in cycles(moves, wishes, convictions, PLAN):
        assert book.cash >= 0
        assert track.lots <= PLAN.dca_lots
        assert (track.lots == 0) == (book.held == 0)


@settings(max_examples=200)
@given(moves, wishes, convictions)
def test_the_loss_of_a_cycle_is_its_bound_one_gap_and_the_last_lots_costs_at_most(moves, wishes, convictions):
    plan, held, price = PLAN._replace(dca_first=D("0.4"), dca_reluctance=D(1)), D(0), D(100)
    for before, book, track, order, exit, close, low in cycles(moves, wishes, convictions, plan):
        if track.base > 0 or (before.base > 0 and exit.quantity):
            base = track.base or before.base
            gap = held * max(price - low, 0)  # the fall of one bar, had it been jumped over
            lot = D("0.004") * abs(order.quantity) * order.price  # bought at the brink: its costs, twice
            least = base * (1 - plan.dca_max_loss) - gap - lot - D("0.1") * base / 100
            assert equity(book.cash, book.held, close) >= least
        held, price = book.held, close


@settings(max_examples=100)
@given(moves, wishes, convictions)
def test_a_given_up_or_sold_cycle_ends_flat(moves, wishes, convictions):
    for _, book, track, _, exit, *_ in cycles(moves, wishes, convictions, PLAN):
        if exit.reason in (triggers.GIVE_UP, triggers.PROFIT):
            assert (book.held, track.base, track.lots, book.stop) == (0, 0, 0, 0)


def test_a_falling_market_is_averaged_into_then_given_up():
    falling = [D("0.985")] * 30
    plan = PLAN._replace(dca_first=D("0.1"), dca_reluctance=D(1))
    steps = list(cycles(falling, [D(1)] * 30, [D(1)] * 30, plan))
    exits = [exit.reason for *_, exit, _, _ in steps if exit.quantity]
    assert exits[0] == triggers.GIVE_UP
    assert max(track.lots for _, _, track, *_ in steps) > 2


def test_a_recovering_market_pays_the_profit_target():
    path = [D("0.985")] * 4 + [D("1.012")] * 12
    steps = list(cycles(path, [D(1)] * 16, [D(1)] * 16, PLAN))
    sold = [(exit.reason, book.cash) for _, book, _, _, exit, *_ in steps if exit.quantity]
    assert sold[0][0] == triggers.PROFIT
    assert sold[0][1] > 10_000
