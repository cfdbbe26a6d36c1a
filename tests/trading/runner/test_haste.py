"""Who is about to trade has its turn first, and nobody waits for ever because of that."""

from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.markets import network_policy, stored_model, walk
from tests.trading.live.conftest import Hand, Inline, Live
from tests.trading.live.test_together import KEYS, SECRET, crowded
from tests.trading.runner.test_line import Clock, Look, Waiting
from trading import accounts, deciding, haste
from trading.exchanges.port import Quote
from trading.models import LiveSession, RiskState, SessionStatus
from trading.runner import desk as desks
from trading.runner import loop


def quote(bid):
    return Quote("BTC/USD", Decimal(bid), Decimal(bid) + 1, Decimal(bid), 0)


def session(**given):
    return LiveSession(**{"held": Decimal(1), "last_bar_ms": 10, "status": SessionStatus.RUNNING, **given})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"stop_price": Decimal(100)}, haste.LEAVES_NOW),
        ({"stop_price": Decimal(99)}, haste.ENTERS),
        ({"take_price": Decimal(100)}, haste.LEAVES_NOW),
        ({"held": Decimal(-1), "stop_price": Decimal(101)}, haste.LEAVES_NOW),
        ({"held": Decimal(-1), "take_price": Decimal(101)}, haste.LEAVES_NOW),
        ({"held": Decimal(-1)}, haste.ENTERS),
        ({"flatten_wanted": True}, haste.LEAVES_NOW),
        ({"risk_state": RiskState.REDUCING}, haste.LEAVES_NOW),
        ({"held": Decimal(0), "flatten_wanted": True}, haste.ENTERS),
        ({"last_bar_ms": 20}, haste.UNKNOWN),  # what was foretold is decided already
    ],
)
def test_who_must_leave_comes_before_who_is_foretold_to_trade(given, wanted):
    assert haste.of_session(session(**given), haste.ENTERS, 20, quote(100)) == wanted


@pytest.mark.parametrize(
    ("target", "exposure", "wanted"),
    [
        (None, 0.5, haste.QUIET), (0.5, 0.5, haste.QUIET), (0.2, 0.5, haste.LEAVES),
        (-1.0, 0.5, haste.LEAVES), (0.0, -0.3, haste.LEAVES), (0.9, 0.5, haste.ENTERS),
        (1.0, 0.0, haste.ENTERS), (-1.0, 0.0, haste.ENTERS),
    ],
)  # fmt: skip
def test_a_wish_leaves_or_enters(target, exposure, wanted):
    assert haste.of_wish(target, exposure) == wanted


def line_of(monkeypatch, hastes):
    """A runner with a desk at which somebody waits per haste; nothing else is real but the line."""
    clock = Clock()
    monkeypatch.setattr(desks, "record_ticks", lambda market, quotes: None)
    monkeypatch.setattr(desks.Desk, "_glance", lambda self, driven: Look(driven, clock))
    monkeypatch.setattr(desks.Desk, "_note_streams", lambda self: None)
    runner = loop.Runner(monotonic_s=lambda: clock.now_s, must_end=lambda: False, hands=Inline())
    desk = desks.Desk("sandbox", runner._baton, runner._monotonic_s)
    runner._desks["sandbox"] = desk
    desk.driven = [Waiting(clock, account) for account in range(len(hastes))]
    for one, now in zip(desk.driven, hastes, strict=True):
        one.is_in_line, one.now = False, now
    return SimpleNamespace(runner=runner, desk=desk, clock=clock)


def test_a_line_is_in_the_order_of_haste_and_among_equals_as_it_was(monkeypatch):
    hastes = [haste.QUIET, haste.ENTERS, haste.UNKNOWN, haste.LEAVES, haste.ENTERS, haste.LEAVES_NOW]
    line = line_of(monkeypatch, hastes)
    line.desk._take({}, 1)
    line.desk.put_in_order(0)
    assert [line.desk.driven.index(one) for one in line.desk.line] == [5, 3, 1, 4, 2, 0]
    line.desk.driven[0].now = haste.LEAVES
    line.desk.put_in_order(0)  # nothing new was foretold: it is not looked at again
    assert line.desk.line[-1] is line.desk.driven[0]
    line.desk.put_in_order(1)
    assert [line.desk.driven.index(one) for one in line.desk.line] == [5, 3, 0, 1, 4, 2]


@settings(max_examples=60, deadline=None)
@given(
    hastes=st.lists(st.integers(haste.LEAVES_NOW, haste.QUIET), min_size=2, max_size=12),
    taken=st.lists(st.integers(0, 8), min_size=1, max_size=30),
)
def test_while_somebody_waits_nobody_else_has_a_second_turn(hastes, taken):
    """However many turns there is time for between two ticks, and however urgent the others are."""
    with pytest.MonkeyPatch.context() as patch:
        line = line_of(patch, hastes)
        began = {}  # who waits: what turns everybody had had by then
        for turns in taken:
            line.desk._take({}, 1)
            for _ in range(turns):
                had = {id(one): len(one.turned) for one in line.desk.driven}
                began = {id(one): began.get(id(one), had) for one in line.desk.line}
                if (found := line.runner._next_turn()) is None:
                    break
                line.runner._turn(*found)
                began.pop(id(found[1]))
                for then in began.values():
                    assert all(len(one.turned) <= then[id(one)] + 1 for one in line.desk.driven)


venue = pytest.fixture(crowded, name="venue")


def test_what_is_foretold_of_a_session_is_what_it_then_wishes(user, venue, db, monkeypatch):
    """The first of a model that asks learns it for all the others."""
    model = stored_model(user, network_policy(walk()), walk())
    for number, key in enumerate(KEYS):
        account = accounts.create_account(
            owner=user, name=f"of {key[0]}", venue="roostoo", base_url=venue.url, candles_url=venue.url,
            key=key, secret=SECRET, calls_per_minute=100_000, poll_s=0.05,
        )  # fmt: skip
        live = Live(user, venue, account)
        live.start("", model=model, settings={"sample": True, "seed": number}).seat.lease.release()
    said, decide = [], deciding.decide

    def decided(seat, quote, bar_ms, now_ms, marked):
        seat.session.last_bar_ms -= 1  # as it was before this bar was taken in
        foretold = haste.of_session(seat.session, seat.foretold, seat.foreseen_ms, None)
        seat.session.last_bar_ms += 1
        decide(seat, quote, bar_ms, now_ms, marked)
        last = seat.session.decisions.latest("bar_ms")
        said.append((foretold, haste.of_wish(last.target, last.portfolio[0])))

    monkeypatch.setattr(deciding, "decide", decided)
    Hand(venue, 30).drive()
    known = [(foretold, then) for foretold, then in said if foretold != haste.UNKNOWN]
    assert len(known) >= len(said) / 2
    assert {foretold for foretold, _ in known} == {haste.LEAVES, haste.ENTERS, haste.QUIET}
    assert all(foretold == then for foretold, then in known)


@pytest.mark.parametrize("over", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_who_is_over_while_in_line_is_passed_over_by_all_others(monkeypatch, over):
    line = line_of(monkeypatch, [haste.QUIET] * 3)
    line.desk._take({}, 1)
    waiting = list(line.desk.line)
    for place in over:
        waiting[place].is_over = True
    begun = []
    while (found := line.runner._next_turn()) is not None:
        begun.append(found[1])
        line.runner._under_way.clear()  # their turns have ended
    assert begun == [one for place, one in enumerate(waiting) if place not in over]
    assert not line.desk.line
    assert not any(one.is_in_line for one in waiting)
