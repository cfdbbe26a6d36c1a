"""Accounts nobody trades on at present: their last orders are settled and their books compared all the same.

While a session is driven its runner does that once a minute. The supervisor asks for the rest, as it asks for
drivers: messages may be lost, late or doubled, one lease per account makes it harmless.
"""

import logging
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django_q.tasks import async_task

from market import leases
from market.errors import BadInput
from market.models import Lease
from trading import reconciliation
from trading.exchanges.errors import ExchangeError
from trading.exchanges.registry import connect
from trading.guard import Leased, LeaseLost
from trading.models import Account, LiveSession, Order, Reconciliation
from trading.services.reconcile import settle_abandoned

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=10)
AGAIN_MS = 60_000  # before an account is asked for again, whatever became of it


def due_accounts() -> list[int]:
    """Return accounts that nobody drives and whose orders are unsettled or books not compared for a while."""
    of_it = {"account": OuterRef("pk")}
    driven = LiveSession.objects.driven().filter(**of_it)
    unsettled = Order.objects.unsettled().filter(**of_it)
    compared = Reconciliation.objects.filter(at__gte=timezone.now() - EVERY, **of_it)
    idle = Account.objects.filter(~Exists(driven), opened_at__isnull=False)
    # An order of ours may rest on one that is switched off: nobody else would withdraw it.
    wanted = idle.filter(Q(Exists(unsettled)) | Q(is_active=True) & ~Q(Exists(compared)))
    return list(wanted.order_by("pk").values_list("pk", flat=True))


def enqueue_checks() -> int:
    """Send for a check of every account that is due and was not asked for just now; return how many."""
    due = due_accounts()
    if not due:
        return 0
    now = leases.now_ms()
    Lease.objects.bulk_create([Lease(name=_lease(pk)) for pk in due], ignore_conflicts=True)
    sent = 0
    for pk in due:
        fresh = Lease.objects.filter(name=_lease(pk), until_ms__lt=now, enqueued_ms__lt=now - AGAIN_MS)
        if fresh.update(enqueued_ms=now):
            async_task("trading.tasks.check_books", pk)
            sent += 1
    return sent


def check(account_id: int) -> bool:
    """Settle an idle account's orders and compare its books; False when that must wait."""
    lease = leases.acquire(_lease(account_id))
    if lease is None:
        return False
    try:
        account = Account.objects.select_related("owner").get(pk=account_id)
        if account.sessions.driven().exists():
            return False  # its runner does it
        exchange = connect(account)
        settle_abandoned(account, exchange)
        return reconciliation.reconcile(account, Leased(exchange, lease)) is not None
    except (ExchangeError, LeaseLost, BadInput) as error:
        logger.warning("account %s: its books could not be compared: %s", account_id, error)
        return False
    finally:
        Lease.objects.filter(name=lease.name, fence=lease.fence).update(
            until_ms=0
        )  # keeps when it was asked for


def _lease(account_id: int) -> str:
    return f"books:{account_id}"
