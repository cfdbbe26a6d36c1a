"""What each failure of a venue behind ccxt means: the next move, and whether an order may be there."""

import logging
from decimal import Decimal

import ccxt
import pytest

from trading import accounts
from trading.exchanges.ccxt_wire import meaning_of
from trading.exchanges.errors import (
    BadAnswer,
    BadCredentials,
    ClockSkew,
    OrderRejected,
    OutcomeUnknown,
    Throttled,
    Unreachable,
    VenueClosed,
)
from trading.exchanges.port import Proposal
from trading.exchanges.registry import connect
from trading.guard import LeaseLost

from .conftest import PAIR, add

pytestmark = pytest.mark.django_db
D = Decimal
ORDER = {"binance": "/api/v3/order", "bybit": "/v5/order/create"}
READ = {"binance": "/api/v3/account", "bybit": "/v5/account/wallet-balance"}
SIGNED_WINDOW_MS = 5_000


@pytest.fixture(params=["binance", "bybit"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def venue(user, server):
    found = connect(add(user, server, name=server.name, venue=f"ccxt:{server.name}"))
    found.instruments()
    return found


def buy(quantity="0.001", client_id="tb1", **changes):
    return Proposal(PAIR, "BUY", "MARKET", D(quantity), client_id=client_id, **changes)


def refusal(server, code, words):
    return {"code": code, "msg": words} if server.name == "binance" else {"retCode": code, "retMsg": words}


@pytest.mark.parametrize(
    "how", ["drop after", "drop before", 500, (503, "<html>busy</html>"), (200, "{"), (200, "[]")]
)
def test_an_order_without_an_answer_that_can_be_read_may_be_there(venue, server, how):
    server.fail(ORDER[server.name], how)
    with pytest.raises(OutcomeUnknown):
        venue.place(buy())


@pytest.mark.parametrize(("how", "is_there"), [("drop after", True), ("drop before", False), (500, True)])
def test_an_unanswered_order_is_found_by_its_client_id_or_is_not_there(venue, server, how, is_there):
    server.fail(ORDER[server.name], how)
    with pytest.raises(OutcomeUnknown):
        venue.place(buy())
    found = venue.find(PAIR, "tb1")
    assert (found is not None) == is_there
    assert len(server.ledger.orders) == is_there
    if is_there:
        assert (found.side, found.quantity, found.status) == ("BUY", D("0.001"), "filled")
        assert found == venue.report(found.venue_order_id)


def test_an_order_that_hangs_ends_with_the_time_limit(venue, server, settings, user):
    settings.VENUE_TIMEOUT_S = 1.0
    hasty = connect(accounts.Account.objects.get(name=server.name))
    hasty.instruments()
    server.fail(ORDER[server.name], "hang after")
    with pytest.raises(OutcomeUnknown):
        hasty.place(buy())
    server.released.set()
    assert hasty.find(PAIR, "tb1").status == "filled"


def test_nothing_is_sent_where_nobody_listens(venue, server):
    server.close()
    with pytest.raises(Unreachable):
        venue.place(buy())
    with pytest.raises(Unreachable):
        venue.balances()


def test_a_sender_that_lost_its_lease_sends_nothing(venue, server):
    def lost():
        raise LeaseLost("session-1")

    with pytest.raises(LeaseLost):
        venue.place(buy(before_send=lost))
    assert server.ledger.orders == []


@pytest.mark.parametrize("wait", [None, "7"])
def test_a_venue_that_throttles_is_left_alone_for_as_long_as_it_says(venue, server, wait):
    answer = (429, {"code": -1003, "msg": "Too many requests."}, {"Retry-After": wait} if wait else {})
    server.fail(ORDER[server.name], answer)
    with pytest.raises(Throttled) as caught:
        venue.place(buy())
    assert caught.value.wait_s == (7 if wait else 15)
    server.fail(READ[server.name], (418, {}, {"Retry-After": "120"}), method="GET")
    with pytest.raises(Throttled):
        venue.balances()


@pytest.mark.parametrize(
    ("codes", "kind", "words"),
    [
        ((-2010, 170131), OrderRejected, "insufficient"),
        ((-1013, 170140), OrderRejected, "too small"),
        ((-1003, 10006), Throttled, "too many"),
        ((-2015, 10003), BadCredentials, "key"),
        ((-1007, 10000), OutcomeUnknown, "the words"),
        ((-99999, 99999), OutcomeUnknown, "the words"),  # words that nobody has a name for
    ],
)
def test_a_refusal_has_the_venues_words_and_our_name(venue, server, codes, kind, words):
    code = codes[0] if server.name == "binance" else codes[1]
    poor, small = "Account has insufficient balance", "order too small"
    told = {-2010: poor, 170131: poor, -1013: small, 170140: small}.get(code, "the words")
    status = 400 if server.name == "binance" else 200
    server.fail(ORDER[server.name], (status, refusal(server, code, told)))
    with pytest.raises(kind, match=words):
        venue.place(buy())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (170146, "Order creation timeout"),
        (170035, "Submitted to the system for processing!"),
        (170141, "Duplicate clientOrderId"),
        (10014, "Invalid duplicate request"),
        (-2010, "Duplicate order sent."),
    ],
)
def test_what_the_library_calls_an_invalid_order_may_be_one_all_the_same(bybit, binance, user, code, words):
    server = binance if code < 0 else bybit
    venue = connect(add(user, server, name="doubtful", venue=f"ccxt:{server.name}"))
    venue.instruments()
    status = 400 if code < 0 else 200
    server.fail(ORDER[server.name], (status, refusal(server, code, words)))
    with pytest.raises(OutcomeUnknown, match=words[:20]):
        venue.place(buy())


