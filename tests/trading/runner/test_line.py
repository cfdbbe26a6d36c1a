"""Who waits for a turn: one thread goes on with the next, and nobody's row is older than a glance may be."""

import threading
from collections import Counter
from decimal import Decimal
from functools import partial
from types import SimpleNamespace

import pytest
from django.db import DatabaseError

from trading import haste
from trading.exchanges.errors import Unreachable
from trading.feeds import Follower
from trading.runner import desk as desks
from trading.runner import loop
from trading.runner.baton import Baton
from trading.runner.crew import Crew
from trading.runner.driven import LET_ASK_S, Driven


class Waiting:
    """Somebody in line, as the runner sees him; a turn takes 4 ms of the test's clock."""

    def __init__(self, clock, account):
        self.clock, self.glance, self.turned = clock, None, []
        self.session = SimpleNamespace(
            account_id=account,
            account=SimpleNamespace(poll_s=2.0),
            pair="BTC/USD",
            held=0,
            flatten_wanted=False,
        )
        self.is_in_line, self.is_busy, self.is_over = True, False, False
        self.round, self.next_s, self.now, self.seat = 0, 0.0, haste.UNKNOWN, None

    def haste(self, quote):
        return self.now

    def line_up(self, glance, number):
        self.is_in_line, self.glance, self.round = True, glance, number

    @property
    def longest_wait_s(self):
        return Driven.longest_wait_s.fget(self)

    def may_begin(self, quote, at_ms, now_s):
        return True

    def begin(self):
        self.is_in_line, self.is_busy = False, True

    def put_back(self):
        self.is_in_line, self.is_busy = True, False

    def turn(self, quote, at_ms, now_s):
        self.clock.now_s += 0.004
        self.turned.append(self.glance)


class Clock:
    now_s = 0.0


class Look:
    """A glance at the rows of some sessions."""

    def __init__(self, driven, clock):
        self.sessions = [one.session for one in driven]
        self.of, self.clock, self.read_s = len(self.sessions), clock, clock.now_s

    def covers(self, session):
        return any(one is session for one in self.sessions)

    @property
    def is_good(self):
        return self.clock.now_s - self.read_s <= 1.0


class Hands:
    def __init__(self):
        self.works = []

    def hand(self, work):
        self.works.append(work)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def line(clock, monkeypatch):
    """A runner with a desk of forty sessions on forty accounts in line, all seen by one glance."""
    monkeypatch.setattr(desks.Desk, "_glance", lambda self, driven: Look(driven, clock))
    hands = Hands()
    runner = loop.Runner(monotonic_s=lambda: clock.now_s, must_end=lambda: False, hands=hands)
    desk = desks.Desk("sandbox", Baton(), runner._monotonic_s)
    desk.driven = [Waiting(clock, account) for account in range(39)]
    glance = Look(desk.driven, clock)
    for one in desk.driven:
        one.glance = glance
        desk.line.append(one)
    runner._desks["sandbox"] = desk
    runner._next_scan_s = desk.next_s = 1e9  # nobody looks for sessions or prices
    return SimpleNamespace(runner=runner, desk=desk, hands=hands, driven=desk.driven)


def begin(line):
    for desk, one in line.runner._next_turns():
        line.hands.hand(lambda desk=desk, one=one: line.runner._turns(desk, one))


def test_a_thread_goes_on_with_those_next_in_line_for_a_short_while(line):
    begin(line)
    assert len(line.hands.works) == loop.AT_ONCE
    line.hands.works[0]()
    # The first of three, then twelve of the 36 behind them: 50 ms are over after the last of these.
    assert line.runner.turns == 13
    assert [len(one.turned) for one in line.driven[: loop.AT_ONCE]] == [1] + [0] * 2
    assert [len(one.turned) for one in line.driven[loop.AT_ONCE :]] == [1] * 12 + [0] * 24
    for work in line.hands.works[1:]:
        work()
    assert line.runner.turns == 39
    assert all(len(one.turned) == 1 and not one.is_busy for one in line.driven)
    assert not line.runner._under_way.total()


def test_a_thread_lets_whoever_is_back_with_a_bar_go_on_first(line, monkeypatch):
    """The sessions that wait for that bar are not in line: an order of theirs would come 50 ms late."""
    begin(line)
    monkeypatch.setattr(Baton, "is_awaited", property(lambda baton: line.runner.turns >= 4))
    line.hands.works[0]()
    assert line.runner.turns == 4
    line.hands.works[1]()
    assert line.runner.turns == 5  # its own turn, which was begun


def test_those_in_line_are_read_again_when_the_glance_is_too_old(line, clock):
    begin(line)
    old = line.driven[-1].glance
    clock.now_s = 1.5
    for work in line.hands.works:
        work()
    assert all(
        one.turned == [old] for one in line.driven[: loop.AT_ONCE]
    )  # under way already: they look alone
    fresh = {id(one.turned[0]) for one in line.driven[loop.AT_ONCE :]}
    assert len(fresh) == 1
    assert id(old) not in fresh
    assert line.driven[-1].turned[0].of == 36


