"""The ccxt library's dicts -> our values. Pure. What is missing or malformed raises: unknown is not zero.

Venues take the fee out of what is bought. Our books keep fees in the quote currency, so `filled` is what
the purse gained or lost of the base coin, and `fee` what the rest of the money went for: with both, cash and
coins move by exactly what the venue moved.
"""

from collections.abc import Iterable
from decimal import ROUND_DOWN, ROUND_UP, Decimal, InvalidOperation
from typing import Any

from market.kernel.instrument import Instrument
from trading.exchanges.errors import BadAnswer
from trading.exchanges.port import CANCELLED, FILLED, OPEN, ZERO, Balance, OrderReport, Quote

FEE_STEP = Decimal("0.00000001")
UNIT = Decimal(1).scaleb(-12)  # the finest amount our money columns hold
MAX_MAGNITUDE = 24
STATUSES = {
    "open": OPEN,
    "closed": FILLED,
    "canceled": CANCELLED,
    "expired": CANCELLED,
    "rejected": CANCELLED,
}


def instruments(markets: dict[str, Any]) -> tuple[dict[str, Instrument], frozenset[str]]:
    """Return (rules by pair, pairs that take orders now) of the spot markets."""
    spot = {pair: market for pair, market in markets.items() if market.get("spot")}
    if not spot:
        raise BadAnswer("the venue lists no pairs")
    rules = {pair: _instrument(pair, market) for pair, market in spot.items()}
    return rules, frozenset(pair for pair in rules if spot[pair].get("active"))


def _instrument(pair: str, market: dict[str, Any]) -> Instrument:
    least = (market["limits"].get("cost") or {}).get("min")
    return Instrument(
        pair=pair,
        base=str(_field(market, "base")),
        quote=str(_field(market, "quote")),
        tick=_positive(market["precision"], "price"),
        step=_positive(market["precision"], "amount"),
        min_notional=ZERO if least is None else number(least, "the least order"),
        taker_fee=number(_field(market, "taker"), "taker"),
        maker_fee=number(_field(market, "maker"), "maker"),
        fee_step=FEE_STEP,
    )


def quotes(tickers: dict[str, Any], pairs: Iterable[str], at_ms: int) -> dict[str, Quote]:
    """Return the usable quotes among `pairs`. Absent, zero or crossed ones are left out."""
    found = {pair: _quote(pair, tickers[pair], at_ms) for pair in pairs if pair in tickers}
    return {pair: quote for pair, quote in found.items() if quote is not None}


def _quote(pair: str, row: dict[str, Any], at_ms: int) -> Quote | None:
    try:
        bid, ask, last = (number(row.get(name), name) for name in ("bid", "ask", "last"))
    except BadAnswer:
        return None
    if not 0 < bid <= ask or last <= 0:
        return None
    change, volume = _optional(row, "percentage"), _optional(row, "quoteVolume")
    return Quote(pair, bid, ask, last, at_ms, None if change is None else change / 100, volume)


def balances(answer: dict[str, Any], *, allow_empty: bool) -> dict[str, Balance]:
    """Return the wallet by coin."""
    frees, locks = answer.get("free"), answer.get("used")
    if not isinstance(frees, dict) or not isinstance(locks, dict):
        raise BadAnswer("the balance answer holds no wallet")
    found = {
        coin: Balance(number(free, coin), number(locks.get(coin) or "0", coin))
        for coin, free in frees.items()
    }
    if not found and not allow_empty:
        raise BadAnswer("the wallet came back empty")  # a failed read (design P5)
    return found


