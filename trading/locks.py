"""Rows that several processes want at once are locked in one order: docs/architecture.md, "Locks".

Whoever waits for a lock then holds only what comes before it, so nobody waits in a circle. On SQLite a
transaction takes the write lock of the whole database as it begins, and there is nothing to do here.
"""

from django.db import connection

from market.prepared import Select
from trading.models import Account, LiveSession, Order

_account = Select(Account, ["id"], where=["id"], lock=True)
_session = Select(LiveSession, ["id"], where=["id"], lock=True)


def lock_account(account_id: int) -> None:
    """Hold an account until the transaction ends: whoever books, compares or shares out its money does.

    Call before any other row of the account is locked or changed.
    """
    if connection.features.has_select_for_update:
        _account.rows(id=account_id)


def lock_books(order: Order) -> None:
    """Hold the account and the session of an order that is to be changed and booked in one transaction."""
    lock_account(order.account_id)
    if connection.features.has_select_for_update:
        _session.rows(id=order.session_id)


def lock_sessions(account_id: int) -> None:
    """Hold all sessions of an account that is held, the oldest first, ended ones included.

    For acts that book for several of them: each alone is locked by whoever books for it.
    """
    if connection.features.has_select_for_update:
        rows = LiveSession.objects.filter(account=account_id).order_by("pk")
        list(rows.select_for_update(no_key=True).values_list("pk", flat=True))