@pytest.mark.parametrize("answers", [True, False])
def test_the_last_session_may_end_while_its_prices_are_asked_for(clock, monkeypatch, answers):
    monkeypatch.setattr(desks, "record_ticks", lambda market, quotes: None)
    desk = desks.Desk("sandbox", Baton(), lambda: clock.now_s)

    class Venue:
        def quotes(self, pairs):
            desk.driven.clear()
            if not answers:
                raise Unreachable("it did not answer in time")
            return {}

        def now_ms(self):
            return 1

    one = Waiting(clock, 1)
    one.exchange = Venue()
    desk.driven, desk.is_reading = [one], True
    desk.read()
    assert (desk.is_reading, desk.failures, list(desk.line)) == (False, 0, [])


def test_books_are_compared_once_a_minute_and_not_all_at_once(clock):
    runner = loop.Runner(monotonic_s=lambda: clock.now_s, must_end=lambda: False, hands=Hands())
    desk = desks.Desk("sandbox", Baton(), runner._monotonic_s)
    desk.driven = [Waiting(clock, account) for account in range(60)]
    for one in desk.driven:
        one.is_busy, one.seat = False, SimpleNamespace(wants_check=False)
    wanted = Counter()
    for second in range(1, 181):
        runner._plan_checks(desk, float(second))
        now = [one.session.account_id for one in desk.driven if one.seat.wants_check]
        assert len(now) <= 3
        wanted.update(now)
        for one in desk.driven:
            one.seat.wants_check = False
    assert set(wanted) == set(range(60))
    assert set(wanted.values()) <= {2, 3}


def broken(line, monkeypatch, *, after):
    """Have the search for the next turn fail once so many have begun."""
    real, found = line.runner._next_turn, []

    def look():
        if len(found) == after:
            raise RuntimeError("out of order")
        found.append(1)
        return real()

    monkeypatch.setattr(line.runner, "_next_turn", look)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_turns_that_have_begun_are_given_back_when_the_next_cannot_be_found(line, monkeypatch, after):
    """Else they were busy for ever: nobody drove them, and the runner never ended."""
    before = list(line.desk.line)
    with monkeypatch.context() as patch:
        broken(line, patch, after=after)
        with pytest.raises(RuntimeError, match="out of order"):
            line.runner.round()
    assert list(line.desk.line) == before
    assert not any(one.is_busy for one in line.driven)
    assert not line.runner._under_way.total()
    begin(line)
    for work in line.hands.works:
        work()
    assert line.runner.turns == 39


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_turns_that_nobody_takes_are_given_back(line, monkeypatch, taken):
    before, hand = list(line.desk.line), line.hands.hand

    def full(work):
        if len(line.hands.works) == taken:
            raise RuntimeError("can't start new thread")
        hand(work)

    with monkeypatch.context() as patch:
        patch.setattr(line.hands, "hand", full)
        with pytest.raises(RuntimeError, match="new thread"):
            line.runner.round()
    assert list(line.desk.line) == before[taken:]
    assert [one.is_busy for one in line.driven] == [True] * taken + [False] * (39 - taken)
    assert line.runner._under_way.total() == taken
    for work in line.hands.works:
        work()
    assert not line.runner._under_way.total()


def test_a_desk_whose_reading_nobody_takes_is_read_in_the_next_round(line, monkeypatch):
    line.desk.next_s = 0.0
    for one in line.driven:
        one.seat, one.session.account = None, SimpleNamespace(poll_s=1.0)
    line.desk.line.clear()

    def full(work):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(line.hands, "hand", full)
        with pytest.raises(RuntimeError, match="new thread"):
            line.runner.round()
    assert not line.desk.is_reading


def test_a_crew_that_can_start_no_thread_says_so_and_still_ends(monkeypatch):
    crew = Crew()

    def none(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none)
        with pytest.raises(RuntimeError, match="new thread"):
            crew.hand(lambda: None)
    assert crew.size == 0
    crew.close()


class Asked:
    """A session's seat whose feed another session asks for, or nobody."""

    def __init__(self, feed):
        self.feed = feed


def test_who_needs_a_bar_that_another_asks_for_lets_him_for_a_short_while(line, clock):
    """Else all sessions of a pair would ask the candle source at once when a bar has closed."""
    asks = [True]
    feed = SimpleNamespace(is_asked_for=lambda at_ms: asks[0])
    for one in line.driven[:20]:
        one.seat, one.let_ask_s = Asked(feed), None
        one.may_begin = partial(Driven.may_begin, one)
    line.driven[4].now = haste.LEAVES_NOW
    begin(line)
    for work in line.hands.works:
        work()
    turned = [place for place, one in enumerate(line.driven) if one.turned]
    assert turned == [4, *range(20, 39)]  # whoever must leave does not wait for a bar
    clock.now_s += LET_ASK_S
    line.hands.works.clear()
    begin(line)
    assert len(line.hands.works) == loop.AT_ONCE  # it takes long: they ask as well
    asks[0] = False
    for work in line.hands.works:
        work()
    while line.desk.line:
        line.hands.works.clear()
        begin(line)
        line.hands.works[0]()
    assert all(len(one.turned) == 1 for one in line.driven if one in line.driven[:20])


