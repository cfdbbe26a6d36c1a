"""The sandbox's own endpoints, which the real venue has not: its state, its clock, its faults."""

import json
from typing import TYPE_CHECKING, Any

from market.errors import BadInput, Conflict
from market.sandbox.auth import decoded
from market.sandbox.books import Account
from market.sandbox.clock import ManualClock
from market.sandbox.gate import Reply, Request

if TYPE_CHECKING:
    from market.sandbox.server import Sandbox

JSON = b"application/json"


def answer(sandbox: "Sandbox", request: Request) -> Reply:
    """Answer `/sandbox/...`; bad input is HTTP 400 with one sentence."""
    try:
        if (request.method, request.path) == ("GET", "/sandbox/state"):
            return Reply(200, state(sandbox, decoded(request.query)), JSON)
        if (request.method, request.path) == ("POST", "/sandbox/advance"):
            return _said(200, advance(sandbox, _body(request)))
        if request.path == "/sandbox/faults" and request.method in ("GET", "POST"):
            if request.method == "POST":
                sandbox.faults.change(_body(request), sandbox.clock.now_ms())
            return _said(200, {"faults": sandbox.faults.as_dict()})
    except BadInput as error:
        return _said(
            409 if isinstance(error, Conflict) else 400, {"error": error.message, "field": error.field}
        )
    return _said(404, {"error": "there are GET state, POST advance and GET, POST faults under /sandbox/"})


def _said(status: int, value: dict[str, Any]) -> Reply:
    return Reply(status, json.dumps(value).encode(), JSON)


def _body(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(request.body or b"{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BadInput("the body must be one JSON object")
    return value


def advance(sandbox: "Sandbox", body: dict[str, Any]) -> dict[str, Any]:
    """Move a manual clock by `ms`; orders are matched at every price step on the way."""
    ms = body.get("ms")
    if not isinstance(ms, int) or isinstance(ms, bool) or ms < 0:
        raise BadInput("ms must be a whole number of milliseconds, 0 or more", "ms")
    if not isinstance(sandbox.clock, ManualClock):
        raise Conflict("this clock runs by itself; start the sandbox with --clock manual to advance it")
    sandbox.clock.advance(ms)
    return {"clock_ms": sandbox.tick()}


def state(sandbox: "Sandbox", parameters: dict[str, str]) -> bytes:
    """Return everything the sandbox knows, unrounded; `since=N` leaves out the first N journal lines."""
    since = int(parameters["since"]) if parameters.get("since", "").isdigit() else 0
    now_ms, engine = sandbox.tick(), sandbox.engine
    prices = {
        name: {"bid": str(feed.pair.price(quote.bid)), "ask": str(feed.pair.price(quote.ask)),
               "last": str(feed.pair.price(quote.last))}
        for name, feed in engine.feeds.items() if (quote := feed.quote(now_ms)) is not None
    }  # fmt: skip
    shown = {
        "clock_ms": now_ms,
        "clock": "manual" if sandbox.clock.is_manual else "running",
        "speed": sandbox.clock.speed,
        "per_minute": sandbox.gate.limiter.per_minute,
        "accounts": {key: _account(sandbox, account) for key, account in engine.accounts.items()},
        "unsigned_calls": sandbox.gate.calls.get("", {}),
        "prices": prices,
        "faults": sandbox.faults.as_dict(),
        "quirks": engine.quirks.as_dict(),
    }
    journal = ",".join(sandbox.store.lines[since:])
    return f'{json.dumps(shown)[:-1]}, "journal": [{journal}]}}'.encode()


def _account(sandbox: "Sandbox", account: Account) -> dict[str, Any]:
    orders = [order.as_dict() for order in sandbox.engine.of_account(account)]
    names = ("free", "pending_orders", "short_collateral")
    return {
        "purses": {
            coin: dict(zip(names, values, strict=True)) for coin, values in account.purses_as_dict().items()
        },
        "orders": orders,  # newest first
        "shorts": [position.as_dict() for position in account.positions.values()],
        "calls": sandbox.gate.calls.get(account.key, {}),
    }
