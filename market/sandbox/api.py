"""The venue's endpoints: who may call them, which parameters they document, what they answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Any

from market.sandbox import rows, shorts, texts
from market.sandbox.books import Account, Order
from market.sandbox.engine import Engine
from market.sandbox.texts import Refused
from market.sandbox.wire import without_zeros

Answer = dict[str, Any]
Struck = Mapping[str, Any]  # the faults that strike this request


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed the gate; `shown_ms` is the time the venue claims, `now_ms` its true one."""

    account: Account
    parameters: Mapping[str, str]
    now_ms: int
    shown_ms: int
    struck: Struck


class Level(Enum):
    OPEN = "RCL_NoVerification"
    TIMED = "RCL_TSCheck"
    SIGNED = "RCL_TopLevelCheck"


class Api:
    """Answers calls from the engine's state. Business refusals are raised as `Refused`."""

    def __init__(self, engine: Engine, info: dict[str, Any]) -> None:
        self.engine, self.info = engine, info

    def server_time(self, call: Call) -> Answer:
        return {"ServerTime": call.shown_ms}

    def exchange_info(self, call: Call) -> Answer:
        closed = call.struck.get("can_trade")
        pairs = self.info["TradePairs"]
        if closed is not None:
            pairs = {name: row | {"CanTrade": not covers(closed, name)} for name, row in pairs.items()}
        return self.info | {"IsRunning": "is_running" not in call.struck, "TradePairs": pairs}

    def ticker(self, call: Call) -> Answer:
        wanted = call.parameters.get("pair")
        if wanted and wanted not in self.engine.pairs:
            raise Refused(texts.PAIR)
        stale, missing = call.struck.get("stale_ticker"), call.struck.get("missing_pair")
        at_ms = call.now_ms if stale is None else min(call.now_ms, stale)
        data = {}
        for name, feed in self.engine.feeds.items():
            quote = feed.quote(at_ms) if wanted in (None, "", name) else None
            if quote is not None and (missing is None or not covers(missing, name)):
                data[name] = rows.ticker_row(feed, quote, at_ms, self.engine.quirks)
        return {"Success": True, "ErrMsg": "", "ServerTime": call.shown_ms, "Data": data}

    def balance(self, call: Call) -> Answer:
        quirks, answer = self.engine.quirks, {"Success": True, "ErrMsg": ""}
        shown = {} if "empty_wallet" in call.struck else rows.wallet(call.account, quirks)
        named = {"SpotWallet": quirks.spot_wallet, "Wallet": quirks.wallet}
        return answer | {name: shown for name, is_on in named.items() if is_on} | {"MarginWallet": {}}

    def pending_count(self, call: Call) -> Answer:
        counts: dict[str, int] = {}
        for order in self.engine.resting.values():
            if order.account == call.account.key:
                counts[order.pair] = counts.get(order.pair, 0) + 1
        return {"Success": bool(counts), "ErrMsg": "" if counts else texts.NO_PENDING,
                "TotalPending": sum(counts.values()), "OrderPairs": counts}  # fmt: skip

    def place_order(self, call: Call) -> Answer:
        check_open(call)
        order = self.engine.place(call.account, call.parameters, call.now_ms)
        return {"Success": True, "ErrMsg": "", "OrderDetail": rows.order_row(order, self.engine.quirks)}

    def query_order(self, call: Call) -> Answer:
        matched = [rows.order_row(order, self.engine.quirks, queried=True) for order in self._matched(call)]
        if not matched:
            raise Refused(texts.NO_MATCH)
        return {"Success": True, "ErrMsg": "", "OrderMatched": matched}

    def _matched(self, call: Call) -> list[Order]:
        asked = {name: value for name, value in call.parameters.items() if name in QUERY}
        if "order_id" in asked:
            if len(asked) > 1:
                raise Refused(texts.ID_ALONE)
            order = self.engine.orders.get(whole(asked["order_id"]))
            return [order] if order is not None and order.account == call.account.key else []
        if "offset" in asked and whole(asked["offset"]) == 0 and self.engine.quirks.refuse_offset_0:
            raise Refused(texts.PARAMETER)
        found = self.engine.of_account(call.account)
        if "pair" in asked:
            found = (order for order in found if order.pair == asked["pair"])
        if asked.get("pending_only") == "TRUE":  # other spellings are not recognised
            found = (order for order in found if order.status == "PENDING")
        first = whole(asked.get("offset", "0"))
        return list(islice(found, first, first + whole(asked.get("limit", "100"))))

    def cancel_order(self, call: Call) -> Answer:
        canceled = self.engine.cancel(call.account, call.parameters, call.now_ms)
        return {"Success": True, "ErrMsg": "", "CanceledList": canceled}

    def short_open(self, call: Call) -> Answer:
        check_open(call)
        order = shorts.open_short(self.engine, call.account, call.parameters, call.now_ms)
        is_open = order.status == "FILLED"
        position = call.account.positions.get(order.pair)
        return without_zeros({
            "Success": True, "ID": position.position_id if is_open and position else order.order_id,
            "Pair": order.pair, "OrderType": order.kind, "EntryPrice": order.price,
            "ShortQty": order.quantity, "Collateral": shorts.collateral_of(order), "OpenFee": order.fee,
            "Status": "OPEN" if is_open else "PENDING", "CreateTimestamp": order.created_ms,
        })  # fmt: skip

    def short_close(self, call: Call) -> Answer:
        check_open(call)
        closed = shorts.close_short(self.engine, call.account, call.parameters, call.now_ms)
        left = closed.remaining
        return without_zeros({
            "Success": True, "ClosePrice": closed.price, "RealizedPNL": closed.profit_shown,
            "CloseFee": closed.fee, "ReturnAmount": closed.returned, "ClosedQty": closed.quantity,
            "FullyClosed": left is None, "RemainingQty": left and left.quantity,
            "RemainingCollateral": left and left.collateral,
        })  # fmt: skip

    def short_positions(self, call: Call) -> Answer:
        found = []
        for position in call.account.positions.values():
            pair = self.engine.pairs[position.pair]
            ask = pair.price(self.engine.quote(position.pair, call.now_ms).ask)
            found.append(without_zeros(rows.position_row(position, ask)))
        return {"Success": True, "Positions": found}


