"""Start real sandboxes for tests: `with start_sandbox() as venue:` gives one on a free port of loopback.

By default it runs in a thread of this process (fast); `process=True` gives a process, which can be killed.
The clock is manual unless `clock="real"`: nothing moves until `venue.advance(ms)`.
"""

import atexit
import json
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from market.sandbox.auth import signature
from market.sandbox.options import Options, build
from market.sandbox.server import Server, listen

KEY, SECRET = "K" * 64, "S" * 64
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z: where the default synthetic market goes live


class RunningSandbox:
    """A served sandbox: `url`, `key`, `secret`, and what a test does to it."""

    def __init__(self, options: Options, process: bool, port: int, temporary: bool = False) -> None:
        self._temporary = temporary
        self.options, self.in_process, self.port = options, process, port
        self.key, self.secret = KEY, SECRET
        self.http = requests.Session()
        self.http.trust_env = False
        self._start()

    # --- life

    def _start(self) -> None:
        self.process: subprocess.Popen | None = None
        self.server: Server | None = None
        if self.in_process:
            self._start_process()
        else:
            self._start_thread()
        self.url = f"http://127.0.0.1:{self.port}"

    def _start_thread(self) -> None:
        listener = listen("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        ready = threading.Event()
        try:
            self.server = Server(build(self.options), listener, ready=ready.set)
        except BaseException:
            listener.close()
            raise
        self._thread = threading.Thread(target=self.server.serve_until_stopped, daemon=True)
        self._thread.start()
        atexit.register(self._thread.join, 5)
        assert ready.wait(20), "the sandbox did not start"

    def _start_process(self) -> None:
        command = [sys.executable, "-m", "market.sandbox", "--port", str(self.port), *arguments(self.options)]
        root = Path(__file__).resolve().parents[1]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root)
        ready, _, _ = select.select([self.process.stdout], [], [], 30)
        line = self.process.stdout.readline().decode() if ready else ""
        if "ready at" not in line:
            self.kill()
            raise AssertionError(f"the sandbox did not start: {line!r}")
        self.port = int(line.rsplit(":", 1)[1])

    def stop(self) -> int | None:
        """Stop cleanly; returns the exit status of a process."""
        if self.server is not None:
            self.server.should_exit = True
            self._thread.join(20)
            self.server = None
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            return self._reap()
        return None

    def kill(self) -> None:
        """kill -9; only a sandbox started with process=True."""
        if self.process is None:
            raise RuntimeError("a sandbox in a thread cannot be killed: start_sandbox(process=True)")
        self.process.kill()
        self._reap()

    def _reap(self) -> int:
        status = self.process.wait(20)
        self.process.stdout.close()
        self.process = None
        return status

    def restart(self) -> None:
        """Start again after `stop` or `kill`, on the same port and state."""
        self.http.close()
        self.options.fresh = False
        self._start()

    def close(self) -> None:
        self.http.close()
        if self.server is not None and self._temporary:  # ends within half a second; nobody waits for it
            self.server.should_exit = True
            self.server = None
        self.stop()
        if self._temporary:
            shutil.rmtree(self.options.state, ignore_errors=True)

    def __enter__(self) -> "RunningSandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the sandbox's own endpoints

    def advance(self, ms: int) -> int:
        """Move the manual clock on; returns the new time in epoch ms."""
        return self._own("POST", "advance", {"ms": ms})["clock_ms"]

    def state(self, since: int = 0) -> dict[str, Any]:
        """Unrounded ledgers (decimal strings), orders, shorts, calls, clock, faults, journal."""
        return self._own("GET", f"state?since={since}")

    def account(self) -> dict[str, Any]:
        """The default account's part of the state."""
        return self.state()["accounts"][self.key]

    def faults(self, **faults: Any) -> dict[str, Any]:
        """Set or clear (None) faults; `faults(clear=True)` clears all. Returns those now set."""
        return self._own("POST", "faults", faults)["faults"]

    def _own(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.http.request(method, f"{self.url}/sandbox/{path}", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    # --- the venue's endpoints, as a client calls them

    def now_ms(self) -> int:
        return self.get("/v3/serverTime")["ServerTime"]

    def send(self, method: str, path: str, *, signed: bool = False, key: str = "", secret: str = "",
             **parameters: Any) -> requests.Response:  # fmt: skip
        """One request in the official demo's style: the raw string signed, the wire percent-encoded."""
        texts = {name: str(value) for name, value in parameters.items()}
        headers = {}
        if signed:
            headers["RST-API-KEY"] = key or self.key
            headers["MSG-SIGNATURE"] = signature(secret or self.secret, texts)
        where = {"params": texts} if method == "GET" else {"data": texts}
        return self.http.request(method, self.url + path, headers=headers, timeout=60, **where)

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """An unsigned GET."""
        return self.send("GET", path, **parameters).json()

    def signed(self, method: str, path: str, **parameters: Any) -> dict[str, Any]:
        """A signed call with the venue's time as timestamp; numbers come back as Decimal or int."""
        parameters.setdefault("timestamp", self.now_ms())
        answer = self.send(method, path, signed=True, **parameters)
        return json.loads(answer.text, parse_float=Decimal)

    def order(self, side: str, quantity: Any, price: Any = None, pair: str = "BTC/USD") -> dict[str, Any]:
        """place_order: a market order, or a limit order where there is a price."""
        extra = {"type": "MARKET"} if price is None else {"type": "LIMIT", "price": price}
        return self.signed("POST", "/v3/place_order", pair=pair, side=side, quantity=quantity, **extra)


def arguments(options: Options) -> list[str]:
    """The command line of `options`."""
    made = ["--state", str(options.state), "--clock", options.clock, "--speed", str(options.speed)]
    made += ["--spread-bps", str(options.spread_bps)]
    made += ["--no-rate-limit"] if options.per_minute is None else ["--rate", str(options.per_minute)]
    made += ["--fresh"] if options.fresh else []
    made += [] if options.start_ms is None else ["--start", str(options.start_ms)]
    lists = {
        "feed": options.feeds,
        "account": options.accounts,
        "fault": options.faults,
        "quirk": options.quirks,
    }
    for name, values in lists.items():
        for value in values:
            made += [f"--{name}", value]
    return made


def start_sandbox(
    *,
    feed: str | list[str] | list[tuple] = "synthetic:7",
    clock: str = "manual",
    speed: float = 1.0,
    start_ms: int | None = None,
    usd: str = "50000",
    accounts: list[str] | None = None,
    per_minute: int | None = None,
    spread_bps: float = 0.0,
    quirks: dict[str, bool] | None = None,
    faults: dict[str, Any] | None = None,
    state_dir: Path | None = None,
    process: bool = False,
    port: int = 0,
) -> RunningSandbox:
    """Start a sandbox with one account (`KEY`, `SECRET`, `usd`) and `accounts` (KEY:SECRET:USD) beside it.

    :param feed: a `--feed` text, several of them, or rows (t_ms, pair, bid, ask, last) of a script.
        The default is a seeded market of BTC/USD, ETH/USD and SIM/USD, live from START_MS on.
    :param start_ms: first live instant; earlier bars are served as klines only.
    """
    folder = Path(state_dir) if state_dir is not None else Path(tempfile.mkdtemp(prefix="sandbox-"))
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(feed, list) and feed and not isinstance(feed[0], str):
        script = folder / "script.jsonl"
        names = ("t_ms", "pair", "bid", "ask", "last")
        script.write_text(
            "".join(json.dumps(dict(zip(names, row, strict=True)), default=str) + "\n" for row in feed)
        )
        feed = f"script:{script}"
    synthetic = not isinstance(feed, list) and feed.startswith("synthetic")
    options = Options(
        state=folder,
        feeds=[feed] if isinstance(feed, str) else feed,
        accounts=[f"{KEY}:{SECRET}:{usd}", *(accounts or [])],
        clock=clock,
        speed=speed,
        start_ms=START_MS if synthetic and start_ms is None else start_ms,
        per_minute=per_minute,
        spread_bps=spread_bps,
        quirks=[f"{name}={'on' if is_on else 'off'}" for name, is_on in (quirks or {}).items()],
    )
    venue = RunningSandbox(options, process, port, temporary=state_dir is None)
    if faults:
        venue.faults(**faults)
    return venue
