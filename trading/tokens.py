"""API tokens: shown once, stored as a hash, ending by themselves."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from knox.models import AuthToken

from market.web import audit


@transaction.atomic
def create(*, user: Any, life: timedelta | None = None) -> tuple[AuthToken, str]:
    """Return (row, token). The token itself is nowhere stored.

    :param life: None means the server's default (TOKEN_HOURS).
    """
    given = {} if life is None else {"expiry": life}
    row, token = AuthToken.objects.create(user=user, **given)
    audit.record(user, "token.create", row, ends=row.expiry.isoformat() if row.expiry else "never")
    return row, token


@transaction.atomic
def revoke(*, user: Any, key: str) -> int:
    """Delete the user's token that starts with `key`; returns how many there were."""
    count = 0
    for row in AuthToken.objects.filter(user=user, token_key=key):
        audit.record(user, "token.revoke", row)
        row.delete()
        count += 1
    return count
