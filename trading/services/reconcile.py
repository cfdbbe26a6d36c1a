"""Compare an account's books with the venue's because a person asks for it."""

from typing import Any

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from trading import reconciliation
from trading.accounts import failure
from trading.exchanges.errors import ExchangeError
from trading.exchanges.registry import connect
from trading.models import Account, Reconciliation


def reconcile_account(*, account: Account, by: Any = None) -> Reconciliation:
    """Compare and correct; see `trading.reconciliation`.

    :raises Conflict: while an order of the account is unsettled.
    :raises BadInput: when the venue cannot be read.
    """
    try:
        done = reconciliation.reconcile(account, connect(account))
    except ExchangeError as error:
        raise BadInput(failure(account, error), field="account") from error
    if done is None:
        raise Conflict(f"an order of {account} is under way: try again in a few seconds", field="account")
    AuditEvent.objects.create(
        actor=by,
        owner=account.owner,
        action="account.reconcile",
        object_type="account",
        object_id=str(account.pk),
        detail={"equal": done.equal, "differences": done.differences},
    )
    return done
