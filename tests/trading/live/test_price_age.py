"""A price ages while a turn waits: entries are judged by its age when they are made, exits never."""

import pytest

from tests.trading.live.conftest import MINUTE
from trading import deciding, sessions

LATE_MS = 25_000


def slow(live, function):
    """Return `function` after so long a wait that the price is too old."""

    def waits(*args, **given):
        live.venue.advance(LATE_MS)
        live.exchange.server_ms()
        return function(*args, **given)

    return waits


def late_turn(live, monkeypatch, where):
    """Take the turn of a new bar on a fresh price, and wait in the middle of it."""
    live.venue.advance(MINUTE)
    quote, now_ms = live.exchange.quotes()[live.session.pair], live.exchange.now_ms()
    seat = live.seat
    owner, name = {
        "for the bars": (seat.feed, "advance"),
        "for the policy": (seat.decider.policy, "wish"),
        "for the database": (deciding, "capped"),
    }[where]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, slow(live, getattr(owner, name)))
        sessions.step(seat, quote=quote, now_ms=now_ms)
    live.session.refresh_from_db()


WAITS = pytest.mark.parametrize("where", ["for the bars", "for the policy", "for the database"])


@WAITS
def test_an_entry_on_a_price_that_has_aged_in_the_turn_is_refused(live, monkeypatch, where):
    live.start("buy_and_hold", risk={"entry_stale_s": 20.0})
    late_turn(live, monkeypatch, where)
    assert live.session.held == 0
    assert "old, entries need 20 s: exits only" in live.session.decisions.latest("bar_ms").risk_reason
    live.bar()
    assert live.session.held > 0


@WAITS
def test_an_exit_is_not_held_back(live, monkeypatch, where):
    live.start("buy_and_hold", risk={"entry_stale_s": 20.0}).bar()
    assert live.session.held > 0
    policy = live.seat.decider.policy
    monkeypatch.setattr(policy, "wish", lambda values, held: 0.0)
    late_turn(live, monkeypatch, where)
    assert live.session.held == 0
