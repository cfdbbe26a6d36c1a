"""Accounts nobody trades on: settled and compared on a schedule all the same."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from market.models import Lease
from tests.trading.live.conftest import after
from tests.trading.live.test_settlement import UNANSWERED
from trading import reconciliation
from trading.exchanges.port import Proposal
from trading.models import (
    Account,
    Alert,
    Holding,
    LiveSession,
    Order,
    OrderStatus,
    Reconciliation,
    SessionStatus,
)
from trading.runner import idle
from trading.tasks import check_books


@pytest.fixture
def ended(live):
    """An account whose session has ended."""
    live.start("buy_and_hold", capital=Decimal(20000)).bar()
    LiveSession.objects.update(status=SessionStatus.STOPPED)
    live.die()
    return live


def an_hour_later():
    Reconciliation.objects.update(at=timezone.now() - timedelta(hours=1))


def test_an_account_is_due_when_it_was_not_compared_for_a_while_and_nobody_trades_on_it(ended):
    assert idle.due_accounts() == []
    an_hour_later()
    assert idle.due_accounts() == [ended.account.pk]
    LiveSession.objects.update(status=SessionStatus.RUNNING)
    assert idle.due_accounts() == []


def test_a_check_records_that_the_books_are_equal(ended):
    an_hour_later()
    assert check_books(ended.account.pk)
    assert Reconciliation.objects.first().equal
    ended.account.refresh_from_db()
    assert timezone.now() - ended.account.proven_equal_at < timedelta(minutes=5)
    assert idle.due_accounts() == []


def test_an_order_left_uncertain_by_a_failed_session_is_settled(ended, patience):
    ended.start("buy_and_hold", pair="ETH/USD", capital=Decimal(2000))
    ended.venue.faults(drop_after=UNANSWERED)
    ended.turn()
    LiveSession.objects.update(status=SessionStatus.FAILED)
    ended.die()
    assert idle.due_accounts() == [ended.account.pk]
    assert check_books(ended.account.pk)
    assert not Order.objects.unsettled().exists()
    assert ended.books() == ended.ledger()


def test_a_trade_by_hand_between_sessions_is_adopted_and_the_next_check_proves(ended):
    ended.exchange.place(Proposal("SIM/USD", "BUY", "MARKET", Decimal("1.5")))
    assert check_books(ended.account.pk)
    assert not Reconciliation.objects.first().equal
    assert Alert.objects.filter(key=f"books:{ended.account.pk}", closed_at=None).exists()
    assert ended.books() == ended.ledger()
    assert check_books(ended.account.pk)
    assert Reconciliation.objects.first().equal
    assert not Alert.objects.filter(key=f"books:{ended.account.pk}", closed_at=None).exists()


def test_a_venue_that_is_down_changes_nothing_and_is_asked_again_later(ended):
    an_hour_later()
    ended.venue.faults(drop_before=True)
    assert not check_books(ended.account.pk)
    assert idle.due_accounts() == [ended.account.pk]
    assert ended.books() == ended.ledger()


def test_a_check_is_sent_for_once_a_minute_and_only_one_runs_at_a_time(ended):
    an_hour_later()
    assert (idle.enqueue_checks(), idle.enqueue_checks()) == (1, 0)
    lease = Lease.objects.get(name=f"books:{ended.account.pk}")
    Lease.objects.filter(pk=lease.pk).update(until_ms=2**52)
    assert not check_books(ended.account.pk)
    Lease.objects.filter(pk=lease.pk).update(until_ms=0)
    assert check_books(ended.account.pk)
    assert idle.enqueue_checks() == 0


def test_dust_is_taken_over_and_told_to_nobody(ended):
    Holding.objects.create(account=ended.account, coin="SIM", quantity=Decimal("0.0000004"))
    assert check_books(ended.account.pk)
    found = Reconciliation.objects.first()
    assert found.equal
    assert "SIM corrected by -0.0000004" in found.differences[0]["done"]
    assert Holding.objects.get(coin="SIM").quantity == 0
    assert not Alert.objects.filter(key=f"books:{ended.account.pk}").exists()


def test_more_than_dust_is_corrected_recorded_and_told(ended):
    ended.venue.advance(2 * reconciliation.LAGS_MS)  # nothing trades any more
    Holding.objects.filter(coin="BTC").update(quantity=Decimal("7"))
    assert check_books(ended.account.pk)
    assert not Reconciliation.objects.first().equal
    assert ended.books() == ended.ledger()
    assert "BTC corrected by" in Alert.objects.get(key=f"books:{ended.account.pk}").text


def test_what_rests_on_an_account_that_is_switched_off_is_withdrawn_all_the_same(market):
    live = market((0, 50_000), settings={"style": "limit", "deadline_s": 3000, "requote_s": 3600})
    after(live, 60, 2)
    assert live.session.orders.get().status == OrderStatus.OPEN
    LiveSession.objects.update(status=SessionStatus.FAILED)
    live.die()
    Account.objects.update(is_active=False)
    assert idle.due_accounts() == [live.account.pk]
    assert check_books(live.account.pk)
    assert live.session.orders.get().status == OrderStatus.CANCELLED
    an_hour_later()
    assert idle.due_accounts() == [], "nothing of ours is there"
