"""Rows are locked in one order: whoever books, ends, looks or intends beside a comparison waits in no circle.

On SQLite a transaction has the whole database; what is shown here needs PostgreSQL.
"""

import threading
import time

import pytest
from django.db import connection, transaction

from tests.factories import OrderFactory, SessionFactory
from trading import books, foreign, locks, settle
from trading.exchanges.port import FILLED, OrderReport
from trading.models import LiveSession, Order
from trading.orders import GONE
from trading.services import ending
from trading.states import save_marks

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks the whole database"),
]
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def until_somebody_waits(tries):
    """Return once a connection waits for a lock; give up after 20 ms a try: then nobody has to."""
    for _ in range(tries):
        with connection.cursor() as cursor:
            cursor.execute(WAITING)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)


def report_of(order, **changes):
    given = {"venue_order_id": "77", "pair": order.pair, "side": order.side, "type": order.type}
    figures = {"status": FILLED, "quantity": order.quantity, "filled": order.quantity, "fee": 1}
    rest = {"average_price": order.expected_price, "fee_coin": "USD", "role": "TAKER"}
    return OrderReport(**{**given, **figures, **rest, "created_ms": 10, "finished_ms": 11, **changes})


def fills(order, compare):
    compare()
    books.book(order, report_of(order))


def is_ended(order, compare):
    Order.objects.filter(pk=order.pk).update(status="open", answer=GONE, changed_at="2020-01-01T00:00Z")
    order.refresh_from_db()
    compare()
    ending._end(order, None, None, 12, "gone", None, order.quantity)


def is_shown_again(order, compare):
    Order.objects.filter(pk=order.pk).update(status="open", answer=GONE, venue_order_id="77")
    order.refresh_from_db()
    compare()
    settle._shown(order, report_of(order))


def is_found(order, compare):
    Order.objects.filter(pk=order.pk).update(status="uncertain")
    order.refresh_from_db()
    compare()
    with transaction.atomic():
        locks.lock_books(order)
        settle.accept(order, report_of(order, status="open", finished_ms=0))


def is_intended(order, compare):
    session = LiveSession.objects.get(pk=order.session_id)
    with transaction.atomic():
        session.price += 1
        save_marks(session)
        compare()
        until_somebody_waits(500)
        OrderFactory(session=session, pair="ETH/USD", venue_order_id="")


@pytest.mark.parametrize("act", [fills, is_ended, is_shown_again, is_found, is_intended])
def test_nobody_waits_in_a_circle_with_a_comparison(act):
    order = OrderFactory(status="open", venue_order_id="", type="LIMIT")
    account, session = order.account, order.session
    SessionFactory(account=account, owner=session.owner, pair="ETH/USD")
    by_hand = report_of(order, venue_order_id="78", side="SELL", quantity=session.held, filled=session.held)
    account.holdings.create(coin="BTC", quantity=session.held)
    account.holdings.create(coin="USD", quantity=100_000)
    begun, failures = threading.Event(), []

    def run():
        try:
            with transaction.atomic():
                locks.lock_account(account.pk)
                begun.set()
                until_somebody_waits(50)
                foreign.take_over(account, [by_hand])
        except Exception as error:
            failures.append(error)
        finally:
            begun.set()
            connection.close()

    thread = threading.Thread(target=run)

    def compare():
        thread.start()
        assert begun.wait(30)

    act(order, compare)
    thread.join(60)
    assert (failures, thread.is_alive()) == ([], False)
    assert account.ledger.filter(note="order 78").exists(), "it has closed the position"
