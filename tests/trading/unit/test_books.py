"""What a fill does to the books: conserved to the last unit, whatever the order of events."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market.kernel.portfolio import realised
from trading import books, foreign
from trading.exchanges.port import CANCELLED, FILLED, OPEN, OrderReport
from trading.models import Account, Holding, LedgerEntry, LiveSession, Order, OrderStatus, RiskProfile

STEP = Decimal("0.00001")
quantities = st.integers(1, 2_000_000).map(lambda n: n * STEP)
prices = st.integers(1_000_000, 9_000_000).map(lambda n: Decimal(n) / 100)


@pytest.fixture
def session(db, user):
    account = Account.objects.create(owner=user, name="a", venue="paper", base_url="http://127.0.0.1:9")
    risk = RiskProfile.objects.create(owner=user, name="r")
    return LiveSession.objects.create(
        owner=user, name="s", baseline="cash", account=account, pair="BTC/USD", interval_ms=60_000, risk=risk,
        capital=Decimal(10**7), cash=Decimal(10**7), started_ms=1,
    )  # fmt: skip


def order_of(session, side, quantity, number, status=OrderStatus.SENDING):
    return Order.objects.create(
        client_ref=f"{session.pk}:{number}", session=session, account=session.account, pair=session.pair,
        side=side, quantity=quantity, expected_price=1, reason="test", fence=1, planned_ms=number,
        status=status,
    )  # fmt: skip


def report_of(order, price, *, filled=None, status=FILLED):
    filled = order.quantity if filled is None else filled
    fee = (filled * price / 1000).quantize(Decimal("0.000001"), "ROUND_FLOOR")
    return OrderReport(
        f"v{order.pk}", order.pair, order.side, order.type, status, order.quantity, filled, price, fee, "USD",
        "TAKER", 5, 6,
    )  # fmt: skip


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    trades=st.lists(st.tuples(st.sampled_from(["BUY", "SELL"]), quantities, prices), min_size=1, max_size=8)
)
def test_cash_and_coins_are_what_went_in_less_what_was_paid(session, trades):
    clear(session)
    cash, held, fees = session.capital, Decimal(0), Decimal(0)
    for number, (side, quantity, price) in enumerate(trades):
        order = order_of(session, side, quantity, number)
        fill = books.book(order, report_of(order, price))
        cash, held, fees = cash - fill.quantity * price - fill.fee, held + fill.quantity, fees + fill.fee
    session.refresh_from_db()
    assert (session.cash, session.held, session.fees) == (cash, held, fees)
    holdings = dict(Holding.objects.values_list("coin", "quantity"))
    assert holdings == {"BTC": held, "USD": cash - session.capital}
    for coin, quantity in holdings.items():
        assert sum(LedgerEntry.objects.filter(coin=coin).values_list("amount", flat=True)) == quantity


def clear(session):
    for model in (LedgerEntry, Holding):
        model.objects.all().delete()
    session.fills.all().delete()
    session.orders.all().delete()
    LiveSession.objects.filter(pk=session.pk).update(
        cash=session.capital, held=0, fees=0, entry_price=0, realised=0
    )


@given(entry=prices, held=quantities, price=prices, share=st.integers(1, 10))
def test_realised_profit_is_that_of_the_closed_part(entry, held, price, share):
    closed = held * share / 10
    assert realised(entry, held, -closed, price) == (price - entry) * closed
    assert realised(entry, -held, closed, price) == (entry - price) * closed
    assert realised(entry, held, closed, price) == 0


def test_a_report_is_booked_once_even_when_it_arrives_twice(session):
    order = order_of(session, "BUY", STEP, 1)
    report = report_of(order, Decimal(50_000))
    again = Order.objects.get(pk=order.pk)
    assert books.book(order, report) is not None
    assert books.book(again, report) is None
    assert session.fills.count() == 1


def test_a_cancelled_order_books_only_what_was_filled(session):
    order = order_of(session, "BUY", 10 * STEP, 1, OrderStatus.OPEN)
    fill = books.book(order, report_of(order, Decimal(50_000), filled=4 * STEP, status=CANCELLED))
    assert (order.status, fill.quantity) == (OrderStatus.CANCELLED, 4 * STEP)
    empty = order_of(session, "BUY", 10 * STEP, 2, OrderStatus.OPEN)
    assert books.book(empty, report_of(empty, Decimal(0), filled=Decimal(0), status=CANCELLED)) is None
    assert session.fills.count() == 1


def test_a_late_fill_corrects_a_proof_of_absence(session):
    order = order_of(session, "BUY", STEP, 1, OrderStatus.ABSENT)
    assert books.book(order, report_of(order, Decimal(50_000))) is not None
    assert order.status == OrderStatus.FILLED


def test_one_unsettled_order_per_account_and_pair(session):
    from trading import orders

    given = {"quantity": STEP, "expected_price": Decimal(1), "reason": "test", "fence": 1}
    assert orders.plan(session, now_ms=1, **given) is not None
    assert orders.plan(session, now_ms=2, **given) is None


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_a_distinct_quantity_is_never_larger_and_never_taken(session, steps):
    from trading.orders import distinct_quantity

    Order.objects.all().delete()
    taken = set()
    for number, count in enumerate(steps):
        quantity = distinct_quantity(count * STEP, step=STEP, session=session, side="BUY", now_ms=number)
        assert quantity <= count * STEP
        assert quantity not in taken
        if quantity > 0:
            taken.add(quantity)
            order_of(session, "BUY", quantity, number, OrderStatus.FILLED)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    parts=st.lists(st.tuples(quantities, prices, st.booleans()), min_size=1, max_size=6),
    held=quantities,
    own=quantities,
)
def test_a_sale_by_hand_closes_of_a_session_what_is_gone_however_it_trades(session, parts, held, own):
    """Whichever of its parts a comparison meets: a session loses no more than is missing."""
    clear(session)
    books.enter(session.account, [("BTC", held + own, "opening"), ("USD", Decimal(10**6), "opening")])
    LiveSession.objects.filter(pk=session.pk).update(held=held, entry_price=1)
    sold = paid = fee = Decimal(0)
    whole = sum(quantity for quantity, _, _ in parts)
    for quantity, price, is_met in [*parts, (Decimal(0), Decimal(1), True)]:
        sold, paid, fee = sold + quantity, paid + quantity * price, fee + quantity * price / 1000
        if sold > held + own:
            break
        status = FILLED if sold == whole else OPEN
        figures = (whole, sold, paid / sold, fee, "USD", "MAKER", 5, 6 if status == FILLED else 0)
        if is_met:
            report = OrderReport("by-hand-1", "BTC/USD", "SELL", "LIMIT", status, *figures)
            foreign.take_over(session.account, [report])
            there = dict(Holding.objects.values_list("coin", "quantity"))
            assert there["BTC"] == held + own - sold
            assert abs(there["USD"] - (10**6 + paid - fee)) < Decimal("0.0001")
            session.refresh_from_db()
            assert session.held == min(held, there["BTC"])
