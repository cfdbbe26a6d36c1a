"""How the venue writes JSON: bare numbers in Go's shortest form, `84596` and never `84596.0`."""

import math
from decimal import Decimal
from json.encoder import encode_basestring_ascii as quoted
from typing import Any


class Tiny(float):
    """A price: the venue was seen to write tiny ones as `6.51e-06`, unlike its other numbers."""


def number(value: float) -> str:
    """Return `value` as Go's encoder writes a float64: plain between 1e-6 and 1e21, else with an exponent."""
    if not math.isfinite(value):
        raise ValueError(f"{value} has no JSON form")
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    text = repr(value)
    if "e" not in text or isinstance(value, Tiny):
        return text
    if 1e-6 <= abs(value) < 1e21:
        return format(Decimal(text), "f")
    return text.replace("e-0", "e-")  # Go: 1e-7, Python: 1e-07


def encode(value: Any) -> str:
    """Return `value` (dict, list, str, bool, None, int, float, Decimal) as compact JSON text."""
    if isinstance(value, str):
        return quoted(value)
    if value is True or value is False:
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Decimal):
        return number(float(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(key)}:{encode(item)}" for key, item in value.items()) + "}"
    return "[" + ",".join(map(encode, value)) + "]"


def without_zeros(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a `/v6` answer as the venue sends it: zero-valued fields left out, `Success` always there."""
    return {
        key: value
        for key, value in answer.items()
        if key == "Success" or isinstance(value, list) or value not in (0, "", None)
    }
