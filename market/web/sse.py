"""Server-sent events for pages that change: cheap, bounded, and over within minutes so that nothing leaks.

The database is read in a small pool of threads of its own, so that many open pages never take the threads
that answer ordinary requests. Django keeps one idle thread per open response (0.5 MB, measured with 110
streams), hence the bound on their number.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

EVERY_S = 1.0
LIFE_S = 300.0
RETRY_MS = 2000
MAX_STREAMS = 100  # per process; above it pages fall back to polling
_POOL = ThreadPoolExecutor(max_workers=2, thread_name_prefix="events")
_open = 0


def stream(read: Callable[[], dict[str, Any]], *, life_s: float = LIFE_S) -> HttpResponseBase:
    """Answer an event stream that sends what `read` returns each time that it differs.

    :param read: runs in a thread, returns small JSON-able facts (a version of the object).
    """
    if _open >= MAX_STREAMS:
        return HttpResponse("Too many open streams; poll instead.", status=503, headers={"Retry-After": "30"})
    events = changes(in_pool(read), turns=int(life_s / EVERY_S))
    response = StreamingHttpResponse(_counted(events), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return response


async def changes(
    read: Callable[[], Awaitable[dict[str, Any]]],
    *,
    turns: int,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[bytes]:
    """Yield one event per change and a comment every 15 readings, which keeps proxies from closing."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    last: dict[str, Any] | None = None
    for turn in range(turns):
        now = await read()
        if now != last:
            last = now
            yield f"event: changed\ndata: {json.dumps(now, default=str)}\n\n".encode()
        elif turn % 15 == 14:
            yield b": still here\n\n"
        await sleep(EVERY_S)


def in_pool(read: Callable[[], dict[str, Any]]) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Let `read` run in this module's threads, each with a healthy database connection."""

    def run() -> dict[str, Any]:
        close_old_connections()
        try:
            return read()
        finally:
            close_old_connections()

    return sync_to_async(run, thread_sensitive=False, executor=_POOL)


async def _counted(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    global _open
    if _open >= MAX_STREAMS:  # many were let in at the same moment
        yield b"retry: 30000\n\n"
        return
    _open += 1
    try:
        async for event in events:
            yield event
    finally:
        _open -= 1
