"""Signed requests per second that one sandbox process answers, wallet reads and orders mixed."""

import asyncio
import os
import select
import subprocess
import sys
import tempfile
import time
from typing import Any

import psutil
import requests

from market.sandbox.auth import signature

KEY, SECRET = "bench-key", "bench-secret"
CONNECTIONS = 8
HEADERS = "Host: sandbox\r\nRST-API-KEY: {key}\r\nMSG-SIGNATURE: {signed}\r\n"


def run(seconds: float = 4.0, orders_in_ten: int = 2, **options: Any) -> dict[str, Any]:
    """Return `signed_requests_per_s` on one core, with the share of orders and the latency.

    The server is a process pinned to one core; the client runs beside it, so a machine with one free core
    understates the figure: `per_server_cpu_s` counts only the server's own processor time.
    """
    with tempfile.TemporaryDirectory() as folder:
        process, port = started(
            ["--state", folder, "--account", f"{KEY}:{SECRET}:1000000", "--feed", "synthetic:1@BTC/USD",
             "--no-rate-limit"]
        )  # fmt: skip
        try:
            server = psutil.Process(process.pid)
            server.cpu_affinity([server.cpu_affinity()[0]])
            requests_made = _signed_requests(port, orders_in_ten)
            before = sum(server.cpu_times()[:2])
            took, latencies = asyncio.run(_drive(port, requests_made, seconds))
            busy = sum(server.cpu_times()[:2]) - before
        finally:
            process.terminate()
            process.wait(10)
            process.stdout.close()
    latencies.sort()
    return {
        "signed_requests_per_s": round(len(latencies) / took),
        "per_server_cpu_s": round(len(latencies) / max(busy, 1e-9)),
        "orders_share": orders_in_ten / 10,
        "latency_ms_p50": round(latencies[len(latencies) // 2] * 1000, 3),
        "latency_ms_p99": round(latencies[len(latencies) * 99 // 100] * 1000, 3),
    }


def started(arguments: list[str]) -> tuple[subprocess.Popen, int]:
    """Start a sandbox of its own on a free port and return process and port."""
    command = [sys.executable, "-m", "market.sandbox", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ)  # noqa: S603 - our own module
    ready, _, _ = select.select([process.stdout], [], [], 60)
    line = process.stdout.readline().decode() if ready and process.stdout else ""
    if "ready at" not in line:
        process.kill()
        raise RuntimeError("the sandbox did not start")
    return process, int(line.rsplit(":", 1)[1])


def _signed_requests(port: int, orders_in_ten: int) -> list[bytes]:
    """Return ten signed requests, ready for the wire."""
    now_ms = requests.get(f"http://127.0.0.1:{port}/v3/serverTime", timeout=10).json()["ServerTime"]
    timestamp = {"timestamp": str(now_ms + 50_000)}  # the window is a minute either way
    made = []
    for number in range(10):
        side = "BUY" if number % 2 else "SELL"
        order = {"pair": "BTC/USD", "side": side, "type": "MARKET", "quantity": "0.001"} | timestamp
        parameters = order if number < orders_in_ten else timestamp
        form = "&".join(f"{name}={value}" for name, value in parameters.items())
        head = HEADERS.format(key=KEY, signed=signature(SECRET, parameters))
        if number < orders_in_ten:
            head = f"POST /v3/place_order HTTP/1.1\r\n{head}Content-Length: {len(form)}\r\n\r\n{form}"
        else:
            head = f"GET /v3/balance?{form} HTTP/1.1\r\n{head}\r\n"
        made.append(head.encode())
    return made


async def _drive(port: int, made: list[bytes], seconds: float) -> tuple[float, list[float]]:
    """Send over several kept-alive connections until the time is up; return (seconds, latency of each)."""
    latencies: list[float] = []
    began = time.perf_counter()
    until = began + seconds
    await asyncio.gather(*(_connection(port, made, until, latencies) for _ in range(CONNECTIONS)))
    return time.perf_counter() - began, latencies


async def _connection(port: int, made: list[bytes], until: float, latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while (sent := time.perf_counter()) < until:
        writer.write(made[number % len(made)])
        number += 1
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        if b'"Success":true' not in body and b"insufficient" not in body:
            raise RuntimeError(body.decode())
        latencies.append(time.perf_counter() - sent)
    writer.close()
    await writer.wait_closed()
