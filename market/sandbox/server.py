"""The ASGI application and its uvicorn server: HTTP in, faults on the way, HTTP out."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from market.errors import BadInput
from market.sandbox import control
from market.sandbox.clock import Clock
from market.sandbox.engine import Engine
from market.sandbox.faults import Faults
from market.sandbox.gate import Gate, Reply, Request
from market.sandbox.store import Store

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
LARGEST_BODY = 65_536
MALFORMED = b'{"Success": true, "ErrMsg": "", <html>'


class Sandbox:
    """One local exchange, ready to be served."""

    def __init__(self, engine: Engine, gate: Gate, clock: Clock, faults: Faults, store: Store) -> None:
        self.engine, self.gate, self.clock, self.faults, self.store = engine, gate, clock, faults, store

    def tick(self) -> int:
        """Bring the exchange up to the clock, remember the time, return it."""
        now_ms = self.clock.now_ms()
        self.engine.advance(now_ms)
        self.store.save_clock(now_ms)
        return now_ms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = await read(scope, receive)
        if request is None:
            await write(Reply(413, b"request too large"), send)
            return
        ours = request.path.startswith("/sandbox/")
        reply = control.answer(self, request) if ours else await self._under_faults(request)
        if reply is not None:
            await write(reply, send)
            return
        scope["transport"].close()
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _under_faults(self, request: Request) -> Reply | None:
        """Answer a request of the venue; None closes the connection without an answer."""
        struck = self.faults.strike(request.path)
        if not struck:
            return self.gate.answer(request, self.tick(), struck)
        await asyncio.sleep(struck.get("latency_before_ms", 0) / 1000)
        if "drop_before" in struck:
            return None
        if "http_5xx_before" in struck:
            return server_error(struck["http_5xx_before"])
        reply = self.gate.answer(request, self.tick(), struck)
        await asyncio.sleep(struck.get("latency_ms", 0) / 1000)
        if "drop_after" in struck:
            return None
        if "http_5xx_after" in struck:
            return server_error(struck["http_5xx_after"])
        return damaged(reply, struck)


def server_error(status: Any) -> Reply:
    code = status if isinstance(status, int) and 500 <= status <= 599 and status is not True else 500
    return Reply(code, b"<html><body><h1>Internal Server Error</h1></body></html>", b"text/html")


def damaged(reply: Reply, struck: dict[str, Any]) -> Reply:
    """Return the answer as faults leave it: cut in the middle, or not JSON at all."""
    if "truncated_json" in struck:
        return Reply(reply.status, reply.body[: len(reply.body) // 2], reply.content_type)
    return Reply(reply.status, MALFORMED, reply.content_type) if "malformed_json" in struck else reply


async def read(scope: Scope, receive: Receive) -> Request | None:
    """Return the request, or None when its body is too large."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > LARGEST_BODY:
            return None
    named = {name: value for name, value in scope["headers"] if name in (b"rst-api-key", b"msg-signature")}
    key, signature = (named.get(name, b"").decode("latin-1") for name in (b"rst-api-key", b"msg-signature"))
    return Request(scope["method"], scope["path"], scope["query_string"], body, key, signature)


async def write(reply: Reply, send: Send) -> None:
    headers = [(b"content-type", reply.content_type), (b"content-length", b"%d" % len(reply.body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


class Protocol(HttpToolsProtocol):
    """Hands the application its transport, so that a fault can close the connection without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]


class Server(uvicorn.Server):
    """Serves one sandbox on an open socket until told to exit; ticks ten times a second."""

    def __init__(
        self, sandbox: Sandbox, listener: socket.socket, ready: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(uvicorn.Config(
            sandbox, http=Protocol, ws="none", lifespan="off", log_config=None, access_log=False,
            log_level="warning", proxy_headers=False, server_header=False, timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        ))  # fmt: skip
        self._sandbox, self._listener, self._ready = sandbox, listener, ready

    def serve_until_stopped(self) -> None:
        """Serve; returns after SIGTERM, SIGINT or `should_exit`."""
        self.run(sockets=[self._listener])
        self._sandbox.store.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        self._sandbox.tick()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.should_exit = True  # uvicorn would raise the signal again: we exit with 0


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    :raises BadInput: when the port is taken or the host is not ours.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"cannot listen on {host}:{port}: {reason}; choose another --port", "port") from error
    return listener
