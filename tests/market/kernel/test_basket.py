"""A rebalance to target weights: nothing is made or lost, in Decimal as in float."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.basket import Account
from market.kernel.basket import mean_growth, target_weights
from market.kernel.step import Rules

ZERO = Decimal(0)
COSTS = {"fee_rate": "0.001", "fee_step": "0.000001", "half_spread": "0.0002", "slippage": "0.0005"}


def account(cash, steps, number=Decimal, **changes):
    """Return an account of as many pairs as steps are given."""
    values = {**dict.fromkeys(Rules._fields, "0"), **COSTS, "min_notional": "1", **changes}
    guard = number(0) if number is Decimal else 1e-9
    rules = Rules(**{name: number(value) for name, value in values.items()})._replace(guard=guard)
    return Account(number(cash), rules, [number("0.01")] * len(steps), [number(step) for step in steps])


def rebalance(account, weights, prices):
    return account.trade(prices) if account.ask(weights, prices, 0) else []


wishes = st.lists(st.decimals(-1, 1, places=3), min_size=1, max_size=5)


@given(wishes, st.sampled_from([Decimal(1), Decimal("0.5")]))
def test_weights_are_shares_of_what_may_be_held(given_wishes, top):
    weights = [ZERO] * len(given_wishes)
    target_weights(given_wishes, top, weights)
    assert min(weights) >= 0
    assert sum(weights) <= top + Decimal("1e-20")
    if sum((wish + 1) / 2 for wish in given_wishes) <= 1:
        assert weights == [(wish + 1) / 2 * top for wish in given_wishes]


paths = st.lists(
    st.tuples(
        st.lists(st.decimals(-1, 1, places=2), min_size=3, max_size=3),
        st.lists(st.decimals(1, 1000, places=2), min_size=3, max_size=3),
    ),
    min_size=1,
    max_size=8,
)


@given(paths)
def test_money_is_conserved_and_cash_never_negative(path):
    book, steps = account("10000", ["0.001", "1", "0"]), (Decimal("0.001"), Decimal(1))
    for asked, prices in path:
        before, cash, held = book.equity(prices), book.cash, list(book.held)
        weights = [ZERO] * 3
        target_weights(asked, Decimal(1), weights)
        fills = rebalance(book, weights, prices)
        spent = sum(fill.quantity * fill.price + fill.fee for _, fill in fills)
        assert abs(book.cash - (cash - spent)) < Decimal("1e-12")
        assert book.cash > Decimal("-1e-12")
        assert all(now >= 0 for now in book.held)
        for place, fill in fills:
            assert book.held[place] == held[place] + fill.quantity
        assert [book.held[at] % step for at, step in enumerate(steps)] == [0, 0]
        worse = sum(abs(fill.quantity) * (prices[at] * Decimal("0.0007") + Decimal("0.01")) + fill.fee
                    for at, fill in fills)  # fmt: skip
        assert before - worse - Decimal("1e-12") <= book.equity(prices) <= before


@given(paths)
def test_a_rebalance_in_floats_is_that_in_decimals(path):
    steps = ("0.001", "1", "0.01")
    exact, rough = account("10000", steps), account("10000", steps, float)
    for asked, prices in path:
        rough.cash, rough.held = float(exact.cash), [float(held) for held in exact.held]
        weights, floats, marks = [ZERO] * 3, [0.0] * 3, [float(price) for price in prices]
        target_weights(asked, Decimal(1), weights)
        target_weights([float(wish) for wish in asked], 1.0, floats)
        rebalance(exact, weights, prices)
        rebalance(rough, floats, marks)
        # What lies on a step or on the minimum order may go either way; it differs by its costs then.
        apart = 0.01 * (1 + sum(price * float(step) for price, step in zip(marks, steps, strict=True)))
        assert float(exact.equity(prices)) == pytest.approx(rough.equity(marks), rel=1e-9, abs=apart)


def test_sells_pay_for_buys():
    book = account("1000", ["0", "0"], fee_rate="0", half_spread="0", slippage="0")
    rebalance(book, [Decimal(1), ZERO], [Decimal(10), Decimal(20)])
    assert (book.cash, book.held) == (ZERO, [Decimal(100), ZERO])
    fills = rebalance(book, [ZERO, Decimal(1)], [Decimal(10), Decimal(20)])
    assert [(at, fill.quantity) for at, fill in fills] == [(0, Decimal(-100)), (1, Decimal(50))]
    assert (book.cash, book.held) == (ZERO, [ZERO, Decimal(50)])


def test_what_cannot_be_paid_for_is_bought_in_part_by_the_last_pair():
    book = account("1000", ["0", "0"])
    rebalance(book, [Decimal("0.5"), Decimal("0.5")], [Decimal(10), Decimal(10)])
    assert 0 <= book.cash < Decimal("0.000002")
    first, last = book.weights([Decimal(10), Decimal(10)])
    assert last < first < Decimal("0.502")


def test_within_the_band_nothing_moves_and_leaving_always_does():
    book = account("1000", ["0"])
    rebalance(book, [Decimal("0.5")], [Decimal(10)])
    assert not book.ask([Decimal("0.52")], [Decimal(10)], Decimal("0.05"))
    assert book.ask([ZERO], [Decimal(10)], Decimal("0.9"))
    assert not account("1000", ["0"]).ask([ZERO], [Decimal(10)], ZERO)


def test_an_order_below_the_minimum_is_not_sent():
    book = account("1000", ["0"], min_notional="600")
    assert rebalance(book, [Decimal("0.5")], [Decimal(10)]) == []
    assert book.cash == 1000


def test_the_row_of_an_account_says_weights_gains_drawdown_and_cash():
    book = account("1000", ["0", "0"], fee_rate="0", half_spread="0", slippage="0")
    rebalance(book, [Decimal("0.5"), ZERO], [Decimal(10), Decimal(10)])
    book.mark([Decimal(12), Decimal(10)])
    book.mark([Decimal(8), Decimal(10)])
    weight, gain, second, none, drawdown, cash = book.row([Decimal(8), Decimal(10)])
    assert (weight, gain) == (Decimal(400) / 900, Decimal("-0.2"))
    assert (second, none) == (0, 0)
    assert drawdown == pytest.approx(Decimal(900) / 1100 - 1)
    assert cash == Decimal(500) / 900


def test_the_benchmark_grows_by_the_mean_of_its_pairs():
    assert mean_growth([10.0, 20.0], [11.0, 20.0]) == pytest.approx(1.05)
