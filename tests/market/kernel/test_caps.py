"""Caps on one order and on the position behind it, over bars: never passed, and no exit is ever cut."""

from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.kernel import breakers, risk
from market.kernel.futures import Margin, cap_at
from market.kernel.portfolio import equity
from market.kernel.step import Rules, capped, open_book
from tests.market.kernel.instruments import NO_PLAN, as_floats
from tests.market.kernel.test_futures import walked
from tests.market.kernel.test_step import in_floats, markets, walk

SPOT = Margin(D(0), D(0))
shares = st.sampled_from([D(0), D("0.01"), D("0.3"), D(1)])
values = st.sampled_from([D(0), D(15), D(700), D(6_000)])


def passed(before, order, open_, rules, slack):
    """Return which caps an order passed that opens something: its share of equity, the position's value."""
    held = before.held + order.quantity
    opened = abs(held) if before.held * held <= 0 else abs(held) - abs(before.held)
    if order.quantity == 0 or opened <= 0:
        return []
    worth = equity(before.cash, before.held, open_)
    is_large = opened * order.price > rules.max_order_share * worth * slack
    is_much = abs(held) * order.price > rules.max_position * slack
    return ["order"] * (rules.max_order_share > 0 and is_large) + ["position"] * (
        rules.max_position > 0 and is_much
    )


def breaches(market, margin, slack, number):
    chosen, plan, bars = market
    book, found = open_book(number(10_000)), []
    if margin.leverage > 0:
        for before, _, order, _, _, bar in walked(book, bars, chosen, plan, margin, number(0)):
            found += passed(before, order, bar[0], chosen, slack)
        return found
    for after, _, order, _, bar, _ in walk(book, bars, chosen, plan):
        found += passed(book, order, bar[0], chosen, slack)
        book = after
    return found


@settings(max_examples=200, deadline=None)
@given(markets(), st.sampled_from([D(0), D(1), D(3)]), shares, values)
def test_no_entry_passes_a_cap_in_decimals_or_floats(market, leverage, share, value):
    chosen, plan, bars = market
    chosen = chosen._replace(max_order_share=share, max_position=value)
    margin = Margin(leverage, D("0.004") if leverage else D(0))
    assert breaches((chosen, plan, bars), margin, 1 + D("1e-20"), D) == []
    floats = as_floats(chosen), as_floats(plan), in_floats(bars)
    assert breaches(floats, as_floats(margin), 1 + 1e-9, float) == []


def test_without_caps_the_same_orders_would_pass_them():
    bars = [(D(1), *[D(100)] * 4, D(1)), (D(-1), *[D(100)] * 4, D(1))]
    free = Rules(*[D(0)] * 13)
    tight = free._replace(max_order_share=D("0.5"), max_position=D(4_000))
    orders = [order for *_, order, _, _, _ in walk(open_book(D(10_000)), bars, free, NO_PLAN)]
    assert [order.quantity for order in orders] == [100, -200]
    assert passed(open_book(D(10_000)), orders[0], D(100), tight, D(1)) == ["order", "position"]
    cut = [order.quantity for *_, order, _, _, _ in walk(open_book(D(10_000)), bars, tight, NO_PLAN)]
    assert cut == [40, -80]  # the turn closes 40 and opens 40


def asked_for(target, held, cash, **given):
    """Return (order, code) of a wish at a price of 100, in steps of 1 and above a notional of 50."""
    rules = Rules(*[D(0)] * 13)._replace(step=D(1), min_notional=D(50), **given)
    book = open_book(D(cash))._replace(held=D(held), entry=D(100))
    [(_, _, order, _, _, _)] = walk(book, [(D(target), *[D(100)] * 4, D(1))], rules, NO_PLAN)
    return order.quantity, cap_at(book, D(target), D(100), rules, SPOT)


@pytest.mark.parametrize(
    ("wish", "given", "order", "code"),
    [
        ((1, 0, 10_000), {}, 100, risk.OK),
        ((1, 0, 10_000), {"max_order_share": D(1)}, 100, risk.OK),
        ((1, 0, 10_000), {"max_order_share": D("0.256")}, 25, risk.MAX_ORDER_SHARE),
        ((1, 0, 10_000), {"max_position": D(2_550)}, 25, breakers.MAX_POSITION),
        ((1, 20, 8_000), {"max_order_share": D("0.256")}, 25, risk.MAX_ORDER_SHARE),
        ((1, 20, 8_000), {"max_position": D(2_550)}, 5, breakers.MAX_POSITION),
        ((1, 30, 7_000), {"max_position": D(2_550)}, 0, breakers.MAX_POSITION),
        ((1, 25, 7_500), {"max_position": D(2_550)}, 0, breakers.MAX_POSITION),  # 50 are too little
        ((0, 30, 7_000), {"max_position": D(50), "max_order_share": D("0.01")}, -30, risk.OK),
        ((D("0.2"), 30, 7_000), {"max_position": D(50), "max_order_share": D("0.01")}, -10, risk.OK),
        ((-1, 30, 7_000), {"max_position": D(500)}, -35, breakers.MAX_POSITION),
        ((-1, -10, 11_000), {"max_order_share": D("0.3")}, -30, risk.MAX_ORDER_SHARE),
    ],
)  # fmt: skip
def test_what_caps_leave_of_a_wish(wish, given, order, code):
    assert asked_for(*wish, **given) == (order, code)


def test_without_equity_nothing_is_opened_under_a_cap():
    book = open_book(D(0))._replace(held=D(-2), cash=D(100))
    rules = Rules(*[D(0)] * 13)._replace(max_position=D(50))
    assert capped(D(3), D(100), book, D(100), rules) == (2, risk.NO_EQUITY)


def test_a_position_that_is_liquidated_at_the_open_has_no_order_to_cut():
    book = open_book(D(0))._replace(held=D(10), cash=D(-700), entry=D(100))
    rules, margin = Rules(*[D(0)] * 13)._replace(max_position=D(50)), Margin(D(5), D("0.01"))
    assert cap_at(book, D(5), D(100), rules, margin) == breakers.MAX_POSITION
    assert cap_at(book, D(5), D(79), rules, margin) == risk.OK
