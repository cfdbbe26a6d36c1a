# mypy: disable-error-code="no-untyped-def"
"""One more bar in one compiled call: recorded steps, with TA-Lib's own functions called in their midst.

All of it is in this file, because numba's cache on disk looks no further to see whether a loop has changed.
"""

import math
from itertools import product
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from market.kernel.packing import compiled_apart, compiled_call

ADD, SUBTRACT, MULTIPLY, DIVIDE, NEGATE, LESS, LESS_EQUAL, LARGER, LOG, SIN, COS, SQRT, FLOOR = range(13)
NOTHING = -1
OPEN, HIGH, LOW, CLOSE, VOLUME, CLOSE_MS, BEFORE = range(7)  # the first cells; the last is the close before
MOST_INS, MOST_OUTS = 4, 3
ADDRESS, STATE, INS, OUTS, OUT, IN = range(6)  # columns of a call; up to `MOST_INS` cells from `IN` on
CALL_WIDTH = IN + MOST_INS
DONE, UNUSABLE, REFUSED = range(3)  # what `play` answers


@intrinsic
def invoke(context: Any, calls: Any, number: Any, cells: Any) -> Any:
    """Call the C function in row `number` of `calls`, `int f(void *state, double in..., double *out...)`.

    A row of int64 says where function and state lie, how many numbers go in and come out, the cell of the
    first that comes out (the others follow it), and the cells of those that go in. Returns the function's
    answer, or -1 where numbers in or out are too many.
    """

    def generate(ctx: Any, builder: Any, signature: Any, args: Any) -> Any:
        small, whole, real = ir.IntType(32), ir.IntType(64), ir.DoubleType()
        opaque = ir.IntType(8).as_pointer()
        rows, values = (ctx.make_array(signature.args[k])(ctx, builder, args[k]) for k in (0, 2))
        stride = cgutils.unpack_tuple(builder, rows.strides)[0]
        row = builder.add(builder.ptrtoint(rows.data, whole), builder.mul(args[1], stride))

        def word(column: int) -> Any:
            place = builder.add(row, ir.Constant(whole, 8 * column))
            return builder.load(builder.inttoptr(place, whole.as_pointer()))

        def cell(place: Any) -> Any:
            return builder.gep(values.data, [place])

        answer = cgutils.alloca_once_value(builder, ir.Constant(small, -1))
        shape = builder.add(builder.mul(word(INS), ir.Constant(whole, MOST_OUTS + 1)), word(OUTS))
        done = builder.append_basic_block("called")
        choice = builder.switch(shape, done)
        for ins, outs in product(range(1, MOST_INS + 1), range(1, MOST_OUTS + 1)):
            block = builder.append_basic_block(f"call_{ins}_{outs}")
            choice.add_case(ir.Constant(whole, ins * (MOST_OUTS + 1) + outs), block)
            builder.position_at_end(block)
            given = [builder.load(cell(word(IN + k))) for k in range(ins)]
            found = [cell(builder.add(word(OUT), ir.Constant(whole, k))) for k in range(outs)]
            kind = ir.FunctionType(small, [opaque, *[real] * ins, *[real.as_pointer()] * outs])
            function = builder.inttoptr(word(ADDRESS), kind.as_pointer())
            state = builder.inttoptr(word(STATE), opaque)
            builder.store(builder.call(function, [state, *given, *found]), answer)
            builder.branch(done)
        builder.position_at_end(done)
        return builder.sext(builder.load(answer), whole)

    return types.int64(calls, types.int64, cells), generate


@compiled_apart
def _follow(steps, first, end, cells):  # noqa: C901  a branch for every operation
    """Take the steps from `first` to before `end`: the formulas' own operations, in their order."""
    for n in range(first, end):
        code, one, other = steps[n, 0], cells[steps[n, 2]], cells[steps[n, 3]]
        found = one
        if code == ADD:
            found = one + other
        elif code == SUBTRACT:
            found = one - other
        elif code == MULTIPLY:
            found = one * other
        elif code == DIVIDE:
            found = one / other
        elif code == LARGER:
            found = other if other > one else one
        elif code == LOG:
            found = math.log(one)
        elif code == NEGATE:
            found = -one
        elif code == LESS:
            found = 1.0 if one < other else 0.0
        elif code == LESS_EQUAL:
            found = 1.0 if one <= other else 0.0
        elif code == SIN:
            found = math.sin(one)
        elif code == COS:
            found = math.cos(one)
        elif code == SQRT:
            found = math.sqrt(one)
        elif code == FLOOR:
            found = np.floor(one)
        cells[steps[n, 1]] = found


@compiled_call
def play(steps, derived, calls, cells, row, needs_volume, scale, close_ms, open, high, low, close, volume):
    """Take one bar in and write its features to `row`; see `tape.Recording` and `invoke`.

    Whatever can be refused is refused before anything has changed.
    """
    if not (0.0 < open < np.inf and 0.0 < high < np.inf and 0.0 < low < np.inf and 0.0 < close < np.inf):
        return UNUSABLE
    if needs_volume and not 0.0 <= volume < np.inf:
        return UNUSABLE
    cells[OPEN], cells[HIGH] = open * scale, high * scale
    cells[LOW], cells[CLOSE] = low * scale, close * scale
    cells[VOLUME], cells[CLOSE_MS] = volume, close_ms
    _follow(steps, 0, derived, cells)
    for n in range(len(calls)):
        for k in range(calls[n, INS]):
            if not math.isfinite(cells[calls[n, IN + k]]):
                return UNUSABLE
    for n in range(len(calls)):
        if invoke(calls, n, cells) != 0:
            return REFUSED
    last = len(steps) - len(row)
    _follow(steps, derived, last, cells)
    for f in range(len(row)):
        row[f] = cells[steps[last + f, 1]]
    cells[BEFORE] = cells[CLOSE]
    return DONE