def order_report(row: dict[str, Any], trades: list[dict[str, Any]] | None = None) -> OrderReport:
    """Return what an order says together with its trades.

    :param trades: all trades of the order; None takes those that came with it.
    :raises BadAnswer: also when they are not all there yet.
    """
    trades = list(row.get("trades") or []) if trades is None else trades
    pair, executed = str(_field(row, "symbol")), number(row.get("filled") or "0", "filled")
    base, _, quote = pair.partition("/")
    cost = number(row.get("cost") or "0", "cost") if executed else ZERO
    traded = sum((number(one.get("amount"), "amount") for one in trades), ZERO)
    if traded != executed:
        raise BadAnswer("not all trades of an order are listed yet")
    fees = _fees(trades)
    side = str(_field(row, "side")).upper()
    filled = executed - fees.get(base, ZERO) if side == "BUY" else executed + fees.get(base, ZERO)
    paid = cost + fees.get(quote, ZERO) if side == "BUY" else cost - fees.get(quote, ZERO)
    average = _average(cost, executed, side)
    quantity = number(_field(row, "amount"), "amount")
    status = STATUSES.get(str(_field(row, "status")))
    if status is None:
        raise BadAnswer(f"the venue reports an order as {row['status']!r}, which is not understood")
    if status == FILLED and executed < quantity:
        status = CANCELLED  # the rest of it
    created_ms = _integer(row, "timestamp")
    ended = row.get("lastUpdateTimestamp") or row.get("lastTradeTimestamp") or created_ms
    return OrderReport(
        venue_order_id=f"{pair}:{_field(row, 'id')}",  # ids may be counted for each pair by itself
        pair=pair,
        side=side,
        type="MARKET" if "market" in str(_field(row, "type")) else "LIMIT",
        status=status,
        quantity=quantity,
        filled=filled if executed else ZERO,
        average_price=average,
        fee=(paid - filled * average if side == "BUY" else filled * average - paid) if executed else ZERO,
        fee_coin=quote,
        role="MAKER" if trades and all(one.get("takerOrMaker") == "maker" for one in trades) else "TAKER",
        created_ms=created_ms,
        finished_ms=0 if status == OPEN else int(ended),
        traded_ms=max((int(one.get("timestamp") or 0) for one in trades if status == OPEN), default=0),
        price=_optional(row, "price"),
        raw=row.get("info") or {},
    )


def _average(cost: Decimal, executed: Decimal, side: str) -> Decimal:
    """Return the average price, rounded so that the fee takes up what rounding leaves and is not negative."""
    if not executed:
        return ZERO
    return (cost / executed).quantize(UNIT, ROUND_DOWN if side == "BUY" else ROUND_UP)


def _fees(trades: list[dict[str, Any]]) -> dict[str, Decimal]:
    """Return the fees of trades by coin. One that is paid in a third coin is no part of the trade's money."""
    total: dict[str, Decimal] = {}
    for trade in trades:
        fee = trade.get("fee")
        if not isinstance(fee, dict) or fee.get("cost") is None or not fee.get("currency"):
            raise BadAnswer("a trade does not say what it cost")
        coin = str(fee["currency"])
        total[coin] = total.get(coin, ZERO) + number(fee["cost"], "fee")
    return total


def number(value: Any, name: str) -> Decimal:
    """Return a finite number that is not absurd. :raises BadAnswer: for anything else."""
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise BadAnswer(f"the venue's answer has {name}={str(value)[:40]!r}, which is no number") from None
    if not found.is_finite() or found.adjusted() > MAX_MAGNITUDE:
        raise BadAnswer(f"the venue's answer has an impossible {name}")
    return found


def _positive(row: dict[str, Any], name: str) -> Decimal:
    found = number(row.get(name), name)
    if found <= 0:
        raise BadAnswer(f"the venue lists a pair with {name} {found}")
    return found


def _field(row: dict[str, Any], name: str) -> Any:
    if row.get(name) is None:
        raise BadAnswer(f"the venue's answer lacks {name}")
    return row[name]


def _integer(row: dict[str, Any], name: str) -> int:
    value = _field(row, name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadAnswer(f"the venue's answer has {name}={str(value)[:40]!r}, which is no whole number")
    return value


def _optional(row: dict[str, Any], name: str) -> Decimal | None:
    return None if row.get(name) is None else number(row[name], name)
