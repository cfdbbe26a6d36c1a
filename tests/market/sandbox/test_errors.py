"""The exact words of every refusal, always HTTP 200."""

import pytest

from tests.market.sandbox.conftest import BOOK, T0
from tests.sandbox_server import start_sandbox

ORDER = {"pair": "BTC/USD", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
LIMIT = ORDER | {"type": "LIMIT", "price": "80000"}


def refused(venue, method, path, **parameters):
    answer = venue.send(method, path, signed=True, **({"timestamp": T0} | parameters))
    assert answer.status_code == 200
    assert answer.json()["Success"] is False
    return answer.json()["ErrMsg"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (ORDER | {"quantity": "0.000001"}, "quantity step size error"),
        (ORDER | {"quantity": "0.00000"}, "quantity error"),
        (ORDER | {"quantity": "1e-05"}, "quantity error"),
        (ORDER | {"quantity": "-1"}, "quantity error"),
        (ORDER | {"quantity": "much"}, "quantity error"),
        (ORDER | {"quantity": "0.00001"}, "order amount too small"),
        (ORDER | {"quantity": "10"}, "insufficient balance"),
        (ORDER | {"side": "SELL"}, "insufficient balance"),
        (ORDER | {"pair": "NOPE/USD"}, "pair not found"),
        (ORDER | {"pair": "TON/USD", "quantity": "10"}, "no price for this pair"),
        (ORDER | {"side": "buy"}, "side error"),
        (ORDER | {"type": "STOP"}, "order type error"),
        (LIMIT | {"price": ""}, "price error"),
        (LIMIT | {"price": "80000.001"}, "price step size error"),
        (LIMIT | {"quantity": "0.7"}, "insufficient balance"),
        (LIMIT | {"side": "SELL", "price": "90000"}, "insufficient balance"),
    ],
)
def test_a_bad_order_is_refused_and_changes_nothing(venue, parameters, words):
    before = venue.account()["purses"]
    assert refused(venue, "POST", "/v3/place_order", **parameters) == words
    assert (venue.account()["purses"], venue.account()["orders"]) == (before, [])


def test_an_order_of_exactly_the_minimum_is_refused_unless_switched(moving):
    for strict, works in ((True, False), (False, True)):
        venue = moving(("9999.99", "10000.00"), quirks={"strict_minimum": strict})
        assert venue.order("BUY", "0.0001")["Success"] is works


def test_trailing_zeros_are_no_extra_decimals(venue):
    assert venue.order("BUY", "0.0010000000")["Success"] is True


@pytest.mark.parametrize(
    ("method", "path", "parameters", "words"),
    [
        ("GET", "/v3/pending_count", {}, "no pending order under this account"),
        ("POST", "/v3/query_order", {}, "no order matched"),
        ("POST", "/v3/query_order", {"order_id": 7}, "no order matched"),
        ("POST", "/v3/query_order", {"order_id": 7, "pair": "BTC/USD"},
         "order_id can not be combined with other parameters"),
        ("POST", "/v3/query_order", {"offset": 0}, "parameter error"),
        ("POST", "/v3/query_order", {"limit": "many"}, "parameter error"),
        ("POST", "/v3/cancel_order", {}, "no order canceled"),
        ("POST", "/v3/cancel_order", {"order_id": 7}, "no order canceled"),
        ("POST", "/v3/cancel_order", {"order_id": 7, "pair": "BTC/USD"},
         "order_id and pair can not be combined"),
        ("POST", "/v6/short_open", {"pair": "BTC/USD", "collateral": "0.99"}, "minimum collateral is $1"),
        ("POST", "/v6/short_open", {"pair": "BTC/USD"}, "minimum collateral is $1"),
        ("POST", "/v6/short_open", {"pair": "NOPE/USD", "collateral": 100}, "pair not found"),
        ("POST", "/v6/short_open", {"pair": "BTC/USD", "collateral": 50_000}, "insufficient balance"),
        ("POST", "/v6/short_open", {"pair": "BTC/USD", "collateral": 100, "order_type": "LIMIT"},
         "limit order requires a price"),
        ("POST", "/v6/short_close", {"pair": "BTC/USD"}, "no open short position for this pair"),
        ("POST", "/v6/short_close", {"pair": "NOPE/USD"}, "pair not found"),
    ],
)  # fmt: skip
def test_a_refusal_says_exactly_this(venue, method, path, parameters, words):
    assert refused(venue, method, path, **parameters) == words


def test_empty_pending_count_keeps_its_zero_fields(venue):
    assert venue.signed("GET", "/v3/pending_count") == {
        "Success": False, "ErrMsg": "no pending order under this account", "TotalPending": 0,
        "OrderPairs": {},
    }  # fmt: skip


def test_offset_zero_can_be_allowed():
    with start_sandbox(feed=BOOK, quirks={"refuse_offset_0": False}) as venue:
        venue.order("BUY", "0.001")
        assert venue.signed("POST", "/v3/query_order", offset=0)["Success"] is True


def test_accounts_without_shorts_are_told_so():
    with start_sandbox(feed=BOOK, quirks={"shorts": False}) as venue:
        words = refused(venue, "POST", "/v6/short_open", pair="BTC/USD", collateral=100)
    assert words == "this competition does not allow short positions"
