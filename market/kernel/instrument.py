"""What a venue accepts: price ticks, quantity steps, minimum sizes."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

Number = Decimal | float


@dataclass(frozen=True, slots=True)
class Instrument:
    """One pair's trading rules, all numbers Decimal (live) or all float (simulation); step 0 rounds nothing.

    `tick`, `min_notional` and `fee_step` in quote currency, `step` in base currency, fees as fractions.
    """

    pair: str
    base: str
    quote: str
    tick: Number
    step: Number
    min_notional: Number
    taker_fee: Number
    maker_fee: Number
    fee_step: Number

    @property
    def guard(self) -> Number:
        """Return the rounding guard that fits this instrument's number type, see `floor_to_step`."""
        return Decimal(0) if isinstance(self.step, Decimal) else 1 / 10**9

    def as_float(self) -> "Instrument":
        return self._converted(float)

    def as_decimal(self) -> "Instrument":
        """Return the same rules in Decimal; floats are read by their shortest form."""
        return self._converted(lambda number: Decimal(str(number)))

    def _converted(self, convert: Callable[[Number], Number]) -> "Instrument":
        numbers: dict[str, Any] = {
            field.name: convert(getattr(self, field.name)) for field in fields(self) if field.type is not str
        }
        return replace(self, **numbers)


def step_count(magnitude, step, guard):
    """Return how many whole steps fit into a magnitude >= 0.

    :param guard: 0 for Decimal; 1e-9 for floats. A float that stands for a whole number of steps may lie a
        little below it; the guard, in steps and growing with their number, lifts it over.
    """
    steps = magnitude / step
    return whole(steps * (1 + guard / 1000000) + guard)


def whole(number):
    """Return a number >= 0 without its fraction; compiled, as a float: vectors have an instruction for it."""
    return int(number)


def floor_to_step(value, step, guard):
    """Return `value` with its magnitude floored to a multiple of `step`, sign kept; step 0 does nothing."""
    if step <= 0:
        return value
    floored = step_count(abs(value), step, guard) * step
    return floored if value >= 0 else -floored


def round_price(price, tick, guard, up):
    """Return a price >= 0 moved to the tick above (`up` 1) or below (0); tick 0 does nothing."""
    if tick <= 0:
        return price
    if not up:
        return step_count(price, tick, guard) * tick
    ticks = price / tick
    ticks = ticks * (1 - guard / 1000000) - guard
    below = whole(ticks)
    return (below + 1) * tick if below < ticks else below * tick


def is_tradable(quantity, price, min_notional):
    """Say whether an order is large enough: the venue wants strictly more than its minimum notional."""
    return abs(quantity) * price > min_notional
