"""Bybit's v5 API, spot in a unified account, as far as an account is traded through it."""

import hashlib
import hmac
import json
from decimal import Decimal
from urllib.parse import parse_qs

from tests.venues.ledger import AHEAD_MS, Refusal

STATUS = {"NEW": "New", "FILLED": "Filled", "CANCELED": "Cancelled"}
WORDS = {
    "step": (170137, "Order volume decimal too long"),
    "tick": (170134, "Order price decimal too long"),
    "small": (170140, "Order value exceeded lower limit"),
    "price": (10001, "price is required"),
    "balance": (170131, "Insufficient balance."),
    "symbol": (10001, "Not supported symbols"),
    "duplicate": (170141, "Duplicate clientOrderId"),
}


def answer(venue, method, path, query, body, headers):
    """Return (status, JSON) of one request; refusals are HTTP 200, as there."""
    given = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    given |= json.loads(body) if body else {}
    market = venue.market()
    if path in PUBLIC:
        return 200, told(venue, 0, "OK", PUBLIC[path](venue, given, market))
    stamp, window = headers.get("X-BAPI-TIMESTAMP", "0"), headers.get("X-BAPI-RECV-WINDOW", "5000")
    if headers.get("X-BAPI-API-KEY") != venue.key:
        return 200, told(venue, 10003, "API key is invalid.")
    text = stamp + venue.key + window + (body or query)
    ours = hmac.new(venue.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(ours, headers.get("X-BAPI-SIGN", "")):
        return 200, told(venue, 10004, "error sign! origin_string[...]")
    late_ms = venue.now_ms() - int(stamp)
    if late_ms > int(window) or late_ms < -AHEAD_MS:
        return 200, told(venue, 10002, "invalid request, please check your server timestamp.")
    try:
        return 200, told(venue, *PRIVATE[path](venue, given, market))
    except Refusal as refused:
        return 200, told(venue, *WORDS[refused.word])


def told(venue, code, words, result=None):
    return {"retCode": code, "retMsg": words, "result": result or {}, "time": venue.now_ms()}


def name_of(pair):
    return "".join(pair)


def server_time(venue, given, market):
    return {"timeSecond": str(venue.now_ms() // 1000), "timeNano": f"{venue.now_ms()}000000"}


def instruments(venue, given, market):
    ledger = venue.ledger
    return {"category": "spot", "list": [
        {"symbol": name_of(pair), "baseCoin": pair[0], "quoteCoin": pair[1], "innovation": "0",
         "status": "PreLaunch" if pair in venue.off_pairs else "Trading", "marginTrading": "none",
         "lotSizeFilter": {"basePrecision": str(ledger.step), "quotePrecision": "0.00000001",
                           "minOrderQty": "0.00001", "maxOrderQty": "900", "minOrderAmt": str(ledger.least),
                           "maxOrderAmt": "4000000"},
         "priceFilter": {"tickSize": str(ledger.tick)}}
        for pair in market
    ]}  # fmt: skip


def tickers(venue, given, market):
    return {"category": "spot", "list": [
        {"symbol": name_of(pair), "bid1Price": str(bid), "bid1Size": "1", "ask1Price": str(ask),
         "ask1Size": "1", "lastPrice": str(last), "prevPrice24h": str(last), "price24hPcnt": "-0.0132",
         "highPrice24h": str(last), "lowPrice24h": str(last), "turnover24h": "1000.5", "volume24h": "10.5"}
        for pair, (bid, ask, last) in market.items()
        if given.get("symbol", name_of(pair)) == name_of(pair)
    ]}  # fmt: skip


def place(venue, given, market):
    pair = next((one for one in market if name_of(one) == given["symbol"]), None)
    if pair is None:
        raise Refusal("symbol")
    if pair in venue.off_pairs:
        return 170210, "New order rejected."
    assert given["orderType"] == "Limit" or given["marketUnit"] == "baseCoin"
    price = Decimal(given["price"]) if "price" in given else None
    order = venue.ledger.place(
        pair, given["side"].upper(), given["orderType"].upper(), Decimal(given["qty"]), price,
        given["orderLinkId"], market[pair], venue.now_ms(),
    )  # fmt: skip
    return 0, "OK", {"orderId": str(order.order_id), "orderLinkId": order.client_id}


def cancel(venue, given, market):
    order = venue.ledger.order(given.get("orderId", ""))
    if not venue.ledger.cancel(order, venue.now_ms()):
        return 170213, "Order does not exist."
    return 0, "OK", {"orderId": str(order.order_id), "orderLinkId": order.client_id}


def listed(venue, given, market, *, is_open):
    found = [one for one in reversed(venue.ledger.orders) if name_of(one.pair) == given["symbol"]]
    found = [one for one in found if given.get("orderId") in (None, str(one.order_id))]
    found = [one for one in found if given.get("orderLinkId") in (None, one.client_id)]
    asked_one = "orderId" in given or "orderLinkId" in given
    if is_open and not asked_one:
        found = [one for one in found if one.status == "NEW"]
    return 0, "OK", {"category": "spot", "nextPageCursor": "", "list": [
        {"symbol": name_of(one.pair), "orderId": str(one.order_id), "orderLinkId": one.client_id,
         "side": one.side.capitalize(), "orderType": one.type.capitalize(), "qty": str(one.quantity),
         "price": str(one.price or 0), "orderStatus": STATUS[one.status], "cumExecQty": str(one.executed),
         "cumExecValue": str(one.cost), "leavesQty": str(one.quantity - one.executed),
         "avgPrice": str(one.cost / one.executed) if one.executed else "", "timeInForce": "GTC",
         "marketUnit": "baseCoin" if one.type == "MARKET" else "",
         "createdTime": str(one.created_ms), "updatedTime": str(one.updated_ms)}
        for one in found[: int(given.get("limit", 20))]
    ]}  # fmt: skip


def executions(venue, given, market):
    found = [
        {"symbol": name_of(order.pair), "orderId": str(order.order_id), "orderLinkId": order.client_id,
         "execId": str(one.trade_id), "side": order.side.capitalize(), "execPrice": str(one.price),
         "execQty": str(one.quantity), "execValue": str(one.quantity * one.price), "execFee": str(one.fee),
         "feeCurrency": one.fee_coin, "feeRate": "0.001", "isMaker": one.is_maker, "execType": "Trade",
         "orderType": order.type.capitalize(), "execTime": str(one.at_ms)}
        for order in reversed(venue.ledger.orders)
        for one in reversed(order.trades)
        if name_of(order.pair) == given["symbol"] and given.get("orderId") in (None, str(order.order_id))
    ]  # fmt: skip
    return 0, "OK", {"category": "spot", "nextPageCursor": "", "list": found[: int(given.get("limit", 50))]}


def wallet(venue, given, market):
    ledger = venue.ledger
    purse = {coin: (ledger.free.get(coin, Decimal(0)), ledger.locked.get(coin, Decimal(0)))
             for coin in sorted({*ledger.free, *ledger.locked})}  # fmt: skip
    coins = [
        {"coin": coin, "walletBalance": f"{free + locked:f}", "locked": f"{locked:f}",
         "availableToWithdraw": "", "borrowAmount": "0"}
        for coin, (free, locked) in purse.items()
    ]  # fmt: skip
    return 0, "OK", {"list": [{"accountType": given["accountType"], "coin": coins}]}


PUBLIC = {
    "/v5/market/time": server_time,
    "/v5/market/instruments-info": instruments,
    "/v5/market/tickers": tickers,
}
PRIVATE = {
    "/v5/order/create": place,
    "/v5/order/cancel": cancel,
    "/v5/order/realtime": lambda *given: listed(*given, is_open=True),
    "/v5/order/history": lambda *given: listed(*given, is_open=False),
    "/v5/execution/list": executions,
    "/v5/account/wallet-balance": wallet,
}
