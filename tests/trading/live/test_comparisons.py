"""Books compared because a person asks, and wallets that are read in part."""

from datetime import timedelta

import pytest
from django.utils import timezone

from market import leases
from market.errors import Conflict
from tests.trading.live.test_settlement import UNANSWERED
from trading import reconciliation, services
from trading.models import Alert, LiveSession, Reconciliation, SessionStatus
from trading.models import OrderStatus as S


def abandoned(live, fault):
    """Leave an uncertain order behind that nobody drives any more."""
    live.start("buy_and_hold")
    live.venue.faults(**{fault: UNANSWERED})
    live.turn()
    live.die()
    LiveSession.objects.update(status=SessionStatus.STOPPED)
    assert live.session.orders.get().status == S.UNCERTAIN


def test_reconcile_settles_what_nobody_drives_any_more(live):
    abandoned(live, "drop_after")
    done = services.reconcile_account(account=live.account, by=live.user)
    live.session.refresh_from_db()
    assert (done.equal, live.session.orders.get().status, live.session.fills.count()) == (True, S.FILLED, 1)
    assert live.books() == live.ledger()
    assert not leases.is_held(live.session.lease_name)


def test_reconcile_says_how_long_an_abandoned_order_may_stay_unknown(live, patience):
    abandoned(live, "drop_before")
    with pytest.raises(Conflict, match=r"not known yet what became of BUY .* BTC/USD of sandbox: ask"):
        services.reconcile_account(account=live.account)
    live.venue.advance(60_000)
    patience()
    assert services.reconcile_account(account=live.account).equal
    assert live.session.orders.get().status == S.ABSENT


def test_reconcile_leaves_an_order_to_the_session_that_is_driven(live):
    live.start("buy_and_hold")
    live.venue.faults(drop_after=UNANSWERED)
    live.turn()
    with pytest.raises(Conflict, match="is under way: try again in a few seconds"):
        services.reconcile_account(account=live.account)
    assert live.session.orders.get().status == S.UNCERTAIN


def test_reconcile_says_when_it_waits_for_what_trades(live, monkeypatch):
    live.start("buy_and_hold").bar()
    monkeypatch.setattr(services.reconcile.reconciliation, "reconcile", lambda account, exchange: None)
    with pytest.raises(Conflict, match="something trades on sandbox just now: try again"):
        services.reconcile_account(account=live.account)


def without(monkeypatch, exchange, coin):
    """Have the wallet come back without one of its coins."""
    balances = exchange.balances
    monkeypatch.setattr(
        exchange, "balances", lambda **options: {k: v for k, v in balances(**options).items() if k != coin}
    )


def test_a_wallet_that_lacks_a_coin_we_hold_corrects_nothing(live, monkeypatch):
    live.start("buy_and_hold").bar()
    with monkeypatch.context() as patch:
        without(patch, live.exchange, "BTC")
        live.seat.is_checked = False
        live.turn()
        assert Alert.objects.filter(key=f"unknown:{live.session.pk}").exists()
        Reconciliation.objects.update(at=timezone.now() - timedelta(hours=1))
        live.turn()
        assert live.books() == live.ledger()
    live.turn()
    assert Reconciliation.objects.first().equal
    assert not live.account.ledger.filter(kind="adjustment").exists()


@pytest.mark.parametrize(("lists_emptied", "reads"), [(False, 3), (True, 10)])
def test_a_coin_is_gone_once_several_reads_agree(live, monkeypatch, lists_emptied, reads):
    live.start("buy_and_hold").bar()
    live.venue.advance(2 * reconciliation.LAGS_MS)  # nothing trades any more
    monkeypatch.setattr(live.exchange, "lists_emptied", lists_emptied, raising=False)
    without(monkeypatch, live.exchange, "BTC")
    held = live.books()["BTC"]
    for _ in range(reads):
        live.seat.is_checked = False
        live.turn()
        live.turn()  # too soon to count
        assert live.books()["BTC"] == held
        for row in Reconciliation.objects.all():
            Reconciliation.objects.filter(pk=row.pk).update(at=row.at - timedelta(minutes=1))
    live.turn()
    assert "BTC" not in live.books()
    assert Alert.objects.filter(key=f"books:{live.account.pk}").exists()
