"""Every call into TA-Lib, whole arrays and one bar at a time.

TA-Lib (0.8 and later) offers both and promises equal bits: a handle opened on a history continues the
recursion exactly where the array function left it, seeding included. `tests/market/features/test_stream.py`
holds it to that for every feature of the catalogue. Unstable periods are left at zero, so the lookback alone
says where values begin.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import talib
from talib import abstract, stream

Arguments = tuple[tuple[str, float | int], ...]
VERSION: str = talib.__version__


@dataclass(frozen=True, slots=True)
class Call:
    """One TA-Lib function on named series (see `series.py`), in the order in which TA-Lib takes them."""

    function: str
    inputs: tuple[str, ...]
    args: Arguments = ()

    @property
    def lookback(self) -> int:
        """Rows before the first value, counted from the first row in which every input has a value."""
        return _lookback(self)

    @property
    def outputs(self) -> int:
        """How many numbers it gives for a bar."""
        return _outputs(self.function)

    def over(self, arrays: Sequence[np.ndarray]) -> Any:
        """Return the outputs for whole series, each of shape (n,): an array, or a tuple of arrays."""
        return getattr(talib, self.function)(*arrays, **dict(self.args))

    def opened(self, arrays: Sequence[np.ndarray]) -> Any:
        """Return a handle that stands at the last row: `.value`, and `.update(*inputs)` for one more bar."""
        return getattr(stream, self.function)(*arrays, **dict(self.args))


def call(function: str, *inputs: str, **args: float | int) -> Call:
    """Return the call of a TA-Lib function on named series with its keyword arguments."""
    return Call(function, inputs, tuple(sorted(args.items())))


@lru_cache(maxsize=4096)
def _lookback(of: Call) -> int:
    function = abstract.Function(of.function)  # type: ignore[attr-defined]  # made at import
    if of.args:
        function.set_parameters(dict(of.args))
    return int(function.lookback)


@lru_cache
def _outputs(function: str) -> int:
    return len(abstract.Function(function).output_names)  # type: ignore[attr-defined]  # made at import


log: Callable[[np.ndarray], np.ndarray] = talib.LN  # libm, as `math.log`: numpy's own differs in the last bit
sin: Callable[[np.ndarray], np.ndarray] = talib.SIN
cos: Callable[[np.ndarray], np.ndarray] = talib.COS
