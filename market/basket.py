"""Several pairs at once: their candles on common times, and one account's books over them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from market.candles import COLUMNS, Candles
from market.errors import BadInput
from market.kernel.basket import account_row, basket_worth, rebalanced, wanted_orders
from market.kernel.step import Rules
from market.moments import written_ms

LEAST_SHARED = 0.8  # of the bars that a pair has in the stretch they share

Fill = tuple[int, Any, Any, Any]  # place of the pair, signed quantity, price, fee


@dataclass(slots=True)
class Account:
    """Cash and a quantity of each of k pairs, all Decimal or all float; the kernel's functions move it."""

    cash: Any  # quote currency
    rules: Rules
    ticks: list[Any]
    steps: list[Any]
    held: list[Any] = field(init=False)  # base currency, 0 or more
    entry: list[Any] = field(init=False)  # average entry prices
    peak: Any = field(init=False)  # highest equity at a close
    _weights: list[Any] = field(init=False)
    _orders: list[int] = field(init=False)

    def __post_init__(self) -> None:
        zero = self.cash - self.cash
        self.held, self.entry, self._weights = ([zero] * len(self.steps) for _ in range(3))
        self._orders, self.peak = [0] * len(self.steps), self.cash

    def ask(self, weights: Sequence[Any], prices: Sequence[Any], band: Any) -> bool:
        """Note the weights wanted at the next open; return whether anything is to be traded for them."""
        self._weights = list(weights)
        return wanted_orders(self._weights, self.cash, self.held, prices, band, self._orders) > 0

    def trade(self, opens: Sequence[Any]) -> list[Fill]:
        """Rebalance to what was asked for at the opens, sells first; return the fills by pair."""
        count = len(self.held)
        quantities, prices, fees = ([self.cash - self.cash] * count for _ in range(3))
        self.cash = rebalanced(
            self.cash, self.held, self.entry, self._weights, self._orders, opens, self.ticks, self.steps,
            self.rules, quantities, prices, fees,
        )  # fmt: skip
        return [(i, quantities[i], prices[i], fees[i]) for i in range(count) if quantities[i] != 0]

    def equity(self, prices: Sequence[Any]) -> Any:
        return basket_worth(self.cash, self.held, prices)

    def mark(self, closes: Sequence[Any]) -> Any:
        """Return the equity at a close, the peak brought up to date."""
        worth = self.equity(closes)
        self.peak = max(self.peak, worth)
        return worth

    def row(self, closes: Sequence[Any]) -> list[Any]:
        """Return `market.kernel.basket.account_row` at a close."""
        found = [self.cash - self.cash] * (2 * len(self.held) + 2)
        account_row(self.cash, self.held, self.entry, self.peak, closes, found, 0)
        return found

    def weights(self, prices: Sequence[Any]) -> list[Any]:
        """Return each pair's share of equity."""
        return self.row(prices)[: 2 * len(self.held) : 2]


def require_aligned(candles: Sequence[Candles]) -> None:
    """:raises BadInput: unless all have the same interval and the same times"""
    first = candles[0]
    for one in candles[1:]:
        is_same = one.interval_ms == first.interval_ms and np.array_equal(one.open_ms, first.open_ms)
        if not is_same:
            raise BadInput("the candles of all pairs must have the same interval and times", "pairs")


def aligned(candles: Sequence[Candles], names: Sequence[str]) -> list[np.ndarray]:
    """Return, for each pair's candles, the rows of the bars that all of them have: int64 (n,) each.

    A bar that one pair lacks is left out for all: positions are marked and traded at common times only.

    :param names: of the pairs, for messages
    :raises BadInput: when there are too few common bars, naming the pair that lacks most
    """
    shared = reduce(np.intersect1d, [one.open_ms for one in candles])
    begin = max((int(one.open_ms[0]) for one in candles if len(one)), default=0)
    end = min((int(one.open_ms[-1]) for one in candles if len(one)), default=-1)
    if not all(len(one) for one in candles) or begin > end:
        raise BadInput(
            f"the candles of {', '.join(names)} share no time: import the same stretch of each", "pairs"
        )
    inside = [len(one.between(begin, end + 1)) for one in candles]
    if len(shared) < LEAST_SHARED * max(inside):
        least = int(np.argmin(inside))
        raise BadInput(
            f"only {len(shared):,} bars from {written_ms(begin)} to {written_ms(end)} are there for all of "
            f"{', '.join(names)}, less than {LEAST_SHARED:.0%} of {max(inside):,}; {names[least]} has "
            f"{inside[least]:,}: import its missing candles, or leave the pair out",
            "pairs",
        )
    return [np.searchsorted(one.open_ms, shared) for one in candles]


def taken(candles: Candles, rows: np.ndarray) -> Candles:
    """Return the bars of chosen rows."""
    return Candles(candles.interval_ms, *(getattr(candles, name)[rows] for name in COLUMNS))
