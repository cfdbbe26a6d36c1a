"""A public price stream on loopback: a real WebSocket server that a test makes speak, fall silent or go."""

import json
import socket
import threading
import time
from contextlib import suppress

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

PATIENCE_S = 60.0  # a busy machine may be slow; nothing waits longer than it must


def wait_until(holds, what="it"):
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, f"{what} did not happen"
        time.sleep(0.01)


class PriceServer:
    def __init__(self, port=0):
        self.port = port
        self.asked, self.clients, self.heard = [], [], []
        self.connections = 0
        self.start()

    def start(self):
        self.server = serve(self._serve, "127.0.0.1", self.port, close_timeout=0.2)
        self.port = self.server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def _serve(self, client):
        self.connections += 1
        try:
            for text in client:
                message = json.loads(text)
                self.heard.append(message)
                topics = message.get("params") or message.get("args")
                if topics:
                    self.asked.append(set(topics))
                    client.send(json.dumps({"result": None, "id": 1, "success": True, "op": "subscribe"}))
                    self.clients.append(client)
        except ConnectionClosed:
            pass
        finally:
            self.clients = [one for one in self.clients if one is not client]

    def say(self, *frames):
        """Send frames (dicts, or text as it is) to everybody who has subscribed; wait for one who has."""
        wait_until(lambda: self.clients, "a subscription")
        for client in list(self.clients):
            with suppress(ConnectionClosed):
                for frame in frames:
                    client.send(frame if isinstance(frame, str) else json.dumps(frame))

    def drop(self):
        """Cut every connection."""
        for client in list(self.clients):
            with suppress(OSError):
                client.socket.shutdown(socket.SHUT_RDWR)
            wait_until(lambda gone=client: gone not in self.clients, "a disconnection")

    def stop(self):
        self.drop()
        self.server.shutdown()
        self.thread.join(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def binance_frame(at_ms, bid="84596.00", ask="84596.01", symbol="BTCUSDT", **more):
    prices = {"c": bid, "b": bid, "a": ask, "P": "-1.32", "q": "1000.5"}
    return {"e": "24hrTicker", "E": at_ms, "s": symbol, **prices, **more}


def bybit_frames(at_ms, update, bid="84596.00", ask="84596.01", symbol="BTCUSDT"):
    book = {"s": symbol, "b": [[bid, "1"]], "a": [[ask, "2"]], "u": update, "seq": update * 10}
    row = {"symbol": symbol, "lastPrice": bid, "price24hPcnt": "-0.0132", "turnover24h": "1000.5"}
    return (
        {"topic": f"orderbook.1.{symbol}", "type": "snapshot", "ts": at_ms, "data": book, "cts": at_ms},
        {"topic": f"tickers.{symbol}", "type": "snapshot", "ts": at_ms, "cs": 1, "data": row},
    )
