"""Candles through ccxt and from Yahoo, from local servers that answer as documented."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from market.candles import COLUMNS
from market.errors import BadInput
from market.sources.binance import Binance
from market.sources.port import SourceUnavailable
from market.sources.registry import connect
from tests.sandbox_server import START_MS, start_sandbox
from tests.venues.server import start_venue

MINUTE, DAY = 60_000, 86_400_000
FROM = START_MS - 700 * MINUTE  # more than one page
KLINES = "/api/v3/klines"


@pytest.fixture
def venue():
    with start_sandbox() as sandbox, start_venue("binance", sandbox) as running:
        yield running


def asked(source, now_ms=START_MS, pair="BTC/USDT", interval_ms=MINUTE):
    return source.candles(pair, interval_ms, FROM, START_MS, now_ms=now_ms)


def test_ccxts_candles_are_the_exchanges_own_to_the_last_bar(venue):
    found = asked(connect("ccxt:binance", venue.url))
    wanted = asked(Binance(venue.sandbox.url))
    assert len(found) == len(wanted) >= 698
    assert all(np.array_equal(getattr(found, name), getattr(wanted, name)) for name in COLUMNS)
    assert found.open_ms[-1] <= START_MS - MINUTE  # the open bar is left out


def test_what_ccxt_does_not_know_is_said_in_a_sentence(venue):
    with pytest.raises(BadInput, match="ccxt knows no exchange 'nowhere'"):
        connect("ccxt:nowhere")
    source = connect("ccxt:binance", venue.url)
    with pytest.raises(BadInput, match="no pair NO/USDT"):
        asked(source, pair="NO/USDT")
    with pytest.raises(BadInput, match="no 5s candles"):
        asked(source, interval_ms=5000)
    with pytest.raises(BadInput, match="ccxt:NAME"):
        connect("mars")


IMPOSSIBLE = [[FROM, "1", "0.5", "2", "1", "1"]]  # the high below the low
FAILURES = [((429, {}), "limiting"), ((500, {}), "did not give"), ((200, "["), "did"),
            ((200, IMPOSSIBLE), "impossible")]  # fmt: skip


@pytest.mark.parametrize(("how", "words"), FAILURES)
def test_a_failure_of_an_exchange_is_unknown_not_empty(venue, how, words):
    source = connect("ccxt:binance", venue.url)
    venue.fail(KLINES, how, method="GET")
    with pytest.raises(SourceUnavailable, match=words):
        asked(source)


class Chart(BaseHTTPRequestHandler):
    """Minute bars from FROM on: one without prices, the moving price as the last row."""

    def do_GET(self):
        parts, server = urlsplit(self.path), self.server
        query = {name: int(value[0]) for name, value in parse_qs(parts.query).items() if name != "interval"}
        server.asked.append((parts.path, query["period2"] - query["period1"]))
        status, answer = server.failure or (200, chart(query["period1"], query["period2"]))
        body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def chart(first_s, last_s):
    times = [at for at in range(first_s, last_s, 60) if FROM // 1000 <= at < START_MS // 1000]
    prices = [None if at == FROM // 1000 + 600 else 100 + at // 60 % 7 for at in times]
    moved = {name: [None if price is None else price + add for price in prices] + [105]
             for name, add in (("open", 0), ("high", 1), ("low", -1), ("close", 0.5))}  # fmt: skip
    rows = {**moved, "volume": [None if price is None else 2 for price in prices] + [0]}
    result = {"timestamp": [*times, START_MS // 1000 + 17], "indicators": {"quote": [rows]}}
    return {"chart": {"result": [result], "error": None}}


@pytest.fixture
def yahoo():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Chart)
    server.failure, server.asked = None, []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def of_yahoo(server):
    return connect("yahoo", f"http://127.0.0.1:{server.server_port}")


def test_yahoos_bars_are_whole_and_what_it_does_not_know_is_a_gap(yahoo):
    found = asked(of_yahoo(yahoo), pair="BTC/USD", now_ms=START_MS + 10 * MINUTE)
    assert len(found) == 699
    assert FROM + 600_000 not in found.open_ms
    assert (found.open_ms[0], found.open_ms[-1]) == (FROM, START_MS - MINUTE)
    assert (found.high[0], found.volume[0]) == (found.open[0] + 1, 2)
    assert yahoo.asked[0][0] == "/v8/finance/chart/BTC-USD"


def test_yahoo_is_asked_for_a_week_of_minutes_at_a_time(yahoo):
    source, now_ms = of_yahoo(yahoo), START_MS
    source.candles("BTC/USD", MINUTE, START_MS - 20 * DAY, START_MS, now_ms=now_ms)
    assert [span for _, span in yahoo.asked][:2] == [7 * 86_400] * 2
    assert len(yahoo.asked) == 3


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        ((404, {"chart": {"result": None, "error": {"code": "Not Found"}}}), BadInput, "no pair"),
        ((429, "Too Many Requests"), SourceUnavailable, "limiting"),
        ((500, "oops"), SourceUnavailable, "HTTP 500"),
        (
            (200, {"chart": {"result": None, "error": {"description": "too far back"}}}),
            SourceUnavailable,
            "too far",
        ),
        (
            (200, {"chart": {"result": [{"timestamp": [1, 2]}], "error": None}}),
            SourceUnavailable,
            "no candles",
        ),
        ((200, "<html>"), SourceUnavailable, "did not give"),
    ],
)
def test_what_yahoo_refuses_is_said(yahoo, failure, kind, words):
    yahoo.failure = failure
    with pytest.raises(kind, match=words):
        asked(of_yahoo(yahoo), pair="BTC/USD")


def test_yahoo_has_some_intervals_only(yahoo):
    with pytest.raises(BadInput, match="1m, 5m, 15m, 1h or 1d"):
        asked(of_yahoo(yahoo), interval_ms=3 * MINUTE)
