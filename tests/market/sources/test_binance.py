"""The klines client against real HTTP on loopback: pages, open bars, refusals, silence."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from market.errors import BadInput
from market.sources.binance import Binance, symbol_of
from market.sources.port import SourceUnavailable
from tests.sandbox_server import START_MS, start_sandbox

MINUTE = 60_000
START = 1_704_067_200_000


class Klines(BaseHTTPRequestHandler):
    """Serves minute bars from START on, but for one hole; `answers` holds replies to give first."""

    def do_GET(self):
        server, query = self.server, {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        server.asked.append(query)
        if server.answers:
            return self.reply(*server.answers.pop(0))
        if query["symbol"] != "BTCUSDT":
            return self.reply(400, {"code": -1121, "msg": "Invalid symbol."})
        until = min(int(query["endTime"]), server.now_ms)
        times = range(max(int(query["startTime"]), START), until + 1, MINUTE)
        rows = [kline(t) for t in times if not START + 50 * MINUTE <= t < START + 60 * MINUTE]
        self.reply(200, rows[: int(query["limit"])])

    def reply(self, status, body, headers=()):
        if status is None:
            return self.connection.close()
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args):
        pass


def kline(t):
    price = 100 + (t - START) // MINUTE % 7
    return [t, f"{price}.0", f"{price + 1}.0", f"{price - 1}.0", f"{price}.5", "2.5", t + MINUTE - 1]


class Loopback(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a connection that the test told us to break


@pytest.fixture
def server():
    server = Loopback(("127.0.0.1", 0), Klines)
    server.asked, server.answers, server.now_ms = [], [], 2 * START
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def waits():
    return []


@pytest.fixture
def source(server, waits):
    source = Binance(f"http://127.0.0.1:{server.server_port}/", sleep=waits.append)
    yield source
    source.session.close()


def fetch(source, bars, *, pair="BTC/USD", now=None, first=0):
    end = START + bars * MINUTE
    return source.candles(pair, MINUTE, START + first * MINUTE, end, now_ms=end if now is None else now)


@pytest.mark.parametrize(
    ("pair", "symbol"), [("BTC/USD", "BTCUSDT"), ("ETH/BTC", "ETHBTC"), ("A/USDC", "AUSDC")]
)
def test_dollars_are_tether_on_binance(pair, symbol):
    assert symbol_of(pair) == symbol


def test_many_pages_become_one_series_and_gaps_stay(source, server):
    candles = fetch(source, 2500)
    assert len(candles) == 2490
    assert (np.diff(candles.open_ms) > 0).all()
    assert candles.open_ms[50] - candles.open_ms[49] == 11 * MINUTE
    assert (candles.open[0], candles.high[0], candles.low[0], candles.close[0]) == (100, 101, 99, 100.5)
    assert len(server.asked) == 3


def test_the_bar_that_is_still_open_is_left_out(source):
    end = START + 5 * MINUTE
    assert len(fetch(source, 5, now=end - 1)) == 4
    assert len(fetch(source, 5, now=end)) == 5


@pytest.mark.parametrize(("behind_s", "count"), [(0, 5), (1, 4), (50, 4), (90, 3)])
def test_a_bar_is_not_closed_before_the_source_shows_a_later_one(source, server, behind_s, count):
    end = START + 5 * MINUTE
    server.now_ms = end - behind_s * 1000  # the venue's clock is ahead of the source's
    assert len(fetch(source, 5, now=end)) == count


def test_the_last_bar_of_a_market_counts_after_a_while(source, server):
    end = START + 5 * MINUTE
    server.now_ms = end - 1
    assert len(fetch(source, 5, now=end + 2 * MINUTE)) == 5


def test_the_start_is_rounded_up_to_a_bar(source):
    candles = source.candles("BTC/USD", MINUTE, START + 1, START + 3 * MINUTE, now_ms=START * 2)
    assert candles.open_ms[0] == START + MINUTE


def test_nothing_is_asked_for_when_no_bar_has_closed(source, server):
    assert len(fetch(source, 5, now=START)) == 0
    assert server.asked == []


def test_no_candles_is_an_answer(source):
    assert len(fetch(source, 60, first=50)) == 0


def test_an_unknown_pair_is_the_users_to_mend(source):
    with pytest.raises(BadInput, match="has no pair NOPE/USD") as raised:
        fetch(source, 5, pair="NOPE/USD")
    assert raised.value.field == "pair"


def test_an_interval_that_binance_lacks_is_refused(source):
    with pytest.raises(BadInput, match="no 5s candles"):
        source.candles("BTC/USD", 5000, START, START + MINUTE, now_ms=START + MINUTE)


def test_a_broken_connection_is_tried_again(source, server, waits):
    server.answers = [(None, None), (None, None)]
    assert len(fetch(source, 5)) == 5
    assert len(waits) == 2


def test_a_source_that_stays_silent_is_unavailable(waits):
    source = Binance("http://127.0.0.1:9", sleep=waits.append)
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        fetch(source, 5)
    assert len(waits) == 3


REFUSALS = {
    "busy": (429, {"msg": "slow down"}, "limiting us"),
    "country": (451, {"msg": "restricted location"}, "country"),
    "broken": (502, b"<html>bad gateway</html>", "HTTP 502"),
    "not json": (200, b"<html>maintenance</html>", "no candles"),
    "not rows": (200, {"code": 0}, "no candles"),
    "short rows": (200, [[1, "2"]], "no candles"),
    "unordered": (200, [kline(START + MINUTE), kline(START)], "impossible"),
    "negative": (200, [[START, "1", "1", "-1", "1", "1"]], "impossible"),
    "outside": (200, [kline(START - MINUTE)], "impossible"),
    "not a number": (200, [[START, "NaN", "1", "1", "1", "1"]], "impossible"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_an_answer_that_cannot_be_used_is_unknown_and_not_asked_again(source, server, name):
    status, body, words = REFUSALS[name]
    server.answers = [(status, body)]
    with pytest.raises(SourceUnavailable, match=words):
        fetch(source, 5)
    assert len(server.asked) == 1


def test_the_wait_that_was_asked_for_is_passed_on(source, server):
    server.answers = [(429, {}, [("Retry-After", "17")])]
    with pytest.raises(SourceUnavailable) as raised:
        fetch(source, 5)
    assert raised.value.wait_s == 17


def test_a_page_that_fails_spoils_the_whole_read(source, server):
    server.answers = [(200, [kline(START + k * MINUTE) for k in range(10)]), (500, {})]
    with pytest.raises(SourceUnavailable):
        fetch(source, 20)


def test_the_sandbox_speaks_the_same_language():
    with start_sandbox() as venue:
        source, now = Binance(venue.url), START_MS + 90_000
        candles = source.candles("SIM/USD", MINUTE, START_MS - 1500 * MINUTE, now, now_ms=START_MS)
        with pytest.raises(BadInput, match="has no pair"):
            source.candles("NOPE/USD", MINUTE, START_MS - MINUTE, now, now_ms=START_MS)
        source.session.close()
    assert (len(candles), candles.open_ms[-1]) == (1500, START_MS - MINUTE)


@pytest.mark.parametrize("url", ["", "api.binance.com", "ftp://x", "http://"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(BadInput, match="is not an address"):
        Binance(url)
