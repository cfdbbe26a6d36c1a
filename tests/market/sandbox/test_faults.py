"""Every fault does what it says, where and as often as it is told."""

import json
from decimal import Decimal

import pytest
import requests

from tests.market.sandbox.conftest import T0
from tests.sandbox_server import start_sandbox

STEADY = ("100.00", "100.01")


def place(venue):
    order = {"pair": "BTC/USD", "side": "BUY", "type": "MARKET", "quantity": 1}
    return venue.send("POST", "/v3/place_order", signed=True, timestamp=T0, **order)


def orders(venue):
    return len(venue.account()["orders"])


@pytest.mark.parametrize(("fault", "placed"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_connection_gives_no_answer(moving, fault, placed):
    venue = moving(STEADY)
    venue.faults(**{fault: True})
    with pytest.raises(requests.ConnectionError):
        place(venue)
    venue.faults(clear=True)
    assert orders(venue) == placed


@pytest.mark.parametrize(
    ("fault", "placed", "status"),
    [("http_5xx_before", 0, 500), ("http_5xx_after", 1, 500), ("http_429", 0, 429), ("429", 0, 429)],
)
def test_an_http_error_is_answered_with_or_without_effect(moving, fault, placed, status):
    venue = moving(STEADY)
    venue.faults(**{fault: {"times": 1}})
    assert place(venue).status_code == status
    assert orders(venue) == placed
    assert place(venue).status_code == 200


def test_the_status_of_a_server_error_can_be_chosen(moving):
    venue = moving(STEADY)
    venue.faults(http_5xx_before=503)
    assert place(venue).status_code == 503


@pytest.mark.parametrize("fault", ["truncated_json", "malformed_json"])
def test_a_damaged_answer_is_no_json_though_the_order_was_placed(moving, fault):
    venue = moving(STEADY)
    venue.faults(**{fault: True})
    with pytest.raises(json.JSONDecodeError):
        json.loads(place(venue).text)
    assert orders(venue) == 1


def test_the_wallet_can_be_empty(moving):
    venue = moving(STEADY)
    venue.faults(empty_wallet=True)
    assert venue.signed("GET", "/v3/balance")["SpotWallet"] == {}


def test_a_pair_can_be_missing_from_the_ticker():
    with start_sandbox() as venue:
        venue.faults(missing_pair="BTC/USD")
        assert list(venue.get("/v3/ticker", timestamp=venue.now_ms())["Data"]) == ["ETH/USD", "SIM/USD"]
        venue.faults(missing_pair=["ETH/USD", "SIM/USD"])
        assert list(venue.get("/v3/ticker", timestamp=venue.now_ms())["Data"]) == ["BTC/USD"]


def test_a_stale_ticker_stands_still_while_the_market_moves(moving):
    venue = moving(("100.00", "100.01"), ("90.00", "90.01"))
    venue.faults(stale_ticker=True)
    venue.advance(1000)
    answer = venue.get("/v3/ticker", timestamp=venue.now_ms())
    assert (answer["Data"]["BTC/USD"]["MinAsk"], answer["ServerTime"]) == (100.01, T0 + 1000)
    assert place(venue).json()["OrderDetail"]["FilledAverPrice"] == 90.01


def test_a_skewed_clock_lies_and_checks_by_its_lie(moving):
    venue = moving(STEADY)
    venue.faults(clock_skew_ms=90_000)
    assert venue.now_ms() == T0 + 90_000
    assert venue.signed("GET", "/v3/balance", timestamp=T0)["ErrMsg"] == "timestamp out of range"
    assert venue.signed("GET", "/v3/balance")["Success"] is True


def test_a_frozen_clock_shows_the_same_time_while_orders_go_on(moving):
    venue = moving(("100.00", "100.01"), ("90.00", "90.01"))
    venue.faults(frozen_clock=True)
    venue.advance(1000)
    assert venue.now_ms() == T0
    assert place(venue).json()["OrderDetail"]["CreateTimestamp"] == T0 + 1000


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"is_running": False}, "the exchange is not running"),
        ({"can_trade": False}, "this pair can not be traded now"),
        ({"can_trade": "BTC/USD"}, "this pair can not be traded now"),
        ({"no_permission": True}, "your do not have permission to trade"),
    ],
)
def test_a_closed_exchange_takes_no_orders(moving, fault, words):
    venue = moving(STEADY)
    venue.faults(**fault)
    assert place(venue).json() == {"Success": False, "ErrMsg": words}
    assert venue.signed("POST", "/v6/short_open", pair="BTC/USD", collateral=10)["ErrMsg"] == words


