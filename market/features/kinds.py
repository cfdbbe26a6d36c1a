"""What a kind of feature is: a documented recipe with bounded parameters. The catalogue holds them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from market.errors import BadInput
from market.features import series
from market.features.indicators import Call

Number = float | int
Finish = Callable[..., Any]  # (bar, maths, *outputs of the calls) -> the value; on arrays and on floats alike
DAYS = 2880  # longest window of what has a finite memory, in bars: two days of minutes
UNSEEN = 1e-8  # share of a recursive value that bars before the memory may still carry


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter's default and bounds, both included."""

    default: Number
    low: Number
    high: Number
    whole: bool = True

    def checked(self, value: Any, where: str) -> Number:
        """Return the value as int or float.

        :raises BadInput: when it is no number, not whole where it must be, or out of bounds.
        """
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise BadInput(f"{where} must be a number, not {value!r}.", "features")
        if self.whole and value != int(value):
            raise BadInput(f"{where} must be a whole number, not {value}.", "features")
        if not self.low <= value <= self.high:
            raise BadInput(f"{where} must lie between {self.low} and {self.high}, not {value}.", "features")
        return int(value) if self.whole else float(value)


@dataclass(frozen=True, slots=True)
class Plan:
    """How one column is computed: TA-Lib calls, then an elementwise formula over their outputs and the bar.

    `reads` names derived series (and "volume") that the formula itself reads. `fade` is how many bars a
    recursion needs, beyond the lookback, until older bars weigh less than `UNSEEN`.
    """

    calls: tuple[Call, ...]
    finish: Finish
    fade: int = 0
    reads: tuple[str, ...] = ()

    @property
    def inputs(self) -> set[str]:
        """Names of every series the column depends on."""
        return {name for call in self.calls for name in call.inputs} | set(self.reads)

    @property
    def lookback(self) -> int:
        """Rows before the column's first value."""
        rows = [call.lookback + any(map(series.looks_back, call.inputs)) for call in self.calls]
        return max([*rows, int(any(map(series.looks_back, self.reads)))])

    @property
    def memory(self) -> int:
        """Bars of history that give the value of an infinite one to 1e-6 of the column's spread."""
        return self.lookback + 1 + self.fade


@dataclass(frozen=True, slots=True)
class Kind:
    """A documented recipe; `plan(**params)` says how to compute one column of it."""

    name: str
    about: str
    params: dict[str, Param]
    plan: Callable[..., Plan]
    ordered: tuple[str, ...] = ()  # parameters that must strictly increase in this order

    def checked(self, given: dict[str, Any], column: str) -> dict[str, Number]:
        """Return all parameters, defaults filled in.

        :raises BadInput: for an unknown parameter or a value that cannot be used.
        """
        unknown = sorted(set(given) - set(self.params))
        if unknown:
            known = ", ".join(self.params) or "none"
            raise BadInput(
                f"Feature {column!r}: {self.name} has no parameter {unknown[0]!r}; it has: {known}.",
                "features",
            )
        values = {
            name: param.checked(given.get(name, param.default), f"Feature {column!r}: {name}")
            for name, param in self.params.items()
        }
        for less, more in zip(self.ordered, self.ordered[1:], strict=False):
            if values[less] >= values[more]:
                raise BadInput(f"Feature {column!r}: {less} must be smaller than {more}.", "features")
        return values


CATALOGUE: dict[str, Kind] = {}


def kind(
    about: str, *, ordered: tuple[str, ...] = (), **params: Param
) -> Callable[[Callable[..., Plan]], Kind]:
    """Register the decorated recipe under its own name."""

    def register(plan: Callable[..., Plan]) -> Kind:
        name = plan.__name__.rstrip("_")
        CATALOGUE[name] = Kind(name, about, params, plan, ordered)
        return CATALOGUE[name]

    return register


def period(default: int, low: int = 2, high: int = 400) -> Param:
    return Param(default, low, high)


def fade(alpha: float, order: int = 1) -> int:
    """Return the bars after which `order` chained exponential averages of weight `alpha` forgot their start.

    What remains after m bars is the chance of fewer than `order` successes in m trials of chance `alpha`.
    """
    bars = low = 0
    high = 1
    while _remaining(alpha, order, high) > UNSEEN:
        low, high = high, high * 2
    while low < high:
        bars = (low + high) // 2
        low, high = (bars + 1, high) if _remaining(alpha, order, bars) > UNSEEN else (low, bars)
    return low


def _remaining(alpha: float, order: int, bars: int) -> float:
    term = total = (1 - alpha) ** bars
    for k in range(1, order):
        term *= (bars - k + 1) / k * alpha / (1 - alpha)
        total += term
    return total


def ema(period: Number, order: int = 1) -> int:
    """Return the fade of an exponential average of `period` bars, weight 2 / (period + 1)."""
    return fade(2 / (period + 1), order)


def wilder(period: Number, order: int = 1) -> int:
    """Return the fade of Wilder's average of `period` bars, weight 1 / period."""
    return fade(1 / period, order)
