# mypy: disable-error-code="no-untyped-def"
"""The forward pass of dense layers, compiled: what a decision, a backtest and a replay all call.

A product of numpy costs a call for every step of every layer, as much again as the arithmetic. Here sums run
in one fixed order whatever the processor, and each row is computed alone, so that its answer has the same
bits in company as alone. Nothing is rounded loosely: within 1e-7 of exact arithmetic for networks of 64x64.

All of it is in this file, because numba's cache on disk looks no further to see whether a loop has changed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from market.kernel.packing import LINE, compiled_apart, compiled_call, compiled_loop

F = np.float32
LANES = 16  # numbers in a vector of the widest registers; narrower ones take several for it
MANY = 4  # vectors of sums that stay in registers while the inputs pass
INPUTS = 8  # that are added to each other before they are added to a sum
WORD, VECTOR = ir.IntType(64), ir.VectorType(ir.FloatType(), LANES)
EVERYWHERE = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
TANH_LIMIT = 10.0  # beyond it, tanh is 1 in float32
Layers = Sequence[tuple[np.ndarray, np.ndarray]]


def packed(layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """Return a tower as `think` reads it: its numbers in one vector, float32, and the widths, int64 (L + 1,).

    A layer is (weight float32 (inputs, outputs), bias float32 (outputs,)). No layers: no widths.
    """
    parts = [part.ravel() for layer in layers for part in layer]
    widths = [len(layers[0][0]), *(len(bias) for _, bias in layers)] if layers else []
    return np.concatenate([np.empty(0, F), *parts]), np.array(widths, dtype=np.int64)


def _vectors(builder: Any, data: Any, place: Any, count: int) -> list[Any]:
    """Return where `count` vectors one behind the other lie from a place of an array's data on."""
    starts = (builder.gep(data, [builder.add(place, WORD(k * LANES))]) for k in range(count))
    return [builder.bitcast(start, VECTOR.as_pointer()) for start in starts]


