"""Futures: nobody owes after a liquidation; the same in Decimal, float and, unlevered, on the spot."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.kernel.futures import Margin, bankruptcy_price, liquidation_price, step_futures, step_market
from market.kernel.plan import open_track
from market.kernel.portfolio import equity, exposure_of
from market.kernel.step import Rules, open_book
from market.kernel.triggers import LIQUIDATION, STOP
from tests.market.kernel.instruments import NO_PLAN, as_floats
from tests.market.kernel.test_step import in_floats, markets, walk

FREE = Rules(*[0.0] * 12, 1e-9)
NONE = as_floats(NO_PLAN)
shares = st.sampled_from([Decimal(0), Decimal("0.004"), Decimal("0.009")])


@st.composite
def margins(draw):
    return Margin(Decimal(draw(st.sampled_from([1, 2, 10, 100]))), draw(shares))


def walked(book, bars, chosen, plan, margin, rate):
    """Like `walk` of the spot market; wishes are shares of the leverage, funding is due at every close."""
    steps, zero = [], book.cash - book.cash
    track = open_track(zero)
    for wish, *bar, atr in bars:
        before = book
        target = zero if wish is None else wish * margin.leverage
        book, track, order, exit, paid = step_futures(
            book, track, wish is not None, target, *bar, atr, rate, chosen, plan, margin
        )
        steps.append((before, book, order, exit, paid, bar))
    return steps


@settings(max_examples=300, deadline=None)
@given(markets(), margins(), st.integers(-1, 1))
def test_equity_never_falls_below_zero_and_a_position_loses_no_more_than_its_margin(market, margin, sign):
    chosen, plan, bars = market
    rate = sign * margin.maintenance
    for before, book, order, exit, _, bar in walked(
        open_book(Decimal(10_000)), bars, chosen, plan, margin, rate
    ):
        assert equity(book.cash, book.held, bar[-1]) >= 0
        if book.held == 0:
            assert book.cash >= 0
        if exit.reason == LIQUIDATION and order.quantity == 0:
            lost = (exit.price - before.entry) * exit.quantity + exit.fee
            assert lost <= abs(before.held) * before.entry / margin.leverage * (1 + Decimal("1e-20"))
            assert book.held == 0


@settings(max_examples=200, deadline=None)
@given(markets(), margins(), st.integers(-1, 1))
def test_cash_changes_by_fills_fees_and_funding_alone(market, margin, sign):
    chosen, plan, bars = market
    steps = walked(open_book(Decimal(10_000)), bars, chosen, plan, margin, sign * margin.maintenance)
    for before, book, order, exit, paid, _ in steps:
        spent = sum(fill.quantity * fill.price + fill.fee for fill in (order, exit)) + paid
        assert abs(before.cash - spent - book.cash) < Decimal("1e-15")
        assert book.held == before.held + order.quantity + exit.quantity


@settings(max_examples=200, deadline=None)
@given(markets(), margins())
def test_an_order_never_takes_more_than_the_leverage(market, margin):
    chosen, plan, bars = market
    for before, _, order, _, _, _ in walked(
        open_book(Decimal(10_000)), bars, chosen, plan, margin, Decimal(0)
    ):
        held = before.held + order.quantity
        if order.quantity and abs(held) > abs(before.held):
            cash = before.cash - order.quantity * order.price - order.fee
            assert abs(exposure_of(cash, held, order.price)) <= margin.leverage * (1 + Decimal("1e-20"))


@settings(max_examples=200, deadline=None)
@given(markets(), margins(), st.integers(-1, 1))
def test_floats_walk_the_same_path_as_decimals(market, margin, sign):
    chosen, plan, bars = market
    exact = walked(open_book(Decimal(10_000)), bars, chosen, plan, margin, sign * margin.maintenance)
    floats = walked(
        open_book(10_000.0), in_floats(bars), as_floats(chosen), as_floats(plan), as_floats(margin),
        float(sign * margin.maintenance),
    )  # fmt: skip
    for (_, book, _, exit, _, bar), (_, other, _, exit_, _, _) in zip(exact, floats, strict=True):
        if exit.reason != exit_.reason or abs(float(book.held) - other.held) > 1.5 * float(chosen.step):
            return  # a price on a level, to the last digit: from there on the paths may part
        worth, found = equity(book.cash, book.held, bar[-1]), equity(other.cash, other.held, float(bar[-1]))
        assert found == pytest.approx(float(worth), rel=1e-6, abs=float(chosen.step * bar[-1]) * 2 + 1e-6)


@settings(max_examples=200, deadline=None)
@given(markets())
def test_unlevered_longs_without_funding_are_the_spot_market(market):
    chosen, plan, bars = market
    bars = [(None if wish is None else abs(wish), *rest) for wish, *rest in bars]
    own, plan = Margin(Decimal(1), Decimal(0)), NO_PLAN
    spot = walk(open_book(Decimal(10_000)), [(w, *r) for w, *r in bars], chosen, plan)
    track, book = open_track(Decimal(0)), open_book(Decimal(10_000))
    for (expected, _, order, *_), (wish, *bar, atr) in zip(spot, bars, strict=True):
        is_order = order.quantity != 0
        book, track, *_ = step_market(
            book, track, is_order, wish or Decimal(0), *bar, atr, Decimal(0), chosen, plan, own
        )
        assert book == expected


def opened(target, margin, price=100.0, rules=FREE):
    return step_futures(
        open_book(1000.0),
        open_track(0.0),
        True,
        target,
        price,
        price,
        price,
        price,
        0.0,
        0.0,
        rules,
        NONE,
        margin,
    )[0]


def test_the_liquidation_price_leaves_the_maintenance_margin_of_the_positions_own_margin():
    margin = Margin(10.0, 0.005)
    long, short = opened(1.0, margin), opened(-1.0, margin)
    assert liquidation_price(long, margin) == pytest.approx(100 * 0.9 / 0.995)
    assert liquidation_price(short, margin) == pytest.approx(100 * 1.1 / 1.005)
    assert (bankruptcy_price(long, margin), bankruptcy_price(short, margin)) == pytest.approx((90, 110))


@pytest.mark.parametrize(("target", "close"), [(1.0, 80.0), (-1.0, 125.0)])
def test_a_gap_through_the_bankruptcy_price_costs_the_margin_and_no_more(target, close):
    margin = Margin(10.0, 0.005)
    book, _, order, exit, _ = step_futures(
        opened(target, margin), open_track(0.0), True, target, *[close] * 4, 0.0, 0.0, FREE, NONE, margin
    )  # fmt: skip
    assert (exit.reason, order.quantity) == (LIQUIDATION, 0)
    assert (book.held, book.cash) == (0.0, pytest.approx(900.0))


def test_a_stop_nearer_than_the_liquidation_acts_first():
    margin, rules = Margin(10.0, 0.005), FREE._replace(stop_loss=0.05)
    book, _, _, exit, _ = step_futures(
        opened(1.0, margin),
        open_track(0.0),
        False,
        0.0,
        99.0,
        99.0,
        80.0,
        85.0,
        0.0,
        0.0,
        rules,
        NONE,
        margin,
    )
    assert (exit.reason, exit.price, book.cash) == (STOP, 95.0, pytest.approx(950.0))


@given(st.floats(-0.005, 0.005), st.floats(0.1, 5.0))
def test_longs_pay_what_shorts_are_paid(rate, target):
    margin, paid = Margin(10.0, 0.01), []
    for side in (1, -1):
        book = opened(side * target, margin)
        after, _, _, _, funding = step_futures(
            book, open_track(0.0), False, 0.0, *[100.0] * 4, 0.0, rate, FREE, NONE, margin
        )
        assert after.cash == book.cash - funding
        paid.append(funding)
    assert paid[0] == -paid[1] == pytest.approx(rate * target * 1000)


def test_leverage_multiplies_what_is_won():
    margin = Margin(5.0, 0.005)
    book = opened(5.0, margin)
    assert (book.held, book.cash) == pytest.approx((50.0, -4000.0))
    assert equity(book.cash, book.held, 101.0) == pytest.approx(1050.0)
