"""What a working order does next, and how a quantity is split: pure, in Decimal and epoch milliseconds.

A parent order is a wish that takes several child orders. Nothing here remembers anything: the next step
follows from rows alone, so that a fresh process goes on where a killed one stopped.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from market.kernel.instrument import Instrument, floor_to_step, is_tradable, round_price
from trading.exchanges.port import Quote

WAIT, LOOK, CANCEL, PLACE, END = "wait", "look", "cancel", "place", "end"
LOOK_MS = 20_000  # between two looks at a resting order the touch has not reached
ZERO = Decimal(0)


class Act(NamedTuple):
    """The next step. `price` is a limit's; None places at the market."""

    kind: str
    quantity: Decimal = ZERO
    price: Decimal | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Parent:
    """What is known of a parent order at an instant."""

    style: str
    buys: bool
    left: Decimal  # base units not traded yet
    slices: tuple[Decimal, ...]  # of a split, in the order they are sent
    sent: int  # children that have filled
    planned_ms: int
    until_ms: int  # limit: the rest goes to market; split: the last child is due before
    late_ms: int  # after this it is too late for anything


@dataclass(frozen=True, slots=True)
class Resting:
    """A child that rests on the venue."""

    price: Decimal
    placed_ms: int
    looked_ms: int


def next_act(
    parent: Parent,
    resting: Resting | None,
    quote: Quote | None,
    rules: Instrument,
    now_ms: int,
    requote_ms: int,
) -> Act:
    """Return what to do now.

    :param quote: None while the price is unknown: then a resting order may end, and nothing new is sent.
    :param requote_ms: least time between two prices.
    """
    if resting is not None:
        return _tend(parent, resting, quote, rules, now_ms, requote_ms)
    if quote is None:
        return Act(WAIT)
    if not can_send(parent.left, parent.buys, quote, rules):
        return Act(END, why="done")
    if now_ms > parent.late_ms:
        return Act(END, why="too late: nobody drove the session in its time")
    if parent.style == "split":
        return _next_slice(parent, quote, rules, now_ms)
    if now_ms >= parent.until_ms:
        return Act(PLACE, parent.left, why="the deadline is over")
    return Act(PLACE, parent.left, passive_price(parent.buys, quote, rules))


def _tend(
    parent: Parent, resting: Resting, quote: Quote | None, rules: Instrument, now_ms: int, requote_ms: int
) -> Act:
    if now_ms >= parent.until_ms:
        return Act(CANCEL, why="the deadline is over")
    if quote is not None:
        touch = quote.ask if parent.buys else quote.bid
        if touch <= resting.price if parent.buys else touch >= resting.price:
            return Act(LOOK, why="the other side has reached it")
        best = passive_price(parent.buys, quote, rules)
        has_moved = best > resting.price if parent.buys else best < resting.price
        if has_moved and now_ms - resting.placed_ms >= requote_ms:
            return Act(CANCEL, why="the touch has moved")
    return Act(LOOK) if now_ms - resting.looked_ms >= LOOK_MS else Act(WAIT)


def _next_slice(parent: Parent, quote: Quote, rules: Instrument, now_ms: int) -> Act:
    count = len(parent.slices)
    if now_ms < parent.planned_ms + (parent.until_ms - parent.planned_ms) * parent.sent // count:
        return Act(WAIT)
    if parent.sent >= count - 1:
        return Act(PLACE, parent.left, why=f"child {parent.sent + 1} of {count}")
    quantity = min(parent.slices[parent.sent], parent.left)
    if not can_send(parent.left - quantity, parent.buys, quote, rules):
        quantity = parent.left  # the price has fallen so far that a rest could not be sent
    return Act(PLACE, quantity, why=f"child {parent.sent + 1} of {count}")


def passive_price(buys: bool, quote: Quote, rules: Instrument) -> Decimal:
    """Return the best price that rests: the own side's touch, a tick off the other side in a locked book."""
    tick = Decimal(rules.tick)
    if buys:
        return max(round_price(min(quote.bid, quote.ask - tick), tick, ZERO, False), tick)
    return round_price(max(quote.ask, quote.bid + tick), tick, ZERO, True)


def can_send(quantity: Decimal, buys: bool, quote: Quote, rules: Instrument) -> bool:
    """Say whether the venue takes an order of that size at the lowest price it may carry."""
    lowest = min(quote.bid, passive_price(buys, quote, rules))
    return quantity > 0 and is_tradable(quantity, lowest, rules.min_notional)


def affordable(cash: Decimal, ask: Decimal, headroom: Decimal, rules: Instrument) -> Decimal:
    """Return what a purchase at the ask can take of `cash`, its fee and a moving touch allowed for."""
    paying = ask * (1 + headroom) * (1 + Decimal(rules.taker_fee))
    return floor_to_step(max(cash, ZERO) / paying, Decimal(rules.step), ZERO)


def slices_of(
    total: Decimal, count: int, *, step: Decimal, least: Decimal, taken: frozenset[Decimal]
) -> tuple[Decimal, ...]:
    """Return `count` or fewer nearly equal quantities, all different, that sum to `total` exactly.

    Each is on the step grid, above `least`, and unlike those `taken`, because quantities tell orders apart on
    a venue without client ids. A total too small to be split, or one that cannot be, comes back whole.

    :param least: base units; a child must be larger than this.
    """
    units = int(total / step)
    for n in range(min(count, units), 1, -1):
        found = _distinct_parts(units, n, step, taken)
        if found and min(found) * step > least:
            return tuple(part * step for part in found)
    return (total,)


def _distinct_parts(units: int, n: int, step: Decimal, taken: frozenset[Decimal]) -> list[int] | None:
    """Return n different whole numbers that sum to `units`, near units / n and none of them taken."""
    parts: list[int] = []
    left = units
    for index in range(n - 1):
        centre = left // (n - index)
        part = _nearest_free(centre, parts, step, taken, units)
        if part is None:
            return None
        parts.append(part)
        left -= part
    if left > 0 and left not in parts and left * step not in taken:
        return [*parts, left]
    return _shifted(parts, left, step, taken)


def _nearest_free(
    centre: int, used: list[int], step: Decimal, taken: frozenset[Decimal], most: int
) -> int | None:
    for off in range(most):
        for part in (centre - off, centre + off):
            if 0 < part < most and part not in used and part * step not in taken:
                return part
    return None


def _shifted(parts: list[int], last: int, step: Decimal, taken: frozenset[Decimal]) -> list[int] | None:
    """Move single steps from one part to the last one until the last is free, too."""
    others = parts[1:]
    for off in range(1, parts[0]):
        for first, end in ((parts[0] - off, last + off), (parts[0] + off, last - off)):
            free = [first, end]
            if (
                min(free) > 0
                and first != end
                and not any(part in others or part * step in taken for part in free)
            ):
                return [first, *others, end]
    return None
