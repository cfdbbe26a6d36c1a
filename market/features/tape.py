"""Formulas recorded once, as steps on numbered cells that a compiled loop repeats bar by bar.

A formula is run on cells instead of numbers and leaves behind what it did, in its own order: the steps give
its bits. What a cell does not know (a branch, another function) raises TypeError, never a guess.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from market.features.compiled import (
    ADD,
    COS,
    DIVIDE,
    FLOOR,
    LARGER,
    LESS,
    LESS_EQUAL,
    LOG,
    MULTIPLY,
    NEGATE,
    NOTHING,
    SIN,
    SQRT,
    SUBTRACT,
)
from market.features.indicators import Call
from market.features.series import BASE, DERIVED, Bar, with_parts
from market.features.specs import FeatureSet


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything a feature set does with one more bar."""

    steps: np.ndarray  # int64 (n + F, 4): what is done, the cell it is left in, the cells it is done with;
    # the last F are no steps and name the cells of the columns in the second place
    derived: int  # so many steps come before the calls: the series they read
    calls: tuple[tuple[Call, tuple[int, ...], int], ...]  # with the cells read, and the first output's
    cells: np.ndarray  # float64, constants filled in


class Cell:
    """A number that will be known when the steps are run."""

    __slots__ = ("place", "tape")
    __hash__ = None  # type: ignore[assignment]  # equality cannot be told before

    def __init__(self, tape: "Tape", place: int) -> None:
        self.tape, self.place = tape, place

    def __add__(self, other: Any) -> "Cell":
        return self.tape.step(ADD, self, other)

    def __radd__(self, other: Any) -> "Cell":
        return self.tape.step(ADD, other, self)

    def __sub__(self, other: Any) -> "Cell":
        return self.tape.step(SUBTRACT, self, other)

    def __rsub__(self, other: Any) -> "Cell":
        return self.tape.step(SUBTRACT, other, self)

    def __mul__(self, other: Any) -> "Cell":
        return self.tape.step(MULTIPLY, self, other)

    def __rmul__(self, other: Any) -> "Cell":
        return self.tape.step(MULTIPLY, other, self)

    def __truediv__(self, other: Any) -> "Cell":
        return self.tape.step(DIVIDE, self, other)

    def __rtruediv__(self, other: Any) -> "Cell":
        return self.tape.step(DIVIDE, other, self)

    def __neg__(self) -> "Cell":
        return self.tape.step(NEGATE, self, self)

    def __lt__(self, other: Any) -> "Cell":
        return self.tape.step(LESS, self, other)

    def __gt__(self, other: Any) -> "Cell":
        return self.tape.step(LESS, other, self)

    def __le__(self, other: Any) -> "Cell":
        return self.tape.step(LESS_EQUAL, self, other)

    def __ge__(self, other: Any) -> "Cell":
        return self.tape.step(LESS_EQUAL, other, self)

    def __eq__(self, other: object) -> bool:
        raise TypeError("a recorded formula cannot ask whether numbers are equal")

    def __bool__(self) -> bool:
        raise TypeError("a recorded formula cannot branch")


class Tape:
    """The steps so far; a step that was made before is not made again."""

    def __init__(self) -> None:
        self.cells: list[float] = []
        self.steps: list[tuple[int, int, int, int]] = []
        self._constants: dict[str, Cell] = {}
        self._made: dict[tuple[int, int, int], Cell] = {}
        self.maths = SimpleNamespace(
            log=lambda x: self.step(LOG, x, x),
            sin=lambda x: self.step(SIN, x, x),
            cos=lambda x: self.step(COS, x, x),
            sqrt=lambda x: self.step(SQRT, x, x),
            floor=lambda x: self.step(FLOOR, x, x),
            maximum=lambda one, other: self.step(LARGER, one, other),
        )

    def cell(self, value: float = 0.0) -> Cell:
        """Return a new cell."""
        self.cells.append(value)
        return Cell(self, len(self.cells) - 1)

    def of(self, value: Any) -> Cell:
        """Return the cell itself, or the one of a constant.

        :raises TypeError: for anything but a number.
        """
        if isinstance(value, Cell):
            return value
        if not isinstance(value, int | float):
            raise TypeError(f"a recorded formula works with numbers, not {value!r}")
        key = float(value).hex()  # 0.0 and -0.0 are equal and two constants
        if key not in self._constants:
            self._constants[key] = self.cell(float(value))
        return self._constants[key]

    def step(self, code: int, one: Any, other: Any) -> Cell:
        """Return the cell of what `code` makes of two numbers."""
        key = code, self.of(one).place, self.of(other).place
        if key not in self._made:
            self._made[key] = found = self.cell()
            self.steps.append((code, found.place, *key[1:]))
        return self._made[key]


def record(feature_set: FeatureSet) -> Recording:
    """Return what the columns' formulas do with one more bar.

    :raises TypeError: when a formula cannot be recorded.
    """
    tape, bar, before = Tape(), Bar(), Bar()
    for name in BASE:  # in the order that `compiled` knows, the close before behind them
        setattr(bar, name, tape.cell())
    before.close = tape.cell()  # type: ignore[assignment]  # a formula takes it for the number it will be
    for name in with_parts(name for spec in feature_set.specs for name in spec.plan.inputs):
        setattr(bar, name, tape.of(DERIVED[name].formula(bar, before, tape.maths)))
    derived, outputs = len(tape.steps), {}
    for call in dict.fromkeys(call for spec in feature_set.specs for call in spec.plan.calls):
        outputs[call] = [tape.cell() for _ in range(call.outputs)]
    columns = [
        spec.plan.finish(bar, tape.maths, *[_as_given(outputs[call]) for call in spec.plan.calls])
        for spec in feature_set.specs
    ]
    named = [(NOTHING, tape.of(column).place, 0, 0) for column in columns]
    calls = tuple(
        (call, tuple(getattr(bar, name).place for name in call.inputs), found[0].place)
        for call, found in outputs.items()
    )
    return Recording(np.array([*tape.steps, *named], np.int64), derived, calls, np.array(tape.cells))


def _as_given(found: list[Cell]) -> Any:
    """Return a call's outputs as TA-Lib gives them: a number, or a tuple of several."""
    return found[0] if len(found) == 1 else tuple(found)