def covers(value: Any, pair: str) -> bool:
    """Tell whether a fault's value (a pair, a list of pairs, or anything else for all) means `pair`."""
    if isinstance(value, str) and "/" in value:
        return value == pair
    return pair in value if isinstance(value, list) else True


def check_open(call: Call) -> None:
    """Refuse trading while a fault says so."""
    if "no_permission" in call.struck:
        raise Refused(texts.NO_PERMISSION)
    if "is_running" in call.struck:
        raise Refused(texts.NOT_RUNNING)
    if "can_trade" in call.struck and covers(call.struck["can_trade"], call.parameters.get("pair", "")):
        raise Refused(texts.CAN_NOT_TRADE)


def whole(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise Refused(texts.PARAMETER)
    return int(value)


@dataclass(frozen=True, slots=True)
class Endpoint:
    level: Level
    documented: tuple[str, ...]  # only these enter the signed string
    answer: Callable[[Api, Call], Answer]


QUERY = ("order_id", "pair", "offset", "limit", "pending_only")
ENDPOINTS = {
    ("GET", "/v3/serverTime"): Endpoint(Level.OPEN, (), Api.server_time),
    ("GET", "/v3/exchangeInfo"): Endpoint(Level.OPEN, (), Api.exchange_info),
    ("GET", "/v3/ticker"): Endpoint(Level.TIMED, ("timestamp", "pair"), Api.ticker),
    ("GET", "/v3/balance"): Endpoint(Level.SIGNED, ("timestamp",), Api.balance),
    ("GET", "/v3/pending_count"): Endpoint(Level.SIGNED, ("timestamp",), Api.pending_count),
    ("POST", "/v3/place_order"): Endpoint(
        Level.SIGNED, ("timestamp", "pair", "side", "type", "quantity", "price"), Api.place_order
    ),
    ("POST", "/v3/query_order"): Endpoint(Level.SIGNED, ("timestamp", *QUERY), Api.query_order),
    ("POST", "/v3/cancel_order"): Endpoint(Level.SIGNED, ("timestamp", "order_id", "pair"), Api.cancel_order),
    ("POST", "/v6/short_open"): Endpoint(
        Level.SIGNED, ("timestamp", "pair", "collateral", "order_type", "price"), Api.short_open
    ),
    ("POST", "/v6/short_close"): Endpoint(
        Level.SIGNED, ("timestamp", "pair", "close_qty", "close_pct"), Api.short_close
    ),
    ("GET", "/v6/short_positions"): Endpoint(Level.SIGNED, ("timestamp",), Api.short_positions),
}
