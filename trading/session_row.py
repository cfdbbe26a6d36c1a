"""A session's row in the hands of its driver: what others have changed in it, and what a fill changes.

Whoever books a fill must have the row locked and as it is by now. A driver has taken its session over from
the row, and nobody else writes marks; so the columns beside them are compared as the database hands them out,
and only if somebody has changed one the row is made into an object again.
"""

from collections.abc import Sequence

from market.prepared import Rewrites, Select
from trading.models import LiveSession

MARKS = [
    "price", "bid", "ask", "price_ms", "start_price", "stop_price", "take_price", "high_water", "peak_equity",
    "bars_held", "day", "day_equity", "last_bar_ms", "week_equity", "caution_peak",
    "safe_until_ms", "health", "stop_kind", "take_kind", "bracket_price", "levels", "atr",
]  # fmt: skip
UNSEEN = frozenset([*MARKS, "turn_at", "created_at"])  # written without changing something else too
COLUMNS = [field.name for field in LiveSession._meta.concrete_fields if field.name not in UNSEEN]
WITH_RELATED = LiveSession.objects.select_related("owner", "account__owner", "risk", "council")
_locked = Select(LiveSession, ["id", *COLUMNS], where=["id"], lock=True)
_store = Rewrites(LiveSession, where=["id"])
PLACES = {name: place for place, name in enumerate(["id", *COLUMNS])}  # in the row that is compared


def reload(session: LiveSession) -> None:
    """Read the row again, limits and account included, in one query."""
    session.refresh_from_db(from_queryset=WITH_RELATED.all())
    session.stored_marks = session.seen = None


def locked(session_id: int) -> LiveSession:
    """Return a session as its row is by now, locked until the transaction ends."""
    rows = LiveSession.objects.select_for_update(of=("self",), no_key=True)
    return rows.select_related("account", "owner").get(pk=session_id)


def lock(session: LiveSession) -> None:
    """Lock the row until the transaction ends, and take over what others have changed in it."""
    rows = _locked.rows(id=session.pk)
    if session.seen is None or session.stored_marks is None or rows != [session.seen[0]]:
        reload(session)


def store(session: LiveSession, names: Sequence[str]) -> None:
    """Store fields of a locked row; the session then has them as the row has them.

    A database keeps fewer digits than a sum of Decimals may have.
    """
    [kept] = _store({name: getattr(session, name) for name in names}, id=session.pk)
    if session.seen is None or session.stored_marks is None:
        return
    row = list(session.seen[0])
    for name, (stored, value) in kept.items():
        setattr(session, name, value)
        if name in UNSEEN:
            session.stored_marks[name] = value
        else:
            row[PLACES[name]] = stored
    session.seen = (tuple(row), *session.seen[1:])
