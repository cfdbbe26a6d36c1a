"""Quotes and trading rules of Binance's public spot API, for paper accounts. Dollars are tether there."""

import json
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from market.kernel.instrument import Instrument
from market.sources.binance import symbol_of
from trading.exchanges.clock import VenueClock
from trading.exchanges.errors import BadAnswer, Unreachable
from trading.exchanges.http import JsonHttp, Refused
from trading.exchanges.port import Quote

RULES_FRESH_S = 3600.0  # some megabytes: rarely read
CLOCK_FRESH_S = 60.0
FEE = Decimal("0.001")  # maker and taker without discounts
FEE_STEP = Decimal("0.00000001")


class BinancePrices:
    """See `paper.Prices`."""

    def __init__(self, http: JsonHttp, *, clock: VenueClock, spend: Callable[[str], None]) -> None:
        self._http = http
        self._clock = clock
        self._spend = spend
        self._clock_read_s = 0.0
        self._rules: tuple[dict[str, Instrument], frozenset[str]] = ({}, frozenset())
        self._rules_read_s: float | None = None

    def server_ms(self) -> int:
        sent_s = self._clock.local_s()
        answer = self._get("/api/v3/time", {})
        if not isinstance(answer, dict) or not isinstance(answer.get("serverTime"), int):
            raise self._http.not_understood()
        self._clock.read(answer["serverTime"], sent_s)
        self._clock_read_s = self._clock.local_s()
        return int(answer["serverTime"])

    def now_ms(self) -> int:
        is_old = self._clock.local_s() - self._clock_read_s > CLOCK_FRESH_S
        return self.server_ms() if is_old or not self._clock.is_synchronised else self._clock.now_ms()

    def instruments(self) -> dict[str, Instrument]:
        return self._current_rules()[0]

    def tradable(self) -> frozenset[str]:
        return self._current_rules()[1]

    def quotes(self, pairs: Iterable[str] | None = None) -> dict[str, Quote]:
        wanted = None if pairs is None else set(pairs) & set(self.instruments())
        if wanted is not None and not wanted:
            return {}
        names = {symbol_of(pair): pair for pair in (self.instruments() if wanted is None else wanted)}
        asked = {} if wanted is None else {"symbols": json.dumps(sorted(names), separators=(",", ":"))}
        rows = self._get("/api/v3/ticker/24hr", asked)
        if not isinstance(rows, list):
            raise self._http.not_understood()
        at_ms = self.now_ms()
        found = [_quote(names[row["symbol"]], row, at_ms) for row in rows if row.get("symbol") in names]
        return {quote.pair: quote for quote in found if quote is not None}

    def _current_rules(self) -> tuple[dict[str, Instrument], frozenset[str]]:
        local_s = self._clock.local_s()
        if self._rules_read_s is None or local_s - self._rules_read_s > RULES_FRESH_S:
            answer = self._get("/api/v3/exchangeInfo", {"permissions": "SPOT"})
            if not isinstance(answer, dict) or not isinstance(answer.get("symbols"), list):
                raise self._http.not_understood()
            self._rules = rules_of(answer["symbols"])
            self._rules_read_s = local_s
        return self._rules

    def _get(self, path: str, parameters: dict[str, str]) -> Any:
        self._spend("read")
        try:
            return self._http.exchange("GET", path, parameters)
        except Refused as refused:
            if refused.status == 400:
                raise BadAnswer(f"Binance refused: {refused.words}") from None
            raise Unreachable(f"Binance does not let this machine in (HTTP {refused.status})") from None


def rules_of(symbols: list[dict[str, Any]]) -> tuple[dict[str, Instrument], frozenset[str]]:
    """Return (rules by pair, pairs that trade now) from exchangeInfo's symbols."""
    rules, trading = {}, set()
    for row in symbols:
        try:
            instrument = _instrument(row)
        except (KeyError, TypeError, InvalidOperation) as error:
            raise BadAnswer("Binance lists a symbol whose rules cannot be read") from error
        rules[instrument.pair] = instrument
        if row.get("status") == "TRADING":
            trading.add(instrument.pair)
    return rules, frozenset(trading)


def _instrument(row: dict[str, Any]) -> Instrument:
    filters = {each["filterType"]: each for each in row["filters"]}
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {"minNotional": "0"}
    quote = "USD" if row["quoteAsset"] == "USDT" else str(row["quoteAsset"])
    return Instrument(
        pair=f"{row['baseAsset']}/{quote}",
        base=str(row["baseAsset"]),
        quote=quote,
        tick=Decimal(filters["PRICE_FILTER"]["tickSize"]),
        step=Decimal(filters["LOT_SIZE"]["stepSize"]),
        min_notional=Decimal(notional["minNotional"]),
        taker_fee=FEE,
        maker_fee=FEE,
        fee_step=FEE_STEP,
    )


def _quote(pair: str, row: dict[str, Any], at_ms: int) -> Quote | None:
    try:
        bid, ask, last = (Decimal(row[name]) for name in ("bidPrice", "askPrice", "lastPrice"))
        change, volume = Decimal(row["priceChangePercent"]) / 100, Decimal(row["quoteVolume"])
    except (KeyError, TypeError, InvalidOperation):
        return None
    return Quote(pair, bid, ask, last, at_ms, change, volume) if 0 < bid <= ask and last > 0 else None
