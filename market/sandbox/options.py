"""From what a person asks for to a sandbox ready to serve. Shared by `manage.py sandbox` and `python -m`."""

import argparse
import os
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from market.errors import BadInput
from market.sandbox.api import Api
from market.sandbox.clock import Clock, ManualClock, RunningClock
from market.sandbox.engine import Engine
from market.sandbox.faults import NAMES, Faults
from market.sandbox.feed import Feed
from market.sandbox.feeds import SeriesReader, exchange_of, prices_of
from market.sandbox.gate import Gate
from market.sandbox.limiter import Limiter
from market.sandbox.rules import QUIRKS, Quirks, plain_decimal
from market.sandbox.server import Sandbox
from market.sandbox.store import Store

WINDOW_MS = 60_000
MOST_SPEED = 1_000_000.0
MOST_SPREAD_BPS = 5_000.0  # a bid of half the price
LAST_MS = 4_102_444_800_000  # 2100-01-01


@dataclass(slots=True)
class Options:
    """What a sandbox is started with; strings as on the command line."""

    state: Path
    feeds: list[str] = field(default_factory=lambda: ["synthetic"])
    accounts: list[str] = field(default_factory=list)  # KEY:SECRET:USD
    clock: str = "real"
    speed: float = 1.0
    start_ms: int | None = None
    fresh: bool = False
    per_minute: int | None = 30
    spread_bps: float = 0.0
    faults: list[str] = field(default_factory=list)  # NAME=VALUE
    quirks: list[str] = field(default_factory=list)  # NAME=on|off


def add_arguments(parser: argparse.ArgumentParser, state: Path) -> None:
    """Add the sandbox's arguments; `state` is the default folder."""
    add = parser.add_argument
    add("--port", type=int, default=8009, help="0 takes any free port (default: 8009)")
    add("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    add(
        "--feed",
        action="append",
        metavar="SPEC",
        dest="feeds",
        help="replay:FILE.parquet[@PAIR], synthetic[:SEED][@PAIR], script:FILE or series:ID; once per pair",
    )
    add("--speed", type=float, default=1.0, metavar="X", help="the sandbox's clock runs X times as fast")
    add("--clock", choices=("real", "manual"), default="real", help="manual: moved by POST /sandbox/advance")
    add(
        "--start",
        type=int,
        metavar="MS",
        dest="start_ms",
        help="first live instant of a new state folder, epoch ms; earlier bars are history "
        "(default: a day or 20%% in)",
    )
    add(
        "--account",
        action="append",
        default=[],
        metavar="KEY:SECRET:USD",
        dest="accounts",
        help="an account and what it starts with; repeatable",
    )
    add(
        "--accounts-env",
        metavar="VAR",
        help="environment variable with more such accounts, separated by spaces: no process list shows them",
    )
    add("--state", type=Path, default=state, metavar="DIR", help="survives restarts (default: %(default)s)")
    add("--fresh", action="store_true", help="forget what the state folder holds")
    add("--spread-bps", type=float, default=0.0, help="spread of candle feeds; at least one tick")
    add(
        "--fault",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="faults",
        help=f"something that goes wrong from the start; repeatable: {', '.join(NAMES)}",
    )
    add(
        "--quirk",
        action="append",
        default=[],
        metavar="NAME=on|off",
        dest="quirks",
        help=f"a peculiarity of the venue; repeatable: {', '.join(QUIRKS)}",
    )
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument(
        "--rate", type=int, default=30, metavar="N", dest="per_minute", help="calls per minute and account"
    )
    limit.add_argument(
        "--no-rate-limit",
        action="store_const",
        const=None,
        dest="per_minute",
        help="as many calls as it can serve",
    )


def options_of(parsed: dict[str, Any]) -> Options:
    """Return the options among parsed arguments."""
    chosen = {name: parsed[name] for name in Options.__dataclass_fields__}
    accounts = [*parsed["accounts"], *_accounts_of(parsed.get("accounts_env"))]
    return Options(**chosen | {"feeds": parsed["feeds"] or ["synthetic"], "accounts": accounts})


def _accounts_of(variable: str | None) -> list[str]:
    """Return the accounts an environment variable holds.

    :raises BadInput: when it is not set.
    """
    if variable is None:
        return []
    if not os.environ.get(variable):
        raise BadInput(f"the environment variable {variable} is not set: put accounts there", "accounts_env")
    return os.environ[variable].split()


def build(options: Options, series: SeriesReader | None = None) -> Sandbox:
    """Return a sandbox with its stored books restored.

    :param series: reads an archive series by id, where there is an archive.
    :raises BadInput: for anything that cannot be used, before anything is served.
    """
    accounts, quirks, faults = _accounts(options.accounts), _quirks(options.quirks), _pairs_of(options.faults)
    _check_numbers(options)
    store = Store(options.state)
    try:
        return _built(options, store, accounts, quirks, faults, series)
    except BaseException:
        store.close()
        raise


