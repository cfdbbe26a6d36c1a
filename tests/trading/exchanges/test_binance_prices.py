"""Binance's prices for paper accounts, from a local server that answers as Binance documents."""

import json
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from trading import accounts
from trading.exchanges.errors import BadAnswer, Throttled, Unreachable
from trading.exchanges.port import Proposal
from trading.exchanges.registry import connect

NOW_MS = 1_790_777_200_000
D = Decimal


def symbol(base, status="TRADING", quote="USDT"):
    return {
        "symbol": base + quote, "status": status, "baseAsset": base, "quoteAsset": quote,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0", "stepSize": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
        ],
    }  # fmt: skip


def ticker(name, bid, ask):
    return {"symbol": name, "priceChangePercent": "-1.320", "lastPrice": bid, "bidPrice": bid,
            "askPrice": ask, "quoteVolume": "1000.5", "closeTime": NOW_MS}  # fmt: skip


ANSWERS = {
    "/api/v3/time": {"serverTime": NOW_MS},
    "/api/v3/exchangeInfo": {"symbols": [symbol("BTC"), symbol("OLD", "BREAK"), symbol("ETH", quote="BTC")]},
    "/api/v3/ticker/24hr": [ticker("BTCUSDT", "84596.00", "84596.01"), ticker("ETHBTC", "0.00", "0.00")],
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        parts = urlsplit(self.path)
        status, answer = self.server.failure or (200, ANSWERS[parts.path])
        asked = parse_qs(parts.query).get("symbols")
        if asked and status == 200:
            answer = [row for row in answer if row["symbol"] in json.loads(asked[0])]
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def binance():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.failure = None
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def venue(db, user, binance):
    url = f"http://127.0.0.1:{binance.server_port}"
    account = accounts.create_account(
        owner=user, name="b", venue="paper-binance", base_url=url, calls_per_minute=999
    )
    return connect(account)


def test_tether_pairs_are_dollar_pairs_with_binances_steps(venue):
    rules = venue.instruments()["BTC/USD"]
    assert (rules.tick, rules.step, rules.min_notional) == (D("0.01"), D("0.00001"), 5)
    assert venue.tradable() == {"BTC/USD", "ETH/BTC"}


def test_quotes_come_in_our_own_spelling_and_an_empty_book_is_absent(venue):
    [quote] = venue.quotes(["BTC/USD", "ETH/BTC", "NO/USD"]).values()
    assert (quote.pair, quote.bid, quote.ask) == ("BTC/USD", D("84596.00"), D("84596.01"))
    assert (quote.change_24h, quote.volume_quote_24h) == (D("-0.0132"), D("1000.5"))
    assert NOW_MS <= quote.at_ms < NOW_MS + 5000
    assert set(venue.quotes()) == {"BTC/USD"}


def test_a_paper_order_fills_at_binances_touch(venue):
    report = venue.place(Proposal("BTC/USD", "BUY", "MARKET", D("0.001")))
    assert (report.average_price, report.fee) == (D("84596.01"), D("0.08459601"))
    assert venue.balances()["BTC"].free == D("0.001")


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ((400, {"code": -1121, "msg": "Invalid symbol."}), BadAnswer),
        ((418, {}), Throttled),
        ((429, {}), Throttled),
        ((451, {}), Unreachable),
        ((403, {}), Unreachable),
        ((503, {}), Unreachable),
        ((200, "hello"), BadAnswer),
    ],
)
def test_each_failure_has_its_name(venue, binance, failure, kind):
    binance.failure = failure
    with pytest.raises(kind):
        venue.quotes(["BTC/USD"])
