"""The input series of features: a bar's own numbers and quantities derived from it and the bar before.

Formulas are written once and run on arrays (training) and on floats (live). They use operators and the
functions of `ARRAYS` or `SCALARS` only, chosen so that both give the same bits.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from market.candles import Candles
from market.features import indicators

ARRAYS = SimpleNamespace(
    log=indicators.log,
    sin=indicators.sin,
    cos=indicators.cos,
    sqrt=np.sqrt,
    maximum=np.maximum,
    floor=np.floor,
)
SCALARS = SimpleNamespace(
    log=math.log, sin=math.sin, cos=math.cos, sqrt=math.sqrt, maximum=max, floor=math.floor
)
BASIS_POINTS = 10_000.0
INF = float("inf")
BASE = ("open", "high", "low", "close", "volume", "close_ms")


@dataclass(frozen=True, slots=True)
class Series:
    """One derived quantity, `formula(bar, before, maths)`; `parts` are the derived series it reads."""

    formula: Callable[[Any, Any, Any], Any]
    parts: tuple[str, ...] = ()
    looks_back: bool = False  # reads the bar before, so its first row has no value
    needs_volume: bool = False


DERIVED: dict[str, Series] = {
    # Log returns are in basis points: TA-Lib takes variances below 1e-14 for zero.
    "ret": Series(lambda b, p, m: BASIS_POINTS * m.log(b.close / p.close), looks_back=True),
    "gap": Series(lambda b, p, m: BASIS_POINTS * m.log(b.open / p.close), looks_back=True),
    "ret2": Series(lambda b, p, m: b.ret * b.ret, ("ret",), looks_back=True),
    "ret3": Series(lambda b, p, m: b.ret2 * b.ret, ("ret", "ret2"), looks_back=True),
    "down2": Series(lambda b, p, m: b.ret2 * (b.ret < 0), ("ret", "ret2"), looks_back=True),
    "span": Series(lambda b, p, m: BASIS_POINTS * m.log(b.high / b.low)),
    "span2": Series(lambda b, p, m: b.span * b.span, ("span",)),
    "body": Series(lambda b, p, m: BASIS_POINTS * m.log(b.close / b.open)),
    "garman_klass": Series(
        lambda b, p, m: 0.5 * b.span2 - (2 * math.log(2) - 1) * b.body * b.body, ("span", "span2", "body")
    ),
    "rogers_satchell": Series(
        lambda b, p, m: (
            BASIS_POINTS
            * BASIS_POINTS
            * (
                m.log(b.high / b.close) * m.log(b.high / b.open)
                + m.log(b.low / b.close) * m.log(b.low / b.open)
            )
        )
    ),
    "value": Series(lambda b, p, m: b.close * b.volume, needs_volume=True),
    "root_value": Series(lambda b, p, m: m.sqrt(b.value), ("value",), needs_volume=True),
    "flow": Series(  # volume weighted by where the bar closed in its range, -1..1
        lambda b, p, m: b.volume * (2 * b.close - b.high - b.low) / m.maximum(b.high - b.low, 1e-9 * b.close),
        needs_volume=True,
    ),
    "signed_volume": Series(
        lambda b, p, m: b.volume * ((b.close > p.close) * 1.0 - (b.close < p.close) * 1.0),
        looks_back=True,
        needs_volume=True,
    ),
    "force": Series(lambda b, p, m: b.ret * b.value, ("ret", "value"), looks_back=True, needs_volume=True),
}
NAMES = (*BASE, *DERIVED)


class Bar:
    """One bar as floats; `BASE` fields, and the derived ones that were asked for."""

    __slots__ = NAMES
    close_ms: float
    open: float
    high: float
    low: float
    close: float
    volume: float


def with_parts(names: Iterable[str]) -> tuple[str, ...]:
    """Return the derived series behind `names`, each after those it is made of."""
    asked = set(names) & set(DERIVED)
    needed = asked | {part for name in asked for part in DERIVED[name].parts}
    return tuple(name for name in DERIVED if name in needed)


def looks_back(name: str) -> bool:
    return name in DERIVED and DERIVED[name].looks_back


def needs_volume(name: str) -> bool:
    return name == "volume" or (name in DERIVED and DERIVED[name].needs_volume)


def fault(open: float, high: float, low: float, close: float, volume: float, needs_volume: bool) -> str:
    """Say what makes a bar unusable; empty when nothing does."""
    if not (0 < open < INF and 0 < high < INF and 0 < low < INF and 0 < close < INF):
        return "a price that is missing or not positive"
    if needs_volume and not 0 <= volume < INF:
        return "a volume that is missing or negative"
    return ""


def price_scale(first_close: float) -> float:
    """Return the power of four that brings the first close near 100,000.

    TA-Lib compares variances and ranges with 1e-14; a coin worth 0.00001 would look flat to it. A power of
    four moves neither a digit nor a root's digit, so features are the same whatever the unit of price.
    """
    _, exponent = math.frexp(first_close)
    return math.ldexp(1.0, (17 - exponent) // 2 * 2)


def of_candles(candles: Candles, names: Iterable[str], scale: float) -> Any:
    """Return an object with arrays of shape (n,): the base series, each of `names`, and their parts."""
    bars = SimpleNamespace(close_ms=(candles.open_ms + candles.interval_ms).astype(np.float64))
    for name in ("open", "high", "low", "close"):
        setattr(bars, name, getattr(candles, name) * scale)
    bars.volume = np.ascontiguousarray(candles.volume, dtype=np.float64)
    before = SimpleNamespace(close=np.concatenate(([np.nan], bars.close[:-1])))
    for name in with_parts(names):
        setattr(bars, name, DERIVED[name].formula(bars, before, ARRAYS))
    return bars