def _summing(count: int) -> Any:
    """Redraw how to do what `_rest` does for neighbouring outputs at once: its operations in its order.

    :param count: of vectors, whose sums stay in registers while the inputs pass
    """

    @intrinsic
    def sums(
        context: Any, source: Any, tower: Any, start: Any, inputs: Any, width: Any, out: Any, j: Any
    ) -> Any:
        if {tower.layout, out.layout} != {"C"}:
            return None  # numbers that do not lie side by side are refused while compiling

        def generate(ctx: Any, builder: Any, signature: Any, args: Any) -> Any:
            seen, numbers, found = (
                ctx.make_array(signature.args[k])(ctx, builder, args[k]) for k in (0, 1, 5)
            )
            inputs, width, column = args[3], args[4], args[6]
            first, nothing = builder.add(args[2], column), ir.Constant(VECTOR, ir.Undefined)

            def row(i: Any) -> list[Any]:
                place = builder.add(first, builder.mul(i, width))
                return [builder.load(one, align=4) for one in _vectors(builder, numbers.data, place, count)]

            def products(i: Any, many: int) -> list[Any]:
                """Add up the products of so many inputs from `i` on, in pairs, and those in pairs."""
                if many > 1:
                    both = products(i, many // 2), products(builder.add(i, WORD(many // 2)), many // 2)
                    return [builder.fadd(*pair) for pair in zip(*both, strict=True)]
                number = builder.load(cgutils.get_item_pointer(ctx, builder, signature.args[0], seen, [i]))
                alone = builder.insert_element(nothing, number, WORD(0))
                spread = builder.shuffle_vector(alone, nothing, EVERYWHERE)
                return [builder.fmul(spread, weights) for weights in row(i)]

            totals = [cgutils.alloca_once_value(builder, bias) for bias in row(inputs)]
            whole = builder.and_(inputs, WORD(-INPUTS))
            for begin, end, step in ((WORD(0), whole, INPUTS), (whole, inputs, 1)):
                with cgutils.for_range_slice(builder, begin, end, WORD(step), WORD) as (i, _):
                    for total, more in zip(totals, products(i, step), strict=True):
                        builder.store(builder.fadd(builder.load(total), more), total)
            for total, place in zip(totals, _vectors(builder, found.data, column, count), strict=True):
                builder.store(builder.load(total), place, align=4)
            return ctx.get_dummy_value()

        word = types.uint64
        return types.void(source, tower, word, word, word, out, word), generate

    return sums


_sums_of_many, _sums_of_few = _summing(MANY), _summing(1)


@compiled_apart
def _dense(source, tower, start, inputs, outputs, out):
    """out (outputs,) = source (inputs,) @ weights (inputs, outputs) + bias: eight inputs at a time.

    The weights begin at `tower[start]`, row by row, the bias behind them. Places are unsigned: of others it
    would be asked for each number whether they count from the end, and views with two axes cost a call each.
    """
    at, rows, width, j = np.uint64(start), np.uint64(inputs), np.uint64(outputs), np.uint64(0)
    many, few = np.uint64(MANY * LANES), np.uint64(LANES)
    while j + many <= width:
        _sums_of_many(source, tower, at, rows, width, out, j)
        j += many
    while j + few <= width:
        _sums_of_few(source, tower, at, rows, width, out, j)
        j += few
    if j < width:
        _rest(source, tower, at, inputs, width, out, j)


@compiled_apart
def _rest(source, tower, at, inputs, width, out, first):
    """Do what `_dense` says for the outputs from `first` on."""
    bias = at + np.uint64(inputs) * width
    for j in range(first, width):
        out[j] = tower[bias + j]
    whole = inputs - inputs % INPUTS
    for i in range(0, whole, INPUTS):
        a, b, c, d = source[i], source[i + 1], source[i + 2], source[i + 3]
        e, f, g, h = source[i + 4], source[i + 5], source[i + 6], source[i + 7]
        second, third, fourth = at + width, at + width + width, at + width + width + width
        half = fourth + width
        sixth, seventh, eighth = half + width, half + width + width, half + width + width + width
        for j in range(first, width):
            left = (a * tower[at + j] + b * tower[second + j]) + (
                c * tower[third + j] + d * tower[fourth + j]
            )
            right = (e * tower[half + j] + f * tower[sixth + j]) + (
                g * tower[seventh + j] + h * tower[eighth + j]
            )
            out[j] += left + right
        at = eighth + width
    for i in range(whole, inputs):
        a = source[i]
        for j in range(first, width):
            out[j] += a * tower[at + j]
        at = at + width


@compiled_apart
def _tanh(values, count):
    """Replace values by their tanh: a fraction for a quarter of the angle, doubled twice, divided once.

    The fraction is the seventh of Lambert's; all in float64, so that only the last rounding is seen.
    """
    for j in range(count):
        x = np.float64(values[j])
        x = TANH_LIMIT if x > TANH_LIMIT else -TANH_LIMIT if x < -TANH_LIMIT else x  # NaN stays NaN
        x = x * 0.25
        y = x * x
        over = x * (135135.0 + y * (17325.0 + y * (378.0 + y)))
        under = 135135.0 + y * (62370.0 + y * (3150.0 + y * 28.0))
        over, under = 2.0 * over * under, over * over + under * under
        over, under = 2.0 * over * under, over * over + under * under
        values[j] = F(over / under)


@compiled_apart
def _relu(values, count):
    for j in range(count):
        values[j] = F(0) if values[j] < F(0) else values[j]


@compiled_apart
def _tower(tower, widths, is_relu, row, signals, out):
    """Send one row through a tower; `signals` float32 (2, widest) is scratch."""
    source, at, last = row, 0, len(widths) - 2
    for layer in range(last + 1):
        inputs, outputs = widths[layer], widths[layer + 1]
        if layer == last:
            _dense(source, tower, at, inputs, outputs, out)
            return
        found = signals[layer % 2]
        _dense(source, tower, at, inputs, outputs, found)
        at += inputs * outputs + outputs
        if is_relu:
            _relu(found, outputs)
        else:
            _tanh(found, outputs)
        source = found


def packed_pair(actor: Layers, critic: Layers, is_relu: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return two towers as `think_alone` reads them: their numbers, float32, and their plan, int64.

    The plan says where the second tower begins, how many widths the first has, whether the layers between
    are rectified, how wide the widest is, and then all widths. Each tower begins at a cache line.
    """
    (first, widths), (second, others) = packed(actor), packed(critic)
    begin = len(first) + -len(first) % LANES
    room = np.zeros(begin + len(second) + LANES, F)
    shift = -room.ctypes.data % LINE // room.itemsize
    numbers = room[shift : shift + begin + len(second)]
    numbers[: len(first)], numbers[begin:] = first, second
    widest = max(1, *widths, *others)
    return numbers, np.array([begin, len(widths), is_relu, widest, *widths, *others], dtype=np.int64)


@compiled_call
def think_alone(numbers, plan, row, answer):
    """Write what `think` says of one row, float32 (dim,): the actor's outputs, and behind them the value.

    False, and nothing is written, where the row is not as wide as the towers want it.

    :param numbers: see `packed_pair`; `plan` too
    :param answer: float32 (outputs + 1,)
    """
    begin, widths, is_relu = plan[0], plan[4:], plan[2] != 0
    if len(row) != widths[0]:
        return False
    signals = np.empty((2, plan[3]), F)
    outputs = len(answer) - 1
    _tower(numbers[:begin], widths[: plan[1]], is_relu, row, signals, answer[:outputs])
    _tower(numbers[begin:], widths[plan[1] :], is_relu, row, signals, answer[outputs:])
    return True


@compiled_loop
def think(actor, actor_widths, critic, critic_widths, is_relu, rows, acts, values):
    """Write both towers' answers to rows, float32 (n, dim), to acts (n, outputs) and values (n, 1).

    :param actor: see `packed`; a tower without widths is left out
    """
    widest = 1
    for width in actor_widths:
        widest = max(widest, width)
    for width in critic_widths:
        widest = max(widest, width)
    signals = np.empty((2, widest), F)
    for n in range(len(rows)):
        if len(actor_widths) > 1:
            _tower(actor, actor_widths, is_relu, rows[n], signals, acts[n])
        if len(critic_widths) > 1:
            _tower(critic, critic_widths, is_relu, rows[n], signals, values[n])
