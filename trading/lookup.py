"""What a command line calls a session, a risk profile, an order or a channel: its id or its name."""

from typing import Any

from market.commands import user_named
from market.errors import BadInput
from trading.models import AlertChannel, LiveSession, Order, RiskProfile


def session_named(text: str) -> LiveSession:
    """Return the session of that id or name; of several of one name the newest that is driven.

    :raises BadInput: when there is none.
    """
    found = LiveSession.objects.select_related("owner", "account", "risk", "model", "council")
    if text.isascii() and text.isdigit():
        match = found.filter(pk=int(text[:18])).first()
        if match is not None:
            return match
    named = found.filter(name=text).order_by("-id")
    match = named.driven().first() or named.first()
    if match is None:
        raise BadInput(f"there is no session {text!r}", field="session")
    return match


def profile_named(text: str, owner: Any) -> RiskProfile:
    """:raises BadInput: when `owner` may use no risk profile of that id or name."""
    mine = RiskProfile.objects.all().visible_to(owner)
    by_id = mine.filter(pk=int(text[:18])).first() if text.isascii() and text.isdigit() else None
    match = by_id or mine.filter(name=text).first()
    if match is None:
        raise BadInput(f"{owner} has no risk profile {text!r}", field="risk")
    return match


def order_for(text: str, user: str | None) -> tuple[Order, Any]:
    """Return the order of that id, and who acts on it: `user`, or the session's owner.

    :raises BadInput: when there is none that `user` may act on.
    """
    rows = Order.objects.select_related("session__owner", "account")
    order = (
        rows.filter(pk=int(text)).first() if text.isascii() and text.isdigit() and len(text) < 19 else None
    )
    if order is None:
        raise BadInput(f"there is no order {text!r}", field="order")
    by = user_named(user) or order.session.owner
    if not (by.is_superuser or by == order.session.owner):
        raise BadInput(f"there is no order {text!r} of {by}", field="order")
    return order, by


def channel_named(text: str, user: str | None = None) -> AlertChannel:
    """Return the alert channel of that name or id.

    :raises BadInput: when there is none, or several people have one of that name and `user` is not given.
    """
    found = AlertChannel.objects.filter(name=text)
    if not found.exists() and text.isascii() and text.isdigit():
        found = AlertChannel.objects.filter(pk=int(text[:18]))
    if user is not None:
        found = found.filter(owner__username=user)
    matches = list(found[:2])
    if not matches:
        raise BadInput(f"there is no channel {text!r}", field="channel")
    if len(matches) > 1:
        raise BadInput(f"several people have a channel {text!r}: say which with --user", field="channel")
    return matches[0]
