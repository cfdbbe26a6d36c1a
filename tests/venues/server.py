"""A venue other than Roostoo on loopback: a real HTTP server, a real ledger, the sandbox's market and clock.

    with start_venue("binance", sandbox) as venue: venue.url, venue.key, venue.secret, venue.ledger

`venue.fail(path, how)` spoils the next request to a path, once: "drop before" (it never arrives), "drop
after" (it is done, no answer comes), "hang after", a status (it is done, but answered so), or
(status, body, headers) instead of doing it.
"""

import json
import socket
import threading
from contextlib import suppress
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.venues import binance, bybit
from tests.venues.ledger import SpotLedger

DIALECTS = {"binance": binance.answer, "bybit": bybit.answer}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.venue.connections.append(self.connection)

    def handle_any(self):
        venue = self.server.venue
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        parts = urlsplit(self.path)
        how = venue.fault_for(parts.path, self.command)
        venue.requests.append((self.command, parts.path))
        if how == "drop before":
            return self.drop()
        if isinstance(how, tuple):
            return self.answer(how[0], how[1], how[2] if len(how) > 2 else {})
        with venue.lock:
            status, answer = venue.dialect(venue, self.command, parts.path, parts.query, body, self.headers)
        if how == "drop after":
            return self.drop()
        if how == "hang after":
            venue.released.wait(20)
            return self.drop()
        if isinstance(how, int):  # done, but answered with this status
            return self.answer(how, {"code": -1000, "msg": "Internal error"}, {})
        return self.answer(status, answer, {})

    do_GET = do_POST = do_DELETE = handle_any

    def drop(self):
        self.close_connection = True

    def answer(self, status, answer, headers):
        text = answer if isinstance(answer, str) else json.dumps(answer, default=str)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text.encode())), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


class Venue:
    """A running stand-in."""

    key, secret = "V" * 32, "W" * 32

    def __init__(self, name, sandbox, quote="USDT", usd="50000", **ledger):
        self.name, self.sandbox, self.quote = name, sandbox, quote
        self.dialect = DIALECTS[name]
        self.ledger = SpotLedger({quote: Decimal(usd), "BTC": Decimal(0)}, **ledger)
        self.lock, self.released = threading.Lock(), threading.Event()
        self.skew_ms, self.off_pairs = 0, set()
        self.requests: list[tuple[str, str]] = []
        self.connections = []
        self._faults: dict[tuple[str, str], list] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.venue, self.server.daemon_threads = self, True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def fail(self, path, how, method="POST"):
        self._faults.setdefault((method, path), []).append(how)

    def fault_for(self, path, method):
        waiting = self._faults.get((method, path))
        return waiting.pop(0) if waiting else None

    # --- the market, as the sandbox has it

    def now_ms(self):
        return self.sandbox.now_ms() + self.skew_ms

    def market(self):
        """Return {(base, quote): (bid, ask, last)} now, after what rests has met it."""
        text = self.sandbox.send("GET", "/v3/ticker", timestamp=self.sandbox.now_ms()).text
        rows = json.loads(text, parse_float=Decimal)["Data"]
        found = {
            (pair.partition("/")[0], self.quote): tuple(
                Decimal(row[name]) for name in ("MaxBid", "MinAsk", "LastPrice")
            )
            for pair, row in rows.items()
            if Decimal(row["MaxBid"]) > 0
        }
        self.ledger.sweep({pair: row[:2] for pair, row in found.items()}, self.now_ms())
        return found

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.thread.join(20)
        self.server.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def start_venue(name, sandbox, **given):
    return Venue(name, sandbox, **given)


def fields_of(query, body):
    """Return the parameters of a request, first value each."""
    return {name: values[0] for name, values in parse_qs(query or body).items()}
