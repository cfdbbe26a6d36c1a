"""One chaos run: three sessions on an account of their own, three episodes, a calm end, an audit."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError

from market.errors import BadInput, Conflict
from tests.chaos import acts, audit, database
from tests.chaos.people import Person
from tests.chaos.plan import FAULTS, Episode, Plan
from tests.chaos.world import SECRET, World, key_of, wait_until
from trading import accounts, services, tokens
from trading.models import Account, LiveSession, OrderStatus, RiskProfile, SessionStatus

CAPITAL = "12000"
CALM_S = 90.0  # for orders to be settled and sessions to end once everything works again
LIMITS = {"daily_loss": 0.0, "max_drawdown": 0.0, "max_stale_s": 240.0, "max_spread": 0.0, "stop_loss": 0.02}


@dataclass
class Outcome:
    """What a run did and what was found."""

    seed: int
    violations: list[str] = field(default_factory=list)
    struck: list[str] = field(
        default_factory=list
    )  # fault + act of every episode; "missed" where it met nobody
    counts: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    plan: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Run:
    """A plan being carried out in a world, on the account `number` of its sandbox."""

    def __init__(self, world: World, plan: Plan, number: int) -> None:
        self.world, self.plan, self.key = world, plan, key_of(number)
        self.random = Random(plan.seed)
        self.account, self.person = self._account(number)
        self.outcome = Outcome(plan.seed, plan=plan.as_dict())
        self.again = 0  # requests for a session that was started before

    def _account(self, number: int) -> tuple[Account, Person]:
        user = get_user_model().objects.create_user(f"user{number}", is_superuser=True)
        account = accounts.create_account(
            owner=user, name=f"run {self.plan.seed}", venue="roostoo", base_url=self.world.venue.url,
            candles_url=self.world.venue.url, key=self.key, secret=SECRET, calls_per_minute=100_000,
            poll_s=0.1,
        )  # fmt: skip
        RiskProfile.objects.create(owner=user, name="chaos", **LIMITS)
        return account, Person(self.world.url, tokens.create(user=user)[1])

    def carry_out(self) -> Outcome:
        began_s = time.monotonic()
        try:
            self._start_all()
            for episode in self.plan.episodes:
                self._episode(episode)
            self._calm()
            self._end_all()
            self._audit()
        except AssertionError as error:
            self.outcome.violations.append(f"stuck: {error}")
        finally:
            self.world.disarm()
            self.world.wake_all()
            self.world.venue.keep()
            self.world.venue.faults(clear=True)
        self.outcome.seconds = round(time.monotonic() - began_s, 1)
        return self.outcome

    # --- people

    def _start_all(self) -> None:
        bodies = [self._body(number) for number in range(len(self.plan.sessions))]
        at_once(self.person.start, bodies)
        filled = self.account.orders.filter(status=OrderStatus.FILLED)
        assert wait_until(filled.exists, CALM_S), "no order was filled before anything went wrong"

    def _body(self, number: int) -> dict[str, Any]:
        wanted = self.plan.sessions[number]
        settings = {"turnover": wanted.turnover, "seed": wanted.seed, **wanted.execution}
        rule = "random"
        if wanted.is_both_ways:
            rule, settings["share"] = "random_long_short", 0.8
        return {
            "account": self.account.pk, "pair": wanted.pair, "interval": "1m", "baseline": rule,
            "risk": RiskProfile.objects.get(owner=self.account.owner).pk, "capital": CAPITAL,
            "settings": settings,
        }  # fmt: skip

    def _session(self, number: int) -> LiveSession:
        """Return the newest session of a pair: one that was stopped may have been started again."""
        return LiveSession.objects.filter(account=self.account, pair=self.plan.sessions[number].pair).latest(
            "pk"
        )

    def _request(self, what: str, number: int) -> None:
        session = self._session(number).pk
        if what == "start again":  # while it runs: refused, nothing is started beside it
            self.again += 1
            self.person.twice("sessions/", self._body(number))
        elif what == "pause and resume":
            self.person.act(session, "pause")
            self.person.act(session, "resume")
        elif what in ("stop one", "flatten one"):
            self.person.act(session, what.removesuffix(" one"))

    # --- trouble

    def _episode(self, episode: Episode) -> None:
        self.world.venue.keep()
        faults = {name: {"seed": self.plan.seed, **given} for name, given in FAULTS[episode.fault].items()}
        self.world.venue.faults(clear=True, **faults)
        time.sleep(episode.before_s)
        request = threading.Thread(target=self._quietly, args=(episode,))
        request.start()
        struck = acts.act(episode.act, episode.passage, self.world, self.key, self.random)
        time.sleep(episode.after_s)
        self.world.venue.keep()
        self.world.venue.faults(clear=True)
        request.join()
        self.outcome.struck.append(f"{episode.fault} + {episode.act}{'' if struck else ' (missed)'}")

    def _quietly(self, episode: Episode) -> None:
        """Ask beside the trouble; whether it is answered is not the point, what is left behind is."""
        from django.db import connections

        try:
            self._request(episode.request, episode.session)
        except (AssertionError, DatabaseError, LiveSession.DoesNotExist):
            self.person.unanswered += 1
        finally:
            connections.close_all()

    # --- the end

    def _calm(self) -> None:
        self.world.wake_all()
        self.world.disarm()
        database.give_room(self.world.workers.family())
        for number in range(len(self.plan.sessions)):  # whatever a request in the trouble left paused goes on
            session = self._session(number)
            if session.status == SessionStatus.PAUSED:
                self.person.act(session.pk, "resume")
        running = LiveSession.objects.filter(account=self.account, status=SessionStatus.RUNNING)
        before = self.account.orders.filter(status=OrderStatus.FILLED).count()

        def goes_on() -> bool:
            return (
                not running.exists() or self.account.orders.filter(status=OrderStatus.FILLED).count() > before
            )

        assert wait_until(goes_on, CALM_S), "nothing was traded any more once the trouble was over"

    def _end_all(self) -> None:
        rows = LiveSession.objects.filter(account=self.account)
        at_once(lambda pk: self.person.act(pk, self.plan.ending), rows.values_list("pk", flat=True))
        driven = rows.driven()
        assert wait_until(lambda: not driven.exists(), CALM_S), (
            f"sessions do not end: {[(row.pk, row.status, row.note) for row in driven]}, orders "
            f"{[(o.client_ref, o.status, o.answer) for o in self.account.orders.unsettled()]}"
        )

    def _audit(self) -> None:
        assert wait_until(self._reconciled, CALM_S), "the books could not be compared with the venue's"
        theirs = self.world.venue.books(self.key)
        self.account.refresh_from_db()
        self.outcome.violations += audit.audit(
            self.account, theirs, tuple(one.pair for one in self.plan.sessions), self.again
        )
        self.outcome.counts = audit.counts(self.account, theirs)
        for status in self.account.orders.values_list("status", flat=True):
            self.outcome.statuses[status] = self.outcome.statuses.get(status, 0) + 1

    def _reconciled(self) -> bool:
        """Compare as a person would; a comparison that corrects is followed by one that proves."""
        try:
            return services.reconcile_account(account=self.account).equal
        except (Conflict, BadInput):
            return False


def at_once(ask: Callable[[Any], object], what: Iterable[Any]) -> None:
    """Ask for several things at the same time; raises the first failure."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(ask, what))