def test_exchange_info_tells_what_is_closed(moving):
    venue = moving(STEADY)
    venue.faults(is_running=False, can_trade=["BTC/USD"])
    info = venue.get("/v3/exchangeInfo")
    assert (info["IsRunning"], info["TradePairs"]["BTC/USD"]["CanTrade"]) == (False, False)
    assert info["TradePairs"]["ETH/USD"]["CanTrade"] is True
    venue.faults(is_running=True, can_trade=True)
    assert venue.get("/v3/exchangeInfo")["IsRunning"] is True


@pytest.mark.parametrize(("fault", "placed"), [("latency_ms", 1), ("latency_before_ms", 0)])
def test_latency_delays_the_answer_or_the_effect(moving, fault, placed):
    venue = moving(STEADY)
    venue.faults(**{fault: {"value": 60_000, "paths": ["place_order"]}})
    with pytest.raises(requests.ReadTimeout):
        venue.http.post(venue.url + "/v3/place_order", timeout=0.2)
    made = venue.state()["unsigned_calls"].get("/v3/place_order", 0)
    assert made == placed


def test_faults_strike_only_their_paths_and_only_so_often(moving):
    venue = moving(STEADY)
    venue.faults(http_5xx_before={"times": 2, "paths": ["balance", "ticker"]})
    statuses = [venue.send("GET", path, signed=True, timestamp=T0).status_code for path in
                ("/v3/pending_count", "/v3/balance", "/v3/ticker", "/v3/balance")]  # fmt: skip
    assert statuses == [200, 500, 500, 200]


def test_a_random_fault_repeats_itself_with_its_seed(moving):
    venue, runs = moving(STEADY), []
    for _ in range(2):
        venue.faults(http_429={"probability": 0.5, "seed": 3})
        runs.append([venue.send("GET", "/v3/serverTime").status_code for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 429}


def test_faults_never_strike_the_sandboxs_own_endpoints(moving):
    venue = moving(STEADY)
    venue.faults(drop_before=True)
    assert "drop_before" in venue.state()["faults"]


@pytest.mark.parametrize("bad", [{"earthquake": True}, {"drop_after": {"often": 3}}, {"latency_ms": "long"}])
def test_an_unknown_fault_is_refused_and_nothing_is_set(moving, bad):
    venue = moving(STEADY)
    answer = venue.http.post(venue.url + "/sandbox/faults", json={"drop_after": True} | bad, timeout=10)
    assert answer.status_code == 400
    assert venue.state()["faults"] == {}


def test_a_large_body_is_refused(moving):
    venue = moving(STEADY)
    assert venue.http.post(venue.url + "/v3/place_order", data="x" * 100_000, timeout=10).status_code == 413


def test_a_clock_that_runs_by_itself_cannot_be_advanced(moving):
    venue = moving(STEADY, clock="real")
    answer = venue.http.post(venue.url + "/sandbox/advance", json={"ms": 5}, timeout=10)
    assert (answer.status_code, "--clock manual" in answer.json()["error"]) == (409, True)


@pytest.mark.parametrize("body", ["{", "[1]", '{"ms": -1}', '{"ms": "soon"}'])
def test_a_bad_advance_is_refused(moving, body):
    venue = moving(STEADY)
    assert venue.http.post(venue.url + "/sandbox/advance", data=body, timeout=10).status_code == 400


def test_the_ledger_is_untouched_by_damaged_answers(moving):
    venue = moving(STEADY)
    venue.faults(drop_after={"times": 1, "paths": ["balance"]})
    with pytest.raises(requests.ConnectionError):
        venue.signed("GET", "/v3/balance")
    assert Decimal(venue.account()["purses"]["USD"]["free"]) == 50_000
