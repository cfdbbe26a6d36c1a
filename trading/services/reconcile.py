"""Compare an account's books with the venue's because a person asks for it."""

from typing import Any

from market import leases
from market.errors import BadInput, Conflict
from market.models import AuditEvent
from trading import reconciliation, settle
from trading.accounts import failure
from trading.exchanges.errors import ExchangeError
from trading.exchanges.port import Exchange
from trading.exchanges.registry import connect
from trading.guard import Leased, LeaseLost
from trading.models import Account, LiveSession, Reconciliation


def reconcile_account(*, account: Account, by: Any = None) -> Reconciliation:
    """Compare and correct; see `trading.reconciliation`. Orders nobody drives any more are settled first.

    :raises Conflict: while something trades on the account, or it is not known yet what became of an order.
    :raises BadInput: when the venue cannot be read.
    """
    try:
        exchange = connect(account)
        settle_abandoned(account, exchange)
        done = reconciliation.reconcile(account, exchange)
    except ExchangeError as error:
        raise BadInput(failure(account, error), field="account") from error
    if done is None:
        raise Conflict(_why_not(account), field="account")
    AuditEvent.objects.create(
        actor=by,
        owner=account.owner,
        action="account.reconcile",
        object_type="account",
        object_id=str(account.pk),
        detail={"equal": done.equal, "differences": done.differences},
    )
    return done


def settle_abandoned(account: Account, exchange: Exchange) -> None:
    """Settle the account's unsettled orders, each under the lease of its session; driven ones are left alone.

    :raises ExchangeError: when the venue cannot be read; everything stands as it is.
    """
    waiting = LiveSession.objects.filter(orders__in=account.orders.unsettled()).distinct()
    for session in waiting.select_related("account", "owner"):
        lease = leases.acquire(session.lease_name)
        if lease is None:
            continue  # its driver settles it
        try:
            settle.settle(session, Leased(exchange, lease))
        except LeaseLost:
            continue
        finally:
            lease.release()


def _why_not(account: Account) -> str:
    order = account.orders.unsettled().select_related("session").first()
    if order is None:
        return f"something trades on {account} just now: try again in a few seconds"
    if leases.is_held(order.session.lease_name):
        return f"an order of {account} is under way: try again in a few seconds"
    return (
        f"it is not known yet what became of {order.side} {order.quantity.normalize():f} {order.pair} of "
        f"{account}: ask again in {settle.BOUND_MS // 1000} s; if it stays so, the venue's balances are "
        "not what our books say: look at the account by hand"
    )
