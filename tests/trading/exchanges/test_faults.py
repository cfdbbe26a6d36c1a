"""What each thing that goes wrong is called, because the name says the next move."""

import socket
from dataclasses import replace
from decimal import Decimal

import pytest
import requests

from market.sandbox import texts
from trading.exchanges.clock import VenueClock
from trading.exchanges.errors import (
    BadAnswer,
    BadCredentials,
    ClockSkew,
    ExchangeError,
    OrderRejected,
    OutcomeUnknown,
    Throttled,
    Unreachable,
    VenueClosed,
)
from trading.exchanges.http import JsonHttp
from trading.exchanges.port import Proposal
from trading.exchanges.roostoo import Roostoo
from trading.exchanges.roostoo_wire import Credentials, RoostooWire, meaning_of, said_no

from .conftest import PAIR

BUY = Proposal(PAIR, "BUY", "MARKET", Decimal("0.00236"))


def roostoo(url, key="K" * 64, secret="S" * 64, timeout_s=(0.5, 0.5), local_s=None, spend=lambda kind: None):
    """An adapter without database or budget."""
    http = requests.Session()
    http.trust_env = False
    clock = VenueClock(local_s or (lambda: 0.0))
    wire = JsonHttp(url, http=http, timeout_s=timeout_s, local_s=clock.local_s, dialect="a Roostoo server")
    return Roostoo(RoostooWire(wire, Credentials(key, secret), clock=clock, spend=spend))


@pytest.fixture
def venue(sandbox):
    exchange = roostoo(sandbox.url)
    exchange.server_ms()
    return exchange


@pytest.mark.parametrize(
    "fault",
    ["drop_before", "drop_after", "http_5xx_before", "http_5xx_after", "truncated_json", "malformed_json"],
)
def test_an_order_whose_answer_is_lost_has_an_unknown_outcome(venue, sandbox, fault):
    sandbox.faults(**{fault: {"paths": ["place_order"], "times": 1}})
    with pytest.raises(OutcomeUnknown) as caught:
        venue.place(BUY)
    assert caught.value.had_no_effect is False
    assert len(sandbox.account()["orders"]) == ("before" not in fault)  # sent once, never again


@pytest.mark.parametrize(
    "call",
    [
        lambda venue: venue.cancel("1"),
        lambda venue: venue.open_short(PAIR, Decimal(100)),
        lambda venue: venue.close_short(PAIR),
    ],
)
def test_every_call_that_moves_money_can_have_an_unknown_outcome(venue, sandbox, call):
    sandbox.faults(drop_after=True)
    with pytest.raises(OutcomeUnknown):
        call(venue)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("drop_before", Unreachable),
        ("drop_after", Unreachable),
        ("http_5xx_before", Unreachable),
        ("truncated_json", BadAnswer),
        ("malformed_json", BadAnswer),
        ("http_429", Throttled),
    ],
)
@pytest.mark.parametrize("read", ["quotes", "balances", "reports"])
def test_a_read_that_fails_is_unknown_and_can_be_repeated(venue, sandbox, fault, kind, read):
    sandbox.faults(**{fault: {"times": 1}})
    ask = {"quotes": venue.quotes, "balances": venue.balances, "reports": lambda: venue.reports(PAIR)}[read]
    with pytest.raises(kind):
        ask()
    assert ask() is not None


def test_a_throttled_order_was_not_placed(venue, sandbox):
    sandbox.faults(http_429={"times": 1})
    with pytest.raises(Throttled) as caught:
        venue.place(BUY)
    assert (caught.value.wait_s > 0, sandbox.account()["orders"]) == (True, [])


def test_an_order_answered_too_late_has_an_unknown_outcome(sandbox):
    exchange = roostoo(sandbox.url, timeout_s=(0.5, 0.05))
    exchange.server_ms()
    sandbox.faults(latency_ms={"value": 150, "times": 1})
    with pytest.raises(OutcomeUnknown):
        exchange.place(BUY)


def test_an_empty_wallet_on_a_funded_account_is_unknown(venue, sandbox):
    sandbox.faults(empty_wallet=True)
    with pytest.raises(BadAnswer, match="empty"):
        venue.balances()
    assert venue.balances(allow_empty=True) == {}


def test_a_pair_missing_from_the_ticker_is_absent(venue, sandbox):
    sandbox.faults(missing_pair=PAIR)
    assert PAIR not in venue.quotes()
    sandbox.faults(missing_pair=True)
    with pytest.raises(BadAnswer):
        venue.quotes()


