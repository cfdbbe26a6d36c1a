"""Limits are stored as floats; money is Decimal."""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from math import isclose
from typing import Any

ROUNDING = 1e-6  # within which two versions of the code may give a network's answer


@lru_cache(maxsize=4096)
def exact(fraction: float) -> Decimal:
    """Return the Decimal a person meant by a float: 0.02 is 0.02."""
    return Decimal(repr(float(fraction)))


def percent(fraction: float | Decimal) -> str:
    """Return a fraction as percent in four significant digits, so that none but 0 reads as 0."""
    return f"{Decimal(f'{float(fraction) * 100:.4g}'):f} %"


def is_same_answer(live: Any, again: Any) -> bool:
    """Say whether two answers of a model are one: all alike, but for what an upgrade may round otherwise."""
    if isinstance(live, Mapping) and isinstance(again, Mapping):
        return live.keys() == again.keys() and all(is_same_answer(live[key], again[key]) for key in live)
    if isinstance(live, list | tuple) and isinstance(again, list | tuple):
        return len(live) == len(again) and all(map(is_same_answer, live, again))
    if isinstance(live, float) and isinstance(again, float):
        return live == again or isclose(live, again, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return bool(live == again)
