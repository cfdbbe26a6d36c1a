"""How the venue shows what the engine knows: order rows, wallets, tickers, positions."""

from decimal import Decimal
from typing import Any

from market.sandbox.books import Account, Order, Position, Purse, floor_to
from market.sandbox.feed import Feed, Quote, day_statistics
from market.sandbox.rules import Quirks
from market.sandbox.wire import Tiny

SERVER_SECONDS = 0.004  # seconds spent server-side; live 0.003 to 0.008


def order_row(order: Order, quirks: Quirks, queried: bool = False) -> dict[str, Any]:
    """Return the 21 keys of an OrderDetail; `queried` rows not filled show FilledQuantity = Quantity."""
    shows_all = queried and quirks.filled_quantity and order.status != "FILLED"
    return {
        "Pair": order.pair, "OrderID": order.order_id, "Status": order.status, "Role": order.role,
        "ServerTimeUsage": SERVER_SECONDS, "CreateTimestamp": order.created_ms,
        "FinishTimestamp": order.finished_ms, "Side": order.side, "Type": order.kind, "StopType": "GTC",
        "Price": order.price, "Quantity": order.quantity,
        "FilledQuantity": order.quantity if shows_all else order.filled, "FilledAverPrice": order.average,
        "CoinChange": order.filled, "UnitChange": float(order.average) * float(order.filled),
        "CommissionCoin": order.fee_coin,
        "CommissionChargeValue": order.fee if order.status == "FILLED" else 0,
        "CommissionPercent": order.fee_rate, "OrderWalletType": "SPOT", "OrderSource": "PUBLIC_API",
    }  # fmt: skip


def wallet(account: Account, quirks: Quirks) -> dict[str, Any]:
    """Return the spot wallet; USD floored to cents for display only."""
    return {
        coin: _purse(purse, 2 if coin == "USD" else None, quirks) for coin, purse in account.purses.items()
    }


def _purse(purse: Purse, decimals: int | None, quirks: Quirks) -> dict[str, Decimal]:
    def shown(value: Decimal) -> Decimal:
        return value if decimals is None else floor_to(value, decimals)

    row = {"Free": shown(purse.free), "Lock": shown(purse.pending + purse.collateral)}
    if quirks.split_lock:
        row |= {"PendingOrders": shown(purse.pending), "ShortCollateral": shown(purse.collateral)}
    return row


def ticker_row(feed: Feed, quote: Quote, now_ms: int, quirks: Quirks) -> dict[str, Any]:
    """Return one pair of the ticker; volumes are rolling 24-hour sums in coin and in USD."""
    written = Tiny if quirks.tiny_exponent else float
    change, coins, usd = day_statistics(feed, now_ms)
    bid, ask, last = (written(feed.pair.price(ticks)) for ticks in (quote.bid, quote.ask, quote.last))
    return {"MaxBid": bid, "MinAsk": ask, "LastPrice": last, "Change": change, "CoinTradeValue": coins,
            "UnitTradeValue": usd}  # fmt: skip


def position_row(position: Position, ask: Decimal) -> dict[str, Any]:
    """Return one open short marked at MinAsk; profit and its share of collateral floored to 6 decimals."""
    profit = max(-position.collateral, floor_to(position.quantity * (position.entry - ask), 6))
    return {
        "ID": position.position_id, "Pair": position.pair, "EntryPrice": position.entry,
        "ShortQty": position.quantity, "Collateral": position.collateral, "CurrentPrice": ask,
        "UnrealizedPNL": profit, "UnrealizedPNLPct": floor_to(profit / position.collateral, 6),
        "PositionValue": position.collateral + profit, "CreateTimestamp": position.created_ms,
        "PositionStatus": "OPEN",
    }  # fmt: skip