@pytest.mark.parametrize("fault", [{"is_running": False}, {"can_trade": False}, {"no_permission": True}])
def test_a_closed_venue_refuses_orders_as_closed(venue, sandbox, fault):
    sandbox.faults(**fault)
    with pytest.raises(VenueClosed):
        venue.place(BUY)
    assert sandbox.account()["orders"] == []


def test_quotes_survive_a_clock_that_went_wrong(venue, sandbox):
    sandbox.faults(clock_skew_ms=600_000)  # the venue's clock now is ten minutes from our estimate
    assert PAIR in venue.quotes([PAIR])
    sandbox.faults(clock_skew_ms=0)
    assert PAIR in venue.quotes([PAIR])


def test_a_clock_that_jumps_by_90_s_is_read_again_and_the_order_is_placed_once(venue, sandbox):
    sandbox.faults(clock_skew_ms=90_000)
    assert venue.place(BUY).status == "filled"
    sandbox.faults(clock_skew_ms=-90_000)
    assert venue.place(BUY).status == "filled"
    assert len(sandbox.account()["orders"]) == 2


@pytest.mark.parametrize(("key", "secret"), [("X" * 64, "S" * 64), ("K" * 64, "X" * 64)])
def test_a_wrong_key_or_secret_is_bad_credentials(sandbox, key, secret):
    exchange = roostoo(sandbox.url, key, secret)
    with pytest.raises(BadCredentials):
        exchange.balances()
    with pytest.raises(BadCredentials):
        exchange.place(BUY)


def test_an_order_that_could_only_be_sent_late_is_not_sent(sandbox):
    now_s = [0.0]

    def wait_for_a_locked_database(kind):
        now_s[0] += 20.0

    exchange = roostoo(sandbox.url, local_s=lambda: now_s[0], spend=wait_for_a_locked_database)
    exchange.server_ms()
    with pytest.raises(Unreachable, match="nothing was sent"):
        exchange.place(BUY)
    assert sandbox.account()["orders"] == []


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_an_order_that_could_not_even_connect_was_never_sent(sandbox):
    exchange = roostoo(f"http://127.0.0.1:{closed_port()}")
    exchange._wire.clock.read(1, 0.0)
    with pytest.raises(Unreachable, match="nothing answers"):
        exchange.place(BUY)
    with pytest.raises(Unreachable, match="nothing answers"):
        exchange.quotes()


def test_a_venue_that_restarts_is_reached_again_on_a_new_connection(venue, sandbox):
    venue.balances()
    sandbox.stop()
    with pytest.raises(ExchangeError):
        venue.balances()
    sandbox.restart()
    assert venue.balances()["USD"].free == 50_000


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("timestamp out of range", ClockSkew),
        ("api-key invalid", BadCredentials),
        ("your do not have permission to trade", VenueClosed),
        ("not yet a member of this competition", VenueClosed),
        ("too many requests", Throttled),
        ("insufficient balance", OrderRejected),
        ("quantity step size error", OrderRejected),
        ("this competition does not allow short positions", OrderRejected),
    ],
)
def test_the_venues_words_are_understood(words, kind):
    assert type(meaning_of(words, OrderRejected(words))) is kind


OF_READS = {texts.NO_PENDING, texts.NO_MATCH, texts.ID_ALONE}
SAID = sorted({words for name, words in vars(texts).items() if name.isupper()} - OF_READS)


@pytest.mark.parametrize("words", SAID)
def test_every_refusal_that_an_order_can_meet_has_a_name(words):
    assert meaning_of(words, said_no(words)).had_no_effect


@pytest.mark.parametrize(
    "words", ["system busy, please query the order later", "no reason given", "queued: insufficient balance"]
)
def test_words_that_nobody_has_a_name_for_leave_the_outcome_unknown(words):
    assert type(meaning_of(words, said_no(words))) is OutcomeUnknown


def test_only_an_unknown_outcome_may_have_had_an_effect():
    kinds = ExchangeError.__subclasses__()
    assert [kind for kind in kinds if not kind.had_no_effect] == [OutcomeUnknown]
    assert all(kind.next_move for kind in kinds)


def test_an_order_whose_sender_may_no_longer_send_does_not_leave(venue, sandbox):
    """The last question before the wire: whoever was suspended until then has lost its lease."""

    class Lost(Exception):
        pass

    def refuse():
        raise Lost

    with pytest.raises(Lost):
        venue.place(replace(BUY, before_send=refuse))
    assert sandbox.account()["orders"] == []
