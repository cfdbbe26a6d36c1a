"""Roostoo's JSON objects -> our values. Pure. What is missing or malformed raises: unknown is not zero."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from market.kernel.costs import fee_of
from market.kernel.instrument import Instrument
from trading.exchanges.errors import BadAnswer
from trading.exchanges.port import (
    CANCELLED,
    FILLED,
    OPEN,
    ZERO,
    Balance,
    OrderReport,
    Quote,
    ShortPosition,
    ShortReport,
)

TAKER_FEE = Decimal("0.001")
MAKER_FEE = Decimal("0.0005")
FEE_STEP = Decimal("0.000001")
MAX_MAGNITUDE = 24  # powers of ten; no sum of money or time in ms is above
MAX_PLACES = 12  # decimal places our money columns keep
STATUSES = {
    "PENDING": OPEN,
    "PARTIALLY_FILLED": OPEN,
    "FILLED": FILLED,
    "CANCELED": CANCELLED,
    "CANCELLED": CANCELLED,
    "REJECTED": CANCELLED,
    "EXPIRED": CANCELLED,
}


def instruments(answer: dict[str, Any]) -> tuple[dict[str, Instrument], frozenset[str]]:
    """Return (rules by pair, pairs that take orders now) from exchangeInfo."""
    rows = answer.get("TradePairs")
    if not isinstance(rows, dict) or not rows:
        raise BadAnswer("exchangeInfo lists no pairs")
    rules = {pair: _instrument(pair, row) for pair, row in rows.items()}
    running = answer.get("IsRunning") is True
    return rules, frozenset(pair for pair in rules if running and rows[pair].get("CanTrade") is True)


def _instrument(pair: str, row: Any) -> Instrument:
    return Instrument(
        pair=pair,
        base=str(_field(row, "Coin")),
        quote=str(_field(row, "Unit")),
        tick=_grid(row, "PricePrecision"),
        step=_grid(row, "AmountPrecision"),
        min_notional=_decimal(row, "MiniOrder"),
        taker_fee=TAKER_FEE,
        maker_fee=MAKER_FEE,
        fee_step=FEE_STEP,
    )


def _grid(row: Any, name: str) -> Decimal:
    places = _integer(row, name)
    if not 0 <= places <= MAX_PLACES:
        raise BadAnswer(f"the venue lists a pair with {name}={places}")
    return Decimal(1).scaleb(-places)


def quotes(answer: dict[str, Any], pairs: Iterable[str] | None) -> dict[str, Quote]:
    """Return the usable quotes among `pairs` (None: all). Absent, zero or crossed ones are left out."""
    rows = answer.get("Data")
    if not isinstance(rows, dict) or not rows:
        raise BadAnswer("the ticker holds no pairs")
    at_ms = _integer(answer, "ServerTime")
    wanted = rows if pairs is None else [pair for pair in pairs if pair in rows]
    found = {pair: _quote(pair, rows[pair], at_ms) for pair in wanted}
    return {pair: quote for pair, quote in found.items() if quote is not None}


def _quote(pair: str, row: Any, at_ms: int) -> Quote | None:
    try:
        bid, ask, last = (_decimal(row, name) for name in ("MaxBid", "MinAsk", "LastPrice"))
    except BadAnswer:
        return None
    if not 0 < bid <= ask or last <= 0:
        return None
    return Quote(
        pair, bid, ask, last, at_ms,
        change_24h=_optional(row, "Change"), volume_quote_24h=_optional(row, "UnitTradeValue"),
    )  # fmt: skip


def balances(answer: dict[str, Any], *, allow_empty: bool) -> dict[str, Balance]:
    """Return the wallet by coin, from whichever of its two names the venue uses."""
    wallet = answer.get("SpotWallet")
    wallet = answer.get("Wallet") if wallet is None else wallet
    if wallet is None and not allow_empty:
        raise BadAnswer("the balance answer holds no wallet")
    if wallet is not None and not isinstance(wallet, dict):
        raise BadAnswer("the balance answer's wallet is malformed")
    found = {
        coin: Balance(_decimal(row, "Free"), _decimal(row, "Lock"), _or_zero(row, "ShortCollateral"))
        for coin, row in (wallet or {}).items()
    }
    if "USD" not in found and not allow_empty:
        # A coin once held stays listed, USD always: an empty or USD-less wallet is a failed read (design P5).
        raise BadAnswer("the wallet came back " + ("empty" if not found else "without USD"))
    return found


def order_report(row: Any) -> OrderReport:
    """Return one order. Query rows show FilledQuantity = Quantity even where nothing filled: not trusted."""
    status = STATUSES.get(str(_field(row, "Status")).upper())
    if status is None:
        raise BadAnswer(f"the venue reports an order as {row['Status']!r}, which is not understood")
    pair = str(_field(row, "Pair"))
    average = _decimal(row, "FilledAverPrice")
    filled = _filled(row, status, average)
    if filled and not average:
        average = _decimal(row, "Price")
    return OrderReport(
        venue_order_id=str(_integer(row, "OrderID")),
        pair=pair,
        side=str(_field(row, "Side")),
        type=str(_field(row, "Type")),
        status=status,
        quantity=_decimal(row, "Quantity"),
        filled=filled,
        average_price=average if filled else ZERO,
        fee=_fee(row, filled, average, pair),
        fee_coin=pair.partition("/")[2],
        role=str(row.get("Role") or "TAKER"),
        created_ms=_integer(row, "CreateTimestamp"),
        finished_ms=_integer(row, "FinishTimestamp"),
        price=_optional(row, "Price"),
        raw=row,
    )


def _filled(row: dict[str, Any], status: str, average: Decimal) -> Decimal:
    moved = _optional(row, "CoinChange")
    if moved:
        return abs(moved)
    if status == FILLED or average > 0:
        return _decimal(row, "FilledQuantity")
    return ZERO


def _fee(row: dict[str, Any], filled: Decimal, average: Decimal, pair: str) -> Decimal:
    """Return the fee in the quote currency, which pays it always; some rows name the coin beside it."""
    if not filled:
        return ZERO
    if row.get("CommissionCoin") in (None, pair.partition("/")[2]):
        return _decimal(row, "CommissionChargeValue")
    return fee_of(filled * average, _decimal(row, "CommissionPercent"), FEE_STEP, ZERO)


def order_reports(answer: dict[str, Any]) -> list[OrderReport]:
    """Return the matched orders, newest first. One malformed row makes the whole answer unknown."""
    rows = answer.get("OrderMatched")
    if not isinstance(rows, list):
        raise BadAnswer("the order query came back without a list")
    found = [order_report(row) for row in rows]
    return sorted(found, key=lambda report: (report.created_ms, int(report.venue_order_id)), reverse=True)


def short_opened(answer: dict[str, Any]) -> ShortReport:
    """Return an opened or waiting short. `/v6` leaves out zero fields."""
    waits = _field(answer, "Status") == "PENDING"
    return ShortReport(
        venue_id=str(_integer(answer, "ID")),
        pair=str(_field(answer, "Pair")),
        status=OPEN if waits else FILLED,
        quantity=_or_zero(answer, "ShortQty"),
        price=_or_zero(answer, "EntryPrice"),
        fee=_or_zero(answer, "OpenFee"),
        collateral=_or_zero(answer, "Collateral"),
        created_ms=_integer(answer, "CreateTimestamp"),
        raw=answer,
    )


def short_closed(pair: str, answer: dict[str, Any]) -> ShortReport:
    """Return a closing. No id and no time come back."""
    return ShortReport(
        venue_id="",
        pair=pair,
        status=FILLED,
        quantity=_decimal(answer, "ClosedQty"),
        price=_decimal(answer, "ClosePrice"),
        fee=_or_zero(answer, "CloseFee"),
        collateral=_or_zero(answer, "RemainingCollateral"),
        realised=_or_zero(answer, "RealizedPNL"),
        returned=_or_zero(answer, "ReturnAmount"),
        is_closed=answer.get("FullyClosed") is True,
        raw=answer,
    )


def short_positions(answer: dict[str, Any]) -> list[ShortPosition]:
    """Return the open shorts."""
    rows = answer.get("Positions")
    if not isinstance(rows, list):
        raise BadAnswer("the short positions came back without a list")
    return [
        ShortPosition(
            pair=str(_field(row, "Pair")),
            quantity=_decimal(row, "ShortQty"),
            entry_price=_decimal(row, "EntryPrice"),
            collateral=_or_zero(row, "Collateral"),
            unrealised=_or_zero(row, "UnrealizedPNL"),
            opened_ms=_integer(row, "CreateTimestamp"),
        )
        for row in rows
    ]


def plain(value: Decimal) -> str:
    """Return `value` in plain notation without trailing zeros; the venue does not understand 1e-05."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _field(row: Any, name: str) -> Any:
    if not isinstance(row, dict) or row.get(name) is None:
        raise BadAnswer(f"the venue's answer lacks {name}")
    return row[name]


def _decimal(row: Any, name: str) -> Decimal:
    value = _field(row, name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadAnswer(f"the venue's answer has {name}={str(value)[:40]!r}, which is no number")
    number = Decimal(value)
    if not number.is_finite() or number.adjusted() > MAX_MAGNITUDE:
        raise BadAnswer(f"the venue's answer has an impossible {name}")
    return number


def _integer(row: Any, name: str) -> int:
    value = _decimal(row, name)
    if value != int(value):
        raise BadAnswer(f"the venue's answer has {name}={value}, which is no whole number")
    return int(value)


def _optional(row: Any, name: str) -> Decimal | None:
    return None if row.get(name) is None else _decimal(row, name)


def _or_zero(row: Any, name: str) -> Decimal:
    found = _optional(row, name)
    return ZERO if found is None else found
