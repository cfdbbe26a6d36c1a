"""Signed links for people who are not signed in: whoever holds one may answer for one order."""

from datetime import timedelta

from django.core import signing
from django.urls import reverse

SALT = "trading.approval"
LONGEST = timedelta(days=8)  # beyond any approval_s; the order's own expiry is the rule


def approval_path(order_id: int) -> str:
    """Return the path of the page on which one order is approved or rejected."""
    return reverse("approval-link", args=[signing.dumps(order_id, salt=SALT)])


def approval_order_id(token: str) -> int | None:
    """Return the order a link was made for; None for one that is forged or too old."""
    try:
        return signing.loads(token, salt=SALT, max_age=LONGEST)
    except signing.BadSignature:
        return None
