"""What a command line calls a session or a risk profile: its id or its name."""

from typing import Any

from market.errors import BadInput
from trading.models import LiveSession, RiskProfile


def session_named(text: str) -> LiveSession:
    """Return the session of that id or name; of several of one name the newest that is driven.

    :raises BadInput: when there is none.
    """
    found = LiveSession.objects.select_related("owner", "account", "risk", "model")
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
