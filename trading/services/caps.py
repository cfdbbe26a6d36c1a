"""Set and lift exposure caps."""

from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from market.errors import BadInput, Conflict
from market.web import audit
from trading.models import Account, ExposureCap

LARGEST = Decimal(10) ** 12


def set_cap(
    *,
    owner: Any,
    account: Account | None = None,
    currency: str = "USD",
    max_total: Decimal = Decimal(0),
    max_per_pair: Decimal = Decimal(0),
    max_open: int = 0,
    cap: ExposureCap | None = None,
    by: Any = None,
) -> ExposureCap:
    """Write a cap, a new one or `cap` anew; running sessions follow it from their next order on.

    :raises BadInput: for amounts that make no sense, or a cap that limits nothing
    :raises Conflict: when that account (or person) has one in that currency already
    """
    for name, value in (("max_total", max_total), ("max_per_pair", max_per_pair)):
        if not 0 <= value <= LARGEST:
            raise BadInput("this must be from 0 (no limit) to 10^12", field=name)
    if not 0 <= max_open <= 1_000_000:
        raise BadInput("this must be from 0 (no limit) to 1,000,000", field="max_open")
    if not (max_total or max_per_pair or max_open):
        raise BadInput("give at least one limit above 0", field="max_total")
    if not (currency.strip().isascii() and currency.strip().isalnum()):
        raise BadInput("name the quote currency, like USD", field="currency")
    if account is not None and account.owner_id != owner.pk:
        raise BadInput(f"{account} belongs to somebody else: choose an account of the cap's owner", "account")
    row = cap or ExposureCap(owner=owner)
    row.account, row.currency = account, currency.strip().upper()
    row.max_total, row.max_per_pair, row.max_open = max_total, max_per_pair, max_open
    try:
        with transaction.atomic():
            row.save()
            audit.record(
                by, "cap.set", row, account=row.account_id, currency=row.currency, max_total=str(max_total),
                max_per_pair=str(max_per_pair), max_open=max_open,
            )  # fmt: skip
    except IntegrityError as error:
        raise Conflict("there is a cap of that scope and currency already: change it", "account") from error
    return row


@transaction.atomic
def lift_cap(*, cap: ExposureCap, by: Any = None) -> None:
    """Remove a cap."""
    audit.record(by, "cap.lift", cap, account=cap.account_id, currency=cap.currency)
    cap.delete()
