"""What the database says about many sessions, read once for all their turns on one tick.

A row read alone costs more than the rest of a quiet turn, and most of that is making objects of it. So the
rows of all are read at once and compared as they come with what each session was taken over from: only those
that somebody has changed are made into objects again. Marks are left out of the comparison: nobody but the
driver writes them without changing something else as well.

A glance is as good as a look of one's own while nobody here acts at the venue: before a driver asks the venue
anything about an account that is noted, and whoever comes next on that account looks once more at what an act
changes, his row and the orders. What a person changes meanwhile is seen on the next tick, as it is when it
comes in the middle of a turn.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.auth import get_user_model

from agents.models import Council
from market.prepared import Count, Rows
from trading.models import Account, LiveSession, Order, RiskProfile
from trading.models.order import UNSETTLED
from trading.session_row import UNSEEN, WITH_RELATED

GOOD_S = 1.0  # a turn that comes later than that after the tick looks for itself
ANEW = 64  # rows made into objects at once; who comes later than those looks for itself
_unsettled = Count(Order, where=["account"], among={"status": UNSETTLED})


class Sight:
    """What is compared of sessions: their columns but for the marks, and those of what belongs to them."""

    def __init__(self) -> None:
        self.acts: Counter[int] = Counter()  # by account: how often somebody was about to act there
        self._sessions = Rows(LiveSession, without=UNSEEN)
        self._accounts, self._profiles = Rows(Account), Rows(RiskProfile)
        self._owners, self._councils = Rows(get_user_model()), Rows(Council)

    def note_act(self, account_id: int) -> None:
        """Note that somebody is about to act on an account: what glances say of it is looked at once more."""
        self.acts[account_id] += 1

    def of(self, sessions: list[LiveSession]) -> dict[int, tuple[Any, ...]]:
        """Return the columns of each session, by its key, as the database hands them out."""
        rows = self._sessions({one.pk for one in sessions})
        accounts = self._accounts({one.account_id for one in sessions})
        profiles = self._profiles({one.risk_id for one in sessions})
        councils = self._councils({one.council_id for one in sessions if one.council_id})
        owners = self._owners({key for one in sessions for key in (one.owner_id, one.account.owner_id)})
        return {
            one.pk: (
                rows.get(one.pk), accounts.get(one.account_id), profiles.get(one.risk_id),
                councils.get(one.council_id or 0), owners.get(one.owner_id), owners.get(one.account.owner_id),
            )
            for one in sessions
        }  # fmt: skip

    def of_row(self, session: LiveSession) -> tuple[Any, ...] | None:
        """Return the first part of `of` for one session."""
        return self._sessions.one(session.pk)


class Glance:
    """Rows of sessions, and which accounts have unsettled orders, as of one instant.

    Sessions of a portfolio plan are left out: one of them moves the money of the others.
    """

    def __init__(
        self, sessions: Iterable[LiveSession], monotonic_s: Callable[[], float], sight: Sight | None = None
    ) -> None:
        self._monotonic_s, self._read_s = monotonic_s, monotonic_s()
        self._sight = sight or Sight()
        alone = [session for session in sessions if session.plan_id is None]
        self._seen = self._sight.of(alone)
        self._acts = {session.pk: self._sight.acts[session.account_id] for session in alone}
        self._rows: dict[int, LiveSession] = {}
        self._compare(alone)
        accounts = {session.account_id for session in alone}
        unsettled = Order.objects.unsettled().filter(account__in=accounts).order_by()
        self._restless = set(unsettled.values_list("account", flat=True))

    def covers(self, session: LiveSession) -> bool:
        """Say whether the session was among those that were read."""
        return session.pk in self._seen

    @property
    def is_good(self) -> bool:
        return self._monotonic_s() - self._read_s <= GOOD_S

    def row(self, session: LiveSession) -> LiveSession | None:
        """Return the session's row if nothing of its account is unsettled.

        It is the session itself where its row still says what it was taken over from.
        """
        if not self.is_good or session.pk not in self._seen:
            return None
        if self._acts[session.pk] != self._sight.acts[session.account_id]:
            self._look_again(session)
        if session.account_id in self._restless:
            return None
        row = self._rows.get(session.pk)
        return None if row is session and session.stored_marks is None else row

    def _look_again(self, session: LiveSession) -> None:
        account_id = session.account_id
        self._acts[session.pk] = self._sight.acts[account_id]
        (self._restless.add if _unsettled(account=account_id) else self._restless.discard)(account_id)
        if account_id not in self._restless:
            self._seen[session.pk] = (self._sight.of_row(session), *self._seen[session.pk][1:])
            self._compare([session])

    def _compare(self, sessions: list[LiveSession]) -> None:
        """Take the sessions whose rows have not changed as they are, and read those of the others."""
        changed = []
        for session in sessions:
            if session.stored_marks is not None and session.seen == self._seen[session.pk]:
                self._rows[session.pk] = session
            else:
                self._rows.pop(session.pk, None)
                changed.append(session.pk)
        if changed:  # read after what was seen: what changes in between is seen as changed once more
            for row in WITH_RELATED.filter(pk__in=changed[:ANEW]).order_by():
                if row.plan_id is None:
                    row.seen = self._seen[row.pk]
                    self._rows[row.pk] = row
