"""The pairs the sandbox lists: the venue's 88 of autumn 2026, plus those a feed brings along."""

import json
import math
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

LISTED = Path(__file__).with_name("exchange_info.json")


@dataclass(frozen=True, slots=True)
class Pair:
    """Trading rules of one pair; precisions are decimal places, `mini_order` is a USD notional."""

    name: str
    price_precision: int
    amount_precision: int
    mini_order: Decimal

    @property
    def coin(self) -> str:
        return self.name.split("/")[0]

    def price(self, ticks: int) -> Decimal:
        return Decimal(ticks).scaleb(-self.price_precision)

    def ticks(self, price: Decimal) -> int:
        return int(price.scaleb(self.price_precision))


def exchange_info() -> dict[str, Any]:
    """Return the shipped answer of `/v3/exchangeInfo`."""
    info: dict[str, Any] = json.loads(LISTED.read_text())
    return info


def pair_of(name: str, row: dict[str, Any]) -> Pair:
    """Return the rules in one `TradePairs` row."""
    return Pair(name, row["PricePrecision"], row["AmountPrecision"], Decimal(str(row["MiniOrder"])))


def added_row(name: str, price: float, decimals: int) -> dict[str, Any]:
    """Return a `TradePairs` row for a pair the venue does not list.

    :param price: a typical price in USD; the quantity step is worth about a cent of it.
    :param decimals: decimal places its prices use.
    """
    coin, unit = name.split("/")
    step_decimals = min(5, max(0, math.ceil(math.log10(price)) + 2))
    return {
        "Coin": coin, "CoinFullName": coin, "Unit": unit, "UnitFullName": "US Dollar", "CanTrade": True,
        "PricePrecision": decimals, "AmountPrecision": step_decimals, "MiniOrder": 1, "AssetType": "crypto",
    }  # fmt: skip


def decimals_of(price: float) -> int:
    """Return the decimal places that show `price` with about six digits, 2 to 8."""
    return min(8, max(2, 5 - math.floor(math.log10(price))))