def test_an_order_that_is_there_already_is_no_refusal_whatever_the_words():
    taken = ccxt.DuplicateOrderId('poloniex {"code":250,"msg":"Client order id already exists"}')
    assert isinstance(meaning_of(taken, moves_money=True), OutcomeUnknown)
    assert isinstance(meaning_of(ccxt.InvalidOrder("too small"), moves_money=True), OrderRejected)


@pytest.mark.parametrize("answer", ['"hello"', "<html>", "{}", '{"result": {"list": 7}, "balances": 7}'])
def test_a_read_that_makes_no_sense_is_unknown(venue, server, answer):
    server.fail(READ[server.name], (200, answer), method="GET")
    with pytest.raises(BadAnswer):
        venue.balances()


def test_a_firewall_before_the_venue_is_no_bad_key(venue, server):
    server.fail(READ[server.name], (403, "<html>denied</html>"), method="GET")
    with pytest.raises(Unreachable):
        venue.balances()


def test_a_clock_that_is_off_is_compared_afresh_and_the_order_goes_once(venue, server):
    venue.server_ms()
    server.skew_ms = 90_000
    report = venue.place(buy())
    assert report.status == "filled"
    assert len(server.ledger.orders) == 1
    assert venue.now_ms() >= server.now_ms() - SIGNED_WINDOW_MS


def test_a_venue_that_goes_on_refusing_our_time_says_so(venue, server):
    code = -1021 if server.name == "binance" else 10002
    status = 400 if server.name == "binance" else 200
    for _ in range(2):
        server.fail(READ[server.name], (status, refusal(server, code, "recvWindow")), method="GET")
    with pytest.raises(ClockSkew):
        venue.balances()


def test_a_pair_that_may_not_trade_takes_no_order(server, user):
    server.off_pairs = {("BTC", "USD")}
    venue = connect(add(user, server, name=server.name, venue=f"ccxt:{server.name}"))
    assert PAIR not in venue.tradable()
    with pytest.raises((VenueClosed, OrderRejected, OutcomeUnknown)):
        venue.place(buy())
    assert server.ledger.orders == []


def test_an_order_through_two_prices_books_the_venues_money_to_the_last_digit(venue, server):
    server.ledger.depth = D("0.00123")
    bought = venue.place(buy("0.00317"))
    assert bought.filled == server.ledger.totals()["BTC"]
    assert 50_000 - bought.filled * bought.average_price - bought.fee == server.ledger.totals()["USD"]
    assert bought.fee > 0
    [listed] = venue.reports(PAIR)
    assert listed == bought


def test_no_failure_shows_the_secret_or_the_key(user, server, caplog):
    caplog.set_level(logging.DEBUG)
    key, secret = "visible-key-" + "k" * 30, "hidden-secret-" + "s" * 30
    wrong = connect(add(user, server, name="wrong", venue=f"ccxt:{server.name}", key=key, secret=secret))
    said = repr(wrong)
    for act in (wrong.balances, lambda: wrong.place(buy())):
        with pytest.raises(BadCredentials) as caught:
            act()
        said += f"{caught.value!r} {caught.value.__cause__}"
    assert key not in said + caplog.text
    assert secret not in said + caplog.text


def test_every_request_is_counted_against_the_accounts_budget(user, server):
    venue = connect(add(user, server, name="slow", venue=f"ccxt:{server.name}", calls_per_minute=40))
    venue.instruments()
    while len(server.requests) < 30:
        venue.balances()
    with pytest.raises(Throttled):
        venue.balances()
    assert len(server.requests) == 30
    assert venue.place(buy()).status == "filled"  # orders have a reserve
