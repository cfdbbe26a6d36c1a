"""Binance's spot REST API, as far as an account is traded through it. Shapes and codes as documented."""

import hashlib
import hmac
from decimal import Decimal
from urllib.parse import parse_qs

from tests.venues.ledger import AHEAD_MS, Refusal

WORDS = {
    "step": (-1013, "Filter failure: LOT_SIZE"),
    "tick": (-1013, "Filter failure: PRICE_FILTER"),
    "small": (-1013, "Filter failure: NOTIONAL"),
    "price": (-1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed."),
    "balance": (-2010, "Account has insufficient balance for requested action."),
    "symbol": (-1121, "Invalid symbol."),
    "duplicate": (-2010, "Duplicate order sent."),
}


def answer(venue, method, path, query, body, headers):
    """Return (status, JSON) of one request."""
    given = {name: values[0] for name, values in parse_qs(query or body, keep_blank_values=True).items()}
    public = PUBLIC.get(path)
    if method == "GET" and public is not None:
        return 200, public(venue, given)
    refusal = unsigned(venue, query or body, given, headers)
    if refusal is not None:
        return refusal
    market = venue.market()
    act = PRIVATE.get((method, path))
    if act is None:
        return 404, "<html>not here</html>"
    try:
        return act(venue, given, market)
    except Refusal as refused:
        code, words = WORDS[refused.word]
        return 400, {"code": code, "msg": words}


def unsigned(venue, signed, given, headers):
    if headers.get("X-MBX-APIKEY") != venue.key:
        return 401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
    text, _, theirs = signed.rpartition("&signature=")
    ours = hmac.new(venue.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(ours, theirs):
        return 400, {"code": -1022, "msg": "Signature for this request is not valid."}
    late_ms = venue.now_ms() - int(given["timestamp"])
    if late_ms > int(given.get("recvWindow", 5000)) or late_ms < -AHEAD_MS:
        return 400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
    return None


def name_of(pair):
    return "".join(pair)


def pair_of(venue, given, market):
    found = next((pair for pair in market if name_of(pair) == given.get("symbol")), None)
    if found is None:
        raise Refusal("symbol")
    return found


def exchange_info(venue, given):
    ledger = venue.ledger
    return {"timezone": "UTC", "serverTime": venue.now_ms(), "symbols": [
        {"symbol": name_of(pair), "status": "BREAK" if pair in venue.off_pairs else "TRADING",
         "baseAsset": pair[0], "quoteAsset": pair[1], "baseAssetPrecision": 8, "quotePrecision": 8,
         "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"], "isSpotTradingAllowed": True,
         "isMarginTradingAllowed": False, "permissions": ["SPOT"],
         "filters": [
             {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00",
              "tickSize": f"{ledger.tick}000000"},
             {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0",
              "stepSize": f"{ledger.step}000"},
             {"filterType": "NOTIONAL", "minNotional": f"{ledger.least}.00000000", "applyMinToMarket": True}]}
        for pair in venue.market()
    ]}  # fmt: skip


def ticker(venue, given):
    return [
        {"symbol": name_of(pair), "priceChange": "-1.0", "priceChangePercent": "-1.320",
         "weightedAvgPrice": str(last), "lastPrice": str(last), "bidPrice": str(bid), "bidQty": "1",
         "askPrice": str(ask), "askQty": "1",
         "openPrice": str(last), "highPrice": str(last), "lowPrice": str(last), "volume": "10.5",
         "quoteVolume": "1000.5", "openTime": venue.now_ms() - 86_400_000, "closeTime": venue.now_ms(),
         "count": 7}
        for pair, (bid, ask, last) in venue.market().items()
        if "symbols" not in given or f'"{name_of(pair)}"' in given["symbols"]
    ]  # fmt: skip


def row(order):
    return {
        "symbol": name_of(order.pair), "orderId": order.order_id, "orderListId": -1,
        "clientOrderId": order.client_id, "price": str(order.price or 0), "origQty": str(order.quantity),
        "executedQty": str(order.executed), "cummulativeQuoteQty": str(order.cost), "status": order.status,
        "timeInForce": "GTC", "type": order.type, "side": order.side, "stopPrice": "0", "icebergQty": "0",
        "time": order.created_ms, "updateTime": order.updated_ms, "isWorking": True, "origQuoteOrderQty": "0",
    }  # fmt: skip


def trade(order, one):
    return {"symbol": name_of(order.pair), "id": one.trade_id, "orderId": one.order_id,
            "price": str(one.price), "qty": str(one.quantity), "quoteQty": str(one.quantity * one.price),
            "commission": str(one.fee),
            "commissionAsset": one.fee_coin, "time": one.at_ms, "isBuyer": order.side == "BUY",
            "isMaker": one.is_maker, "isBestMatch": True}  # fmt: skip


def place(venue, given, market):
    pair = pair_of(venue, given, market)
    if pair in venue.off_pairs:
        return 400, {"code": -1013, "msg": "Market is closed."}
    price = Decimal(given["price"]) if "price" in given else None
    order = venue.ledger.place(
        pair, given["side"], given["type"], Decimal(given["quantity"]), price, given["newClientOrderId"],
        market[pair], venue.now_ms(),
    )  # fmt: skip
    fills = [
        {"price": str(one.price), "qty": str(one.quantity), "commission": str(one.fee),
         "commissionAsset": one.fee_coin, "tradeId": one.trade_id}
        for one in order.trades
    ]  # fmt: skip
    # As documented, an answer to a new order carries transactTime instead of time and updateTime.
    absent = ("time", "updateTime", "isWorking")
    told = {name: value for name, value in row(order).items() if name not in absent}
    return 200, told | {"transactTime": order.created_ms, "workingTime": order.created_ms, "fills": fills}


def wanted(venue, given):
    return venue.ledger.order(given.get("orderId", ""), given.get("origClientOrderId"))


def find(venue, given, market):
    order = wanted(venue, given)
    if order is None:
        return 400, {"code": -2013, "msg": "Order does not exist."}
    return 200, row(order)


def cancel(venue, given, market):
    order = wanted(venue, given)
    if not venue.ledger.cancel(order, venue.now_ms()):
        return 400, {"code": -2011, "msg": "Unknown order sent."}
    return 200, row(order) | {"origClientOrderId": order.client_id}


def orders(venue, given, market, *, is_open=False):
    pair = pair_of(venue, given, market)
    among = venue.ledger.resting() if is_open else venue.ledger.orders
    found = [row(one) for one in among if one.pair == pair]
    return 200, found[-int(given.get("limit", 500)) :]


def open_orders(venue, given, market):
    return orders(venue, given, market, is_open=True)


def my_trades(venue, given, market):
    pair = pair_of(venue, given, market)
    found = [
        trade(order, one)
        for order in venue.ledger.orders
        for one in order.trades
        if order.pair == pair and str(order.order_id) == given.get("orderId", str(order.order_id))
    ]
    return 200, sorted(found, key=lambda one: one["id"])[-int(given.get("limit", 500)) :]


def account(venue, given, market):
    ledger = venue.ledger
    coins = sorted({*ledger.free, *ledger.locked})
    return 200, {"makerCommission": 10, "takerCommission": 10, "canTrade": True, "updateTime": venue.now_ms(),
                 "accountType": "SPOT", "permissions": ["SPOT"], "balances": [
        {"asset": coin, "free": f"{ledger.free.get(coin, 0):f}", "locked": f"{ledger.locked.get(coin, 0):f}"}
        for coin in coins
    ]}  # fmt: skip


def klines(venue, given):
    at = f"{venue.sandbox.url}/api/v3/klines"
    return venue.sandbox.http.get(at, params=given, timeout=60).json()


PUBLIC = {
    "/api/v3/time": lambda venue, given: {"serverTime": venue.now_ms()},
    "/api/v3/exchangeInfo": exchange_info,
    "/api/v3/ticker/24hr": ticker,
    "/api/v3/klines": klines,
}
PRIVATE = {
    ("POST", "/api/v3/order"): place,
    ("GET", "/api/v3/order"): find,
    ("DELETE", "/api/v3/order"): cancel,
    ("GET", "/api/v3/openOrders"): open_orders,
    ("GET", "/api/v3/allOrders"): orders,
    ("GET", "/api/v3/myTrades"): my_trades,
    ("GET", "/api/v3/account"): account,
}
