"""Limits are stored as floats; money is Decimal."""

from decimal import Decimal
from functools import lru_cache


@lru_cache(maxsize=4096)
def exact(fraction: float) -> Decimal:
    """Return the Decimal a person meant by a float: 0.02 is 0.02."""
    return Decimal(repr(float(fraction)))
