"""TA-Lib's C functions by their addresses, for compiled code that calls them without Python in between.

The module that talib ships is linked against the library it brings along, whose symbols are found through it.
Where they are not (another build of talib), `opened` says so and the features go through talib's own handles.
"""

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import talib
from talib import _ta_lib, abstract

from market.features.compiled import MOST_INS, MOST_OUTS
from market.features.indicators import Call

TESTED = "0.8."
INTEGER_DEFAULT, REAL_DEFAULT = -(2**31), -4e37  # TA-Lib's marks of a parameter that is not given


class NotFound(Exception):
    """This build of TA-Lib has no such function, or it does not take a history as it should."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Handle:
    """An indicator of TA-Lib that stands at the last row of a history; closed when nothing refers to it."""

    update: int  # address of `int update(void *state, double in..., double *out...)`
    state: int
    values: tuple[float, ...]  # its outputs at that row; one that is a C int comes out as another number


def opened(call: Call, arrays: Sequence[np.ndarray]) -> Handle:
    """Return a handle opened on whole series, float64 (n,), in the order in which TA-Lib takes them.

    :raises NotFound: when it cannot be had.
    """
    if "integer" in _described(call.function).output_flags:
        raise NotFound(f"{call.function} gives C ints")
    open_, close, update = (_symbol(f"TA_{call.function}_{name}") for name in ("Open", "Close", "Update"))
    if not 1 <= len(arrays) <= MOST_INS or not 1 <= call.outputs <= MOST_OUTS:
        raise NotFound(f"{call.function} takes or gives too many numbers")
    first = max(_first_value(array) for array in arrays)  # TA-Lib wants a history without gaps
    series = [np.ascontiguousarray(array[first:], dtype=np.float64) for array in arrays]
    state, values = ctypes.c_void_p(), [ctypes.c_double() for _ in range(call.outputs)]
    code = open_(
        ctypes.byref(state),
        *[array.ctypes.data_as(ctypes.c_void_p) for array in series],
        ctypes.c_int(len(series[0])),
        *_options(call),
        *[ctypes.byref(value) for value in values],
    )
    if code != 0 or not state.value:
        raise NotFound(f"{call.function} answered {code} to a history of {len(series[0])} rows")
    address = ctypes.cast(update, ctypes.c_void_p).value or 0
    handle = Handle(address, state.value, tuple(value.value for value in values))
    closing = weakref.finalize(handle, close, ctypes.c_void_p(state.value))
    closing.atexit = False  # the library may be gone by then, and the memory goes with the process
    return handle


def _first_value(array: np.ndarray) -> int:
    missing = np.isnan(array)
    return int(missing.argmin()) if not missing.all() else len(array)


def _options(call: Call) -> list[Any]:
    """Return the parameters as C takes them, those not given marked as such."""
    given = dict(call.args)
    return [
        ctypes.c_double(given.get(name, REAL_DEFAULT))
        if is_real
        else ctypes.c_int(int(given.get(name, INTEGER_DEFAULT)))
        for name, is_real in _parameters(call.function)
    ]


@lru_cache
def _parameters(function: str) -> tuple[tuple[str, bool], ...]:
    """Return the name of each parameter in C's order, and whether it is a real number."""
    known = _described(function).parameters
    return tuple((name, isinstance(default, float)) for name, default in known.items())


@lru_cache
def _described(function: str) -> Any:
    return abstract.Function(function)  # type: ignore[attr-defined]  # made at import


@lru_cache
def _symbol(name: str) -> Any:
    """Return a function of TA-Lib that answers with a C int. :raises NotFound: when it is not there"""
    try:
        found = getattr(_library(), name)
    except (AttributeError, OSError) as error:
        raise NotFound(str(error)) from error
    found.restype = ctypes.c_int
    return found


@lru_cache
def _library() -> ctypes.CDLL:
    version = talib.__ta_version__.decode()
    if not version.startswith(TESTED):  # another one may take other arguments under the same names
        raise NotFound(f"TA-Lib {version} is not {TESTED}, whose arguments are known")
    return ctypes.CDLL(_ta_lib.__file__)  # the loader looks into what it is linked against as well
