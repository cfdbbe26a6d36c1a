"""Several pairs at once: their candles on common times, and one account's books over them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from market.candles import COLUMNS, Candles
from market.errors import BadInput
from market.kernel.basket import account_row, basket_worth, wanted_orders
from market.kernel.basket_rules import (
    Bars,
    Fills,
    Leg,
    basket_bar,
    closes_seen,
    has_exits,
    open_leg,
    watched_orders,
)
from market.kernel.plan import Plan
from market.kernel.risk import OK
from market.kernel.step import Fill, Rules
from market.kernel.watch import Watch, WatchRules, open_watch
from market.moments import written_ms

LEAST_SHARED = 0.8  # of the bars that a pair has in the stretch they share

OFF = Plan._make([0] * len(Plan._fields))

Traded = tuple[int, Fill]  # place of the pair, and its fill


@dataclass(slots=True)
class Account:
    """Cash and a quantity of each of k pairs, all Decimal or all float; the kernel's functions move it.

    :param plan: exits beyond those in `rules`; its rules on size are not read
    :param watching: breakers and entry guards; None: none, and no method needs the time
    :param at_ms: the close it begins at
    """

    cash: Any  # quote currency
    rules: Rules
    ticks: list[Any]
    steps: list[Any]
    plan: Plan = OFF
    watching: WatchRules | None = None
    at_ms: int = 0
    held: list[Any] = field(init=False)  # base currency, 0 or more
    entry: list[Any] = field(init=False)  # average entry prices
    peak: Any = field(init=False)  # highest equity at a close
    halt: int = field(init=False, default=OK)  # market.kernel.breakers code of what halts it at its last mark
    cuts: list[int] = field(init=False)  # likewise of the cap that cut each pair's newest order, else OK
    watches: list[Watch] = field(init=False)  # of each pair, then the account's
    _legs: list[Leg] = field(init=False)
    _weights: list[Any] = field(init=False)
    _orders: list[int] = field(init=False)
    _has_exits: bool = field(init=False)

    def __post_init__(self) -> None:
        zero, count = self.cash - self.cash, len(self.steps)
        self.held, self.entry, self._weights = ([zero] * count for _ in range(3))
        self._orders, self.cuts, self.peak = [0] * count, [OK] * count, self.cash
        self._legs, self.watches = [open_leg(zero)] * count, [open_watch(self.cash, self.at_ms)] * (count + 1)
        self._has_exits = has_exits(self.rules, self.plan)

    def ask(self, weights: Sequence[Any], prices: Sequence[Any], band: Any, at_ms: int = 0) -> bool:
        """Note the weights wanted at the next open; return whether anything is to be traded for them.

        :param at_ms: of the decision
        """
        self._weights = list(weights)
        count = wanted_orders(self._weights, self.cash, self.held, prices, band, self._orders)
        if self.watching is not None:
            count = watched_orders(
                self._weights, self._orders, self.cash, self.held, prices, self.watches, self.watching, at_ms
            )
        return count > 0

    def trade(self, opens: Sequence[Any]) -> list[Traded]:
        """Rebalance to what was asked for at prices that nothing moves from; return the fills by pair."""
        return self.live(True, Bars(opens, opens, opens, opens, [self.cash - self.cash] * len(opens)))

    def live(self, is_due: bool, bars: Bars, at_ms: int = 0, close_ms: int = 0) -> list[Traded]:
        """Go through a bar: what was asked for at the open, sells first, then exits; return the fills.

        :param is_due: False keeps what is held at the open
        :param at_ms: open time of the bar, and `close_ms` when it closed
        """
        count = len(self.held)
        fills = Fills(*([0] * (2 * count) for _ in Fills._fields))
        self.cuts = [OK] * count
        self.cash = basket_bar(
            self.cash, self.held, self.entry, self._legs, self.watches, is_due, self._weights, self._orders,
            bars, at_ms, close_ms, self.ticks, self.steps, self.rules, self.plan, self._has_exits,
            self.watching is not None, fills, self.cuts, [0] * count, [0] * count,
        )  # fmt: skip
        return [(at % count, Fill(*fill)) for at, fill in enumerate(zip(*fills, strict=True)) if fill[0] != 0]

    def equity(self, prices: Sequence[Any]) -> Any:
        return basket_worth(self.cash, self.held, prices)

    def mark(self, closes: Sequence[Any], at_ms: int = 0) -> Any:
        """Return the equity at a close, peak and breakers brought up to date.

        :param at_ms: of the close
        """
        worth = self.equity(closes)
        self.peak = max(self.peak, worth)
        if self.watching is not None:
            self.halt = closes_seen(self.watches, self.watching, worth, self.peak, self.held, at_ms)
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
