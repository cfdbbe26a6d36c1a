"""What the database says about many sessions, read once for all their turns on one tick.

A row read alone costs more than the rest of a quiet turn; a hundred rows at once cost a tenth of that each.
A glance is as good as a look of one's own while nobody here acts at the venue: before a driver asks the venue
anything about an account, what the glance holds of that account is dropped. What a person changes meanwhile
is seen on the next tick, as it is when it comes in the middle of a turn.
"""

from collections.abc import Callable, Iterable

from trading.models import LiveSession, Order
from trading.states import WITH_RELATED

GOOD_S = 1.0  # a turn that comes later than that after the tick looks for itself


class Glance:
    """Rows of sessions, and which accounts have unsettled orders, as of one instant.

    Sessions of a portfolio plan are left out: one of them moves the money of the others.
    """

    def __init__(self, sessions: Iterable[LiveSession], monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s, self._read_s = monotonic_s, monotonic_s()
        alone = [session for session in sessions if session.plan_id is None]
        rows = WITH_RELATED.filter(pk__in=[session.pk for session in alone], plan=None)
        self._rows = {row.pk: row for row in rows}
        accounts = {session.account_id for session in alone}
        unsettled = Order.objects.unsettled().filter(account__in=accounts)
        self._known = accounts - set(unsettled.values_list("account", flat=True))

    @property
    def is_good(self) -> bool:
        return self._monotonic_s() - self._read_s <= GOOD_S

    def row(self, session: LiveSession) -> LiveSession | None:
        """Return the session's row if nothing of its account was unsettled or has been touched since."""
        if session.account_id not in self._known or not self.is_good:
            return None
        return self._rows.get(session.pk)

    def drop(self, account_id: int) -> None:
        """Forget an account: somebody is about to act there."""
        self._known.discard(account_id)