def _check_numbers(options: Options) -> None:
    """:raises BadInput: for a number that no exchange can run on; NaN is none."""
    if not 0 < options.speed <= MOST_SPEED:
        raise BadInput(f"the speed must be above 0 and at most {MOST_SPEED:,.0f}", "speed")
    if not 0 <= options.spread_bps <= MOST_SPREAD_BPS:
        raise BadInput(f"the spread must be from 0 to {MOST_SPREAD_BPS:,.0f} basis points", "spread_bps")
    if options.start_ms is not None and not 0 <= options.start_ms < LAST_MS:
        raise BadInput("the start must be epoch milliseconds, after 1970 and before 2100", "start")
    if options.per_minute is not None and options.per_minute < 1:
        raise BadInput("the rate must be at least 1 call per minute; --no-rate-limit turns it off", "rate")


def _built(
    options: Options, store: Store, accounts: dict[str, tuple[str, Decimal]], quirks: Quirks,
    faults: dict[str, Any], series: SeriesReader | None,
) -> Sandbox:  # fmt: skip
    events = [] if options.fresh else list(store.events())
    origin_ms = events[0]["t_ms"] if events else None  # the first line says where live time began
    wall_ms = int(time.time() * 1000) if options.clock == "real" else None
    prices = prices_of(options.feeds, origin_ms or options.start_ms or wall_ms, series)
    info, pairs, feeds = exchange_of(prices, options.spread_bps)
    if origin_ms is None:
        origin_ms = options.start_ms if options.start_ms is not None else prices.start_ms
        _check_start(origin_ms, feeds)
    saved_ms = 0 if options.fresh else store.saved_clock() or 0
    now_ms = max([origin_ms, saved_ms, *(event["t_ms"] for event in events)])
    if events and events[0]["feeds"] != options.feeds:
        _check_covers(options, feeds, now_ms)
    clock = _clock(options, now_ms)
    active = Faults()
    active.change(faults, clock.now_ms())
    if not events:  # from here on nothing can be refused: only now is anything forgotten or written
        store.clear()
        store.append({"kind": "origin", "t_ms": origin_ms, "feeds": options.feeds})
    engine = Engine(pairs, feeds, quirks, store.append)
    for event in events:
        if event["kind"] != "origin":
            engine.restore(event)
    for key, (_, usd) in accounts.items():
        engine.open_account(key, usd, clock.now_ms())
    secrets = {key: secret for key, (secret, _) in accounts.items()}
    gate = Gate(Api(engine, info), secrets, Limiter(options.per_minute), WINDOW_MS * max(1.0, clock.speed))
    return Sandbox(engine, gate, clock, active, store)


def _check_start(start_ms: int, feeds: dict[str, Feed]) -> None:
    """Refuse a start at which no feed has a price yet."""
    first_ms = min(feed.first_ms for feed in feeds.values())
    if start_ms < first_ms:
        raise BadInput(f"no feed has a price at {start_ms} yet; the first one is at {first_ms}", "start")


def _check_covers(options: Options, feeds: dict[str, Feed], now_ms: int) -> None:
    """Refuse feeds that have no live price at the time the stored exchange has reached."""
    if not any(feed.first_ms <= now_ms <= feed.last_ms for feed in feeds.values()):
        raise BadInput(
            f"the exchange in {options.state} has another feed and a time this one does not cover; "
            "give another --state, or --fresh to forget it",
            "state",
        )


def _clock(options: Options, start_ms: int) -> Clock:
    if options.clock == "manual":
        return ManualClock(start_ms)
    return RunningClock(start_ms, options.speed, time.monotonic)


def _accounts(given: list[str]) -> dict[str, tuple[str, Decimal]]:
    """Return key -> (secret, USD); messages never repeat what was given, it may hold a secret."""
    accounts = {}
    for text in given:
        parts = text.split(":")
        usd = plain_decimal(parts[2]) if len(parts) == 3 else None
        if usd is None or not all(parts):
            raise BadInput("an account is KEY:SECRET:USD, for example demo-key:demo-secret:50000", "account")
        if parts[0] in accounts:
            raise BadInput("two accounts have the same key", "account")
        accounts[parts[0]] = (parts[1], usd)
    return accounts


def _pairs_of(given: list[str]) -> dict[str, Any]:
    faults: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"a fault is NAME=VALUE, not {text!r}", "fault")
        faults[name] = _value(value)
    return faults


def _value(text: str) -> Any:
    words: dict[str, Any] = {"true": True, "on": True, "false": False, "off": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _quirks(given: list[str]) -> Quirks:
    quirks = Quirks()
    for text in given:
        name, _, value = text.partition("=")
        if name not in QUIRKS or value not in ("on", "off"):
            raise BadInput(
                f"a quirk is NAME=on or NAME=off, not {text!r}; there are {', '.join(QUIRKS)}", "quirk"
            )
        setattr(quirks, name, value == "on")
    return quirks
