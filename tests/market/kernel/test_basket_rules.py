"""Exits and breakers over several pairs: books balance, exits sell all, and what is halted never buys."""

from decimal import Decimal as D

from hypothesis import given, settings
from hypothesis import strategies as st

from market.basket import OFF, Account
from market.kernel.basket import target_weights
from market.kernel.basket_rules import Bars
from market.kernel.breakers import REDUCING, SAFE, Limits
from market.kernel.guards import Guards
from market.kernel.step import Rules
from market.kernel.watch import WatchRules

ZERO, STEPS, MINUTE = D(0), (D("0.001"), D(1)), 60_000
COSTS = {"tick": "0.01", "min_notional": "1", "fee_rate": "0.001", "fee_step": "0.000001",
         "half_spread": "0.0002", "slippage": "0.0005"}  # fmt: skip
fractions = st.sampled_from([ZERO, D("0.01"), D("0.05")])
moves = st.decimals("0.9", "1.1", places=3)
wishes = st.lists(st.decimals(-1, 1, places=2), min_size=2, max_size=2)
bars = st.lists(st.tuples(st.booleans(), wishes, *[st.tuples(*[moves] * 4)] * 2), min_size=2, max_size=12)


@st.composite
def accounts(draw):
    """An account of two pairs in Decimal, with exits, caps, breakers and guards."""
    exits = {name: draw(fractions) for name in ("stop_loss", "take_profit", "trailing")}
    caps = {
        "max_order_share": draw(st.sampled_from([ZERO, D("0.2")])),
        "max_position": draw(st.sampled_from([ZERO, D(3000)])),
    }
    values = {**dict.fromkeys(Rules._fields, "0"), **COSTS}
    rules = Rules(**{name: D(value) for name, value in values.items()})._replace(**exits, **caps)
    losses = [draw(fractions) for _ in range(4)]
    limits = Limits(*losses, draw(st.sampled_from([0, 1])), 0, 0, 0, 0, 0)
    guards = Guards(0, 0, 0, draw(st.sampled_from([0, 3 * MINUTE])), 0, draw(st.sampled_from([0, 3])))
    plan = OFF._replace(is_on=D(1), max_bars=draw(st.sampled_from([0, 2])), break_even=draw(fractions))
    plan = plan._replace(kelly_trades=D(50), kelly_min_trades=D(20))
    watching = WatchRules(limits, guards, D("0.1"), 2 * MINUTE)
    return Account(D(10_000), rules, [D("0.01")] * 2, list(STEPS), plan, watching, 0)


def walked(account, path):
    """Yield (state before the decision, asked to trade, cash and holdings before, fills) of every bar."""
    prices = [D(100), D(10)]
    for at, (is_asked, asked, *shapes) in enumerate(path):
        weights = [ZERO] * 2
        target_weights(asked, D(1), weights)
        states = [max(one.state, account.watches[-1].state) for one in account.watches[:-1]]
        worth = account.equity(prices)
        shares = [held * price / worth for held, price in zip(account.held, prices, strict=True)]
        is_due = account.ask(weights, prices, ZERO, at * MINUTE) and is_asked
        columns = [
            [round(price * factor, 2) for factor in shape]
            for price, shape in zip(prices, shapes, strict=True)
        ]
        opens, closes = ([column[place] for column in columns] for place in (0, 3))
        before = account.cash, list(account.held), shares
        highs, lows = [max(column) for column in columns], [min(column) for column in columns]
        bar, end = Bars(opens, highs, lows, closes, [ZERO] * 2), (at + 1) * MINUTE
        fills = account.live(is_due, bar, at * MINUTE, end)
        yield states, before, fills
        prices = closes
        account.mark(closes, end)


@settings(max_examples=200, deadline=None)
@given(accounts(), bars)
def test_every_bar_balances_to_the_last_digits_and_exits_sell_all(account, path):
    for _, (cash, held, _), fills in walked(account, path):
        spent = sum(fill.quantity * fill.price + fill.fee for _, fill in fills)
        assert abs(account.cash - (cash - spent)) < D("1e-12")
        assert account.cash > D("-1e-12")
        for place, fill in fills:
            held[place] += fill.quantity
            if fill.reason:
                assert held[place] == 0
        assert account.held == held


@settings(max_examples=200, deadline=None)
@given(accounts(), bars)
def test_no_pair_grows_while_the_account_is_halted_nor_beyond_a_tiny_trade_in_safe_mode(account, path):
    for states, (_, _, shares), fills in walked(account, path):
        for place, fill in fills:
            if states[place] >= REDUCING:
                assert fill.quantity < 0
            elif states[place] == SAFE and fill.quantity > 0:
                assert shares[place] < D("0.1"), "only up to a tenth of equity, as chosen here"