@pytest.mark.parametrize(
    ("exposed", "last_s"), [({}, 30.0), ({"held": Decimal(1)}, 5.0), ({"flatten_wanted": True}, 5.0)]
)
def test_a_silent_venue_is_asked_again_soon_where_somebody_holds_or_must_leave(
    clock, monkeypatch, exposed, last_s
):
    monkeypatch.setattr(desks.Desk, "_glance", lambda self, driven: None)
    monkeypatch.setattr(desks.Desk, "_note_streams", lambda self: None)
    desk, waits_s = desks.Desk("sandbox", Baton(), lambda: clock.now_s), []

    class Venue:
        def quotes(self, pairs):
            raise Unreachable("gone")

    desk.driven = [Waiting(clock, 1), Waiting(clock, 1)]
    for one in desk.driven:
        one.exchange, one.is_in_line, one.unknown = Venue(), False, lambda why: None
    vars(desk.driven[1].session).update(exposed)
    for _ in range(6):
        desk.read()
        waits_s.append(desk.next_s - clock.now_s)
    assert waits_s[:2] == [2.0, 4.0]
    assert waits_s[-1] == last_s


def test_who_is_about_to_ask_for_a_bar_is_waited_for_like_who_asks(line):
    """Three turns are begun at once and wait for the baton: two of a pair would both ask the source."""
    feeds = [
        SimpleNamespace(asking=0, promised=0, last_ms=0, newest_closed_ms=lambda now_ms: 60_000) for _ in "ab"
    ]
    for place, one in enumerate(line.driven):
        one.seat, one.is_promised, one.let_ask_s = Asked(Follower(feeds[place % 2], None)), False, None
        for name in ("may_begin", "begin", "put_back", "_promise"):
            setattr(one, name, partial(getattr(Driven, name), one))
    begun = line.runner._next_turns()
    assert [line.driven.index(one) for _, one in begun] == [0, 1]
    assert [feed.promised for feed in feeds] == [1, 1]
    line.runner._put_back(*begun[1])
    assert [feed.promised for feed in feeds] == [1, 0]
    for feed in feeds:
        feed.last_ms = 60_000  # no bar has closed: nobody will ask, nobody waits
    assert [line.driven.index(one) for _, one in line.runner._next_turns()] == [1, 2]


def test_the_rows_are_read_before_the_prices_and_late_comers_read_behind_them(clock, monkeypatch):
    monkeypatch.setattr(desks, "record_ticks", lambda market, quotes: None)
    monkeypatch.setattr(desks.Desk, "_note_streams", lambda self: None)
    monkeypatch.setattr(desks.Desk, "_glance", lambda self, driven: Look(driven, clock))
    desk = desks.Desk("sandbox", Baton(), lambda: clock.now_s)

    class Venue:
        wait_s = 0.3

        def quotes(self, pairs):
            clock.now_s += self.wait_s
            desk.driven[2].is_busy = False  # its turn ends meanwhile
            return {}

        def now_ms(self):
            return 1

    desk.driven = [Waiting(clock, account) for account in range(3)]
    for one in desk.driven:
        one.is_in_line, one.exchange = False, Venue()
    desk.driven[2].is_busy = True
    desk.read()
    ahead, late = desk.driven[0].glance, desk.driven[2].glance
    assert (ahead.read_s, ahead.of, late.read_s, late.of) == (0.0, 2, 0.3, 1)
    assert desk.driven[1].glance is ahead
    for one in desk.driven:
        one.is_in_line = False
    Venue.wait_s = 1.5  # too long: all look anew
    desk.read()
    assert {one.glance.read_s for one in desk.driven} == {clock.now_s}
    assert desk.driven[0].glance.of == 3


@pytest.mark.parametrize("error", [DatabaseError("locked"), KeyError("a bug")])
def test_a_look_ahead_that_fails_costs_no_reading(clock, monkeypatch, error):
    """The desk read no prices any more: nobody would have guarded a stop."""
    monkeypatch.setattr(desks, "record_ticks", lambda market, quotes: None)
    monkeypatch.setattr(desks.Desk, "_note_streams", lambda self: None)
    monkeypatch.setattr(desks.connections, "refresh", lambda: None)
    monkeypatch.setattr(desks, "Glance", lambda *_: (_ for _ in ()).throw(error))
    desk = desks.Desk("sandbox", Baton(), lambda: clock.now_s)
    one = Waiting(clock, 1)
    one.is_in_line, one.exchange = False, SimpleNamespace(quotes=lambda pairs: {}, now_ms=lambda: 1)
    desk.driven, desk.is_reading = [one], True
    desk.read()
    assert (desk.is_reading, one.is_in_line, one.glance) == (False, True, None)


def test_whatever_fails_before_the_venue_is_asked_the_desk_is_read_again(clock, monkeypatch):
    desk = desks.Desk("sandbox", Baton(), lambda: clock.now_s)
    desk.driven, desk.is_reading = [Waiting(clock, 1)], True  # it has no venue
    with pytest.raises(AttributeError):
        desk.read()
    assert not desk.is_reading
