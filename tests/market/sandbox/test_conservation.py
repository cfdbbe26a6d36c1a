"""Money is neither made nor lost, whatever is asked."""

from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from market.sandbox.engine import Engine
from market.sandbox.feed import ScriptFeed
from market.sandbox.instruments import Pair
from market.sandbox.rules import Quirks
from market.sandbox.shorts import close_short, open_short
from market.sandbox.texts import Refused

PAIR = Pair("BTC/USD", 2, 5, Decimal(1))
START = Decimal(10_000)


def market(seed, seconds=200):
    """A wild walk of quotes around 100."""
    random = np.random.default_rng(seed)
    bid = np.maximum(100, 10_000 + random.integers(-400, 401, seconds).cumsum())
    times = [1000 * (n + 1) for n in range(seconds)]
    ask = bid + random.integers(1, 50, seconds)
    return ScriptFeed(PAIR, times, bid.tolist(), ask.tolist(), bid.tolist())


def engine_on(seed, events, **quirks):
    feed = market(seed)
    return Engine({PAIR.name: PAIR}, {PAIR.name: feed}, Quirks(**quirks), events.append)


quantities = st.decimals("0.00001", "60", places=5).map(str)
prices = st.decimals("60", "140", places=2).map(str)
acts = st.one_of(
    st.tuples(st.just("market"), st.sampled_from(["BUY", "SELL"]), quantities),
    st.tuples(st.just("limit"), st.sampled_from(["BUY", "SELL"]), quantities, prices),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("short"), st.decimals("1", "3000", places=2).map(str)),
    st.tuples(st.just("short_limit"), st.decimals("1", "3000", places=2).map(str), prices),
    st.tuples(st.just("close"), st.sampled_from(["10", "33.3", "100"])),
    st.tuples(st.just("wait"), st.integers(1, 20)),
)


def act(engine, account, now, kind, *values):
    base = {"pair": PAIR.name}
    if kind in ("market", "limit"):
        order = base | {"type": kind.upper(), "side": values[0], "quantity": values[1]}
        engine.place(account, order | ({"price": values[2]} if kind == "limit" else {}), now)
    elif kind == "cancel":
        engine.cancel(account, {}, now)
    elif kind == "short":
        open_short(engine, account, base | {"collateral": values[0]}, now)
    elif kind == "short_limit":
        wanted = {"collateral": values[0], "order_type": "LIMIT", "price": values[1]}
        open_short(engine, account, base | wanted, now)
    elif kind == "close":
        close_short(engine, account, base | {"close_pct": values[0]}, now)


def play(engine, script):
    account, now = engine.open_account("key", START, 0), 1000
    for each in script:
        now += each[1] * 1000 if each[0] == "wait" else 100
        engine.advance(now)
        try:
            act(engine, account, now, *each)
        except Refused:
            continue
    return account


def flows(order):
    """What a filled spot order moved: (USD, coins)."""
    sign = {"BUY": 1, "SELL": -1}[order.side]
    notional = order.average * order.filled
    return -sign * notional - order.fee, sign * order.filled


@given(
    st.lists(acts.filter(lambda a: not a[0].startswith(("short", "close"))), max_size=40),
    st.integers(0, 50),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_cash_and_coins_are_what_the_fills_say(script, seed, lock_includes_fee):
    engine = engine_on(seed, [], lock_includes_fee=lock_includes_fee)
    account = play(engine, script)
    filled = [flows(order) for order in engine.orders.values() if order.status == "FILLED"]
    assert account.purse("USD").total == START + sum(usd for usd, _ in filled)
    assert account.purse("BTC").total == sum(coins for _, coins in filled)
    resting = [order.locked for order in engine.resting.values() if order.lock_coin == "USD"]
    assert account.purse("USD").pending == sum(resting)


@given(st.lists(acts, max_size=40), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_nothing_is_ever_overdrawn_and_collateral_equals_the_open_shorts(script, seed):
    account = play(engine_on(seed, []), script)
    assert account.purse("USD").collateral == sum(short.collateral for short in account.positions.values())
    assert account.purse("BTC").free >= 0
    assert all(purse.pending >= 0 for purse in account.purses.values())
    closes = 1 + sum(each[0] == "close" for each in script)
    assert (
        account.purse("USD").free >= -closes * Decimal("0.01") * START
    )  # a short's own closing fee at worst


@given(st.lists(acts, max_size=30), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_replaying_the_journal_restores_the_books(script, seed):
    events = []
    engine = engine_on(seed, events)
    account = play(engine, script)
    again = engine_on(seed, [])
    for event in events:
        again.restore(event)
    assert again.accounts["key"] == account
    assert again.orders == engine.orders
    assert again.resting.keys() == engine.resting.keys()
    assert (again.next_order_id, again.next_position_id) == (engine.next_order_id, engine.next_position_id)
