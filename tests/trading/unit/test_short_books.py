"""Shorts in our books against the sandbox's own ledger, over acts by chance: equal, and nothing twice."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market.kernel import shorts
from market.kernel.shorts import Short
from market.sandbox.engine import Engine
from market.sandbox.feed import ScriptFeed
from market.sandbox.instruments import Pair
from market.sandbox.rows import order_row, position_row
from market.sandbox.rules import Quirks
from market.sandbox.shorts import close_short, open_short
from market.sandbox.texts import Refused
from tests.trading.unit.test_books import clear
from tests.trading.unit.test_books import session as session_
from trading import books, short_books
from trading.exchanges.roostoo_answers import order_report
from trading.models import Holding, LedgerEntry, Order, OrderStatus

session = session_
D = Decimal
PAIR = Pair("BTC/USD", 2, 5, D(1))
CENT = D("0.01")
CAPITAL = D(10**5)  # SQLite keeps 15 digits: of ten millions, too few decimals for a merged entry's quotient
prices = st.integers(2_000, 40_000)  # ticks: a rise beyond twice the entry uses a collateral up
acts = st.lists(
    st.tuples(st.sampled_from(["open", "close"]), st.integers(100, 300_000), prices), min_size=1, max_size=8
)


def venue(ticks):
    times = [1000 * (n + 1) for n in range(len(ticks))]
    feed = ScriptFeed(PAIR, times, list(ticks), [tick + 7 for tick in ticks], list(ticks))
    engine = Engine({PAIR.name: PAIR}, {PAIR.name: feed}, Quirks(), lambda _: None)
    return engine, engine.open_account("K", CAPITAL, 0)


def trade(engine, account, now_ms, kind, size):
    """One act; returns the order that became of it, or None where the venue refuses."""
    try:
        if kind == "open":
            given = {"pair": PAIR.name, "collateral": format(D(size) / 100, "f")}
            open_short(engine, account, given, now_ms)
        else:
            given = {"pair": PAIR.name, "close_qty": format(D(size) / 10**5, "f")}
            close_short(engine, account, given, now_ms)
    except Refused:
        return None
    return next(engine.of_account(account))


def whole(row):
    return {key: D(str(value)) if isinstance(value, float) else value for key, value in row.items()}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(acts=acts)
def test_books_of_shorts_are_the_venues_over_any_acts(session, acts):
    session.capital = CAPITAL
    clear(session)
    type(session).objects.filter(pk=session.pk).update(capital=CAPITAL, shorted=0)
    engine, account = venue([tick for _, _, tick in acts])
    start, merged = account.purse("USD").total, False
    for number, (kind, size, tick) in enumerate(acts):
        made = trade(engine, account, 1000 * (number + 1), kind, size)
        if made is None:
            continue
        report = order_report(whole(order_row(made, engine.quirks, queried=True)))
        order = Order.objects.create(
            client_ref=f"s:{number}", session=session, account=session.account, pair=PAIR.name,
            side=made.side, quantity=report.quantity, expected_price=1, reason="test", fence=1,
            planned_ms=number, status=OrderStatus.SENDING,
        )  # fmt: skip
        books.book(order, report)
        merged = merged or (kind == "open" and account.positions[PAIR.name].quantity != made.quantity)
        agree(session, account, start, D(tick + 7) / 100, D("1e-7") if merged else D(0))


def agree(session, account, start, ask, most):
    """Ledger, terms, equity of account and session are the venue's; a merged entry is a quotient."""
    holdings = dict(Holding.objects.values_list("coin", "quantity"))
    for coin, quantity in holdings.items():
        assert sum(LedgerEntry.objects.filter(coin=coin).values_list("amount", flat=True)) == quantity
    assert abs(holdings.get("USD", D(0)) - (account.purse("USD").total - start)) <= most
    position = account.positions.get(PAIR.name)
    ours = short_books.of_account(session.account).get(PAIR.name)
    assert (position is None) == (ours is None)
    theirs = account.purse("USD").total
    if position is not None:
        assert (ours.quantity, ours.collateral) == (position.quantity, position.collateral)
        assert abs(ours.entry - position.entry) <= most
        shown = position_row(position, ask)["UnrealizedPNL"]
        assert abs(shorts.unrealised(ours, ask) - shown) <= D("1e-6") + most
        theirs += shorts.unrealised(Short(position.quantity, position.entry, position.collateral), ask)
    session.refresh_from_db()
    assert session.shorted == -session.held == (ours.quantity if ours else 0)
    marked = session.cash + session.held * ask
    if position is None or position.quantity * (ask - position.entry) <= position.collateral:
        assert abs(marked - session.capital - (theirs - start)) <= most
    else:  # a mark falls on beyond the collateral, the venue's does not; closing it books the relief
        assert marked - session.capital < theirs - start


@given(acts=st.lists(st.tuples(st.booleans(), st.integers(6_000, 10**6), prices), min_size=1, max_size=10))
def test_a_short_conserves_what_was_paid_in(acts):
    """Proceeds, collateral and profit: what opening and closing pay is what the position was worth."""
    short = Short(D(0), D(0), D(0))
    for is_open, size, tick in acts:
        quantity, price = D(size) / 10**5, D(tick) / 100
        worth, is_capped, realised = value(short, price), used_up(short, price), D(0)
        if is_open:
            short = shorts.opened(short, quantity, price, CENT)
        elif short.quantity:
            closed = shorts.closing_quantity(short, quantity, price, D(1))
            short, realised, relief = shorts.closed(short, closed, price, CENT)
            assert (relief > 0) <= is_capped
        assert short.quantity >= 0
        assert short.collateral >= 0
        if not (is_capped or used_up(short, price)):
            assert abs(worth - realised - value(short, price)) < D("1e-15")


def value(short, price):
    return shorts.unrealised(short, price) if short.quantity else D(0)


def used_up(short, price):
    """A cent early: what is kept of a collateral is floored."""
    return short.quantity * (short.entry - price) <= CENT - short.collateral and short.quantity > 0


@pytest.mark.parametrize(("wanted", "closed"), [("0.5", "0.5"), ("2", "1"), ("0.995", "1")])
def test_a_close_is_cut_to_the_short_and_takes_a_small_rest_along(wanted, closed):
    short = Short(D(1), D(100), D(100))
    assert shorts.closing_quantity(short, D(wanted), D(100), D(1)) == D(closed)


def test_neither_proceeds_nor_collateral_are_free():
    assert shorts.free_cash(D(1500), Short(D(5), D(100), D(500))) == 500
