"""Who may call: the documented vectors, both wire styles, the time window, the rate limit."""

import pytest

from market.sandbox.auth import canonical, decoded, signature
from tests.market.sandbox.conftest import BOOK, T0
from tests.sandbox_server import start_sandbox

SPOT = {"timestamp": "1580774512000", "type": "MARKET", "side": "BUY", "quantity": "2000", "pair": "BNB/USD"}


def test_the_documented_spot_vector_is_reproduced():
    secret = "S1XP1e3UZj6A7H5fATj0jNhqPxxdSJYdInClVN65XAbvqqMKjVHjA7PZj4W12oep"
    assert canonical(SPOT) == "pair=BNB/USD&quantity=2000&side=BUY&timestamp=1580774512000&type=MARKET"
    assert signature(secret, SPOT) == "20b7fd5550b67b3bf0c1684ed0f04885261db8fdabd38611e9e6af23c19b7fff"


def test_the_documented_partner_vector_is_reproduced():
    secret = "S1XP1e3UZj6A7H5fATj0jNhqPtmdSJYdInClVN65XAbvqqMKjVHjA7PZj4W12oep"
    signed = {"bind_email": "lzhao302@usc.edu", "timestamp": "1579870392000"}
    assert signature(secret, signed) == "a55766cece32a0db944bfc8e94ddfbcbfc65cd7d1c497aa891d0a2326ba67dcb"


def test_raw_and_percent_encoded_forms_mean_the_same():
    assert decoded(b"pair=BTC/USD&side=BUY") == decoded(b"side=BUY&pair=BTC%2FUSD")


ORDER = {"type": "MARKET", "timestamp": str(T0), "side": "BUY", "pair": "BTC/USD", "quantity": "0.001"}


def posted(venue, body, signed, **headers):
    made = {
        "RST-API-KEY": venue.key,
        "MSG-SIGNATURE": signed,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return venue.http.post(venue.url + "/v3/place_order", data=body, headers=made | headers, timeout=10)


@pytest.mark.parametrize("slash", ["/", "%2F", "%2f"])
def test_an_order_is_accepted_raw_or_percent_encoded_in_any_order_of_parameters(venue, slash):
    body = "&".join(f"{name}={value}" for name, value in ORDER.items()).replace("BTC/USD", f"BTC{slash}USD")
    answer = posted(venue, body, signature(venue.secret, ORDER))
    assert answer.json()["OrderDetail"]["Status"] == "FILLED"


def test_a_raw_query_string_is_accepted_on_get(venue):
    assert venue.http.get(f"{venue.url}/v3/ticker?timestamp={T0}&pair=BTC/USD", timeout=10).json()["Success"]


def test_the_sorted_raw_string_counts_and_not_the_encoded_one(venue):
    encoded = ORDER | {"pair": "BTC%2FUSD"}
    assert posted(venue, ORDER, signature(venue.secret, encoded)).status_code == 401


def test_an_undocumented_parameter_is_ignored_unless_the_client_signed_it(venue):
    extra = ORDER | {"comment": "hello"}
    assert posted(venue, extra, signature(venue.secret, ORDER)).json()["Success"] is True
    assert posted(venue, extra, signature(venue.secret, extra)).status_code == 401


def test_signing_type_on_short_open_is_refused(venue):
    answer = venue.send(
        "POST", "/v6/short_open", signed=True, timestamp=T0, pair="BTC/USD", collateral=100, type="x"
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("wrong", [{"key": "nobody"}, {"secret": "guessed"}])
def test_a_wrong_key_or_secret_gets_401_in_plain_text(venue, wrong):
    answer = venue.send("GET", "/v3/balance", signed=True, timestamp=T0, **wrong)
    assert (answer.status_code, answer.text) == (401, "api-key invalid")
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_call_without_signature_gets_401(venue):
    assert venue.send("GET", "/v3/balance", timestamp=T0).status_code == 401


@pytest.mark.parametrize(
    ("off_ms", "works"), [(60_000, True), (-60_000, True), (60_001, False), (-60_001, False)]
)
def test_timestamps_are_accepted_within_sixty_seconds(venue, off_ms, works):
    answer = venue.signed("GET", "/v3/balance", timestamp=T0 + off_ms)
    assert answer["Success"] is works
    assert answer["ErrMsg"] == ("" if works else "timestamp out of range")


@pytest.mark.parametrize("timestamp", [{}, {"timestamp": "soon"}, {"timestamp": T0 // 1000}])
def test_the_ticker_wants_a_timestamp_in_milliseconds(venue, timestamp):
    assert venue.get("/v3/ticker", **timestamp) == {"Success": False, "ErrMsg": "timestamp out of range"}


def test_the_window_grows_with_the_speed_of_the_clock(tmp_path):
    with start_sandbox(feed=BOOK, clock="real", speed=50) as fast:
        now = fast.now_ms()
        assert fast.signed("GET", "/v3/balance", timestamp=now - 40 * 60_000)["Success"] is True


def test_auth_headers_on_an_open_endpoint_do_no_harm(venue):
    answer = venue.send("GET", "/v3/ticker", signed=True, secret="wrong", timestamp=T0)
    assert answer.json()["Success"] is True


def test_the_limiter_refuses_the_call_after_the_thirtieth_until_a_minute_has_passed():
    with start_sandbox(feed=BOOK, per_minute=30) as venue:
        answers = [venue.send("GET", "/v3/balance", signed=True, timestamp=T0) for _ in range(31)]
        assert [answer.status_code for answer in answers] == [200] * 30 + [429]
        assert venue.get("/v3/ticker", timestamp=T0)["Success"] is True
        venue.advance(60_000)
        assert venue.signed("GET", "/v3/balance")["Success"] is True


def test_calls_are_counted_per_account_and_path(venue):
    venue.signed("GET", "/v3/balance")
    assert venue.account()["calls"] == {"/v3/balance": 1}
    assert venue.state()["unsigned_calls"]["/v3/serverTime"] >= 1
