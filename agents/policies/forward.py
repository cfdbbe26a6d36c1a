# mypy: disable-error-code="no-untyped-def"
"""The forward pass of dense layers, compiled: what a decision, a backtest and a replay all call.

A product of numpy costs a call for every step of every layer, as much again as the arithmetic. Here sums run
in one fixed order whatever the processor, and each row is computed alone, so that its answer has the same
bits in company as alone. Nothing is rounded loosely: within 1e-7 of exact arithmetic for networks of 64x64.
"""

from collections.abc import Sequence

import numpy as np

from market.kernel.packing import compiled_apart, compiled_call, compiled_loop

F = np.float32
TANH_LIMIT = 10.0  # beyond it, tanh is 1 in float32
Layers = Sequence[tuple[np.ndarray, np.ndarray]]


def packed(layers: Layers) -> tuple[np.ndarray, np.ndarray]:
    """Return a tower as `think` reads it: its numbers in one vector, float32, and the widths, int64 (L + 1,).

    A layer is (weight float32 (inputs, outputs), bias float32 (outputs,)). No layers: no widths.
    """
    parts = [part.ravel() for layer in layers for part in layer]
    widths = [len(layers[0][0]), *(len(bias) for _, bias in layers)] if layers else []
    return np.concatenate([np.empty(0, F), *parts]), np.array(widths, dtype=np.int64)


@compiled_apart
def _dense(source, tower, start, inputs, outputs, out):
    """out (outputs,) = source (inputs,) @ weights (inputs, outputs) + bias: eight inputs at a time.

    The weights begin at `tower[start]`, row by row, the bias behind them. Places are unsigned: of others it
    would be asked for each number whether they count from the end, and views with two axes cost a call each.
    """
    width, at = np.uint64(outputs), np.uint64(start)
    bias = at + np.uint64(inputs) * width
    for j in range(width):
        out[j] = tower[bias + j]
    whole = inputs - inputs % 8
    for i in range(0, whole, 8):
        a, b, c, d = source[i], source[i + 1], source[i + 2], source[i + 3]
        e, f, g, h = source[i + 4], source[i + 5], source[i + 6], source[i + 7]
        second, third, fourth = at + width, at + width + width, at + width + width + width
        half = fourth + width
        sixth, seventh, eighth = half + width, half + width + width, half + width + width + width
        for j in range(width):
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
        for j in range(width):
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


@compiled_call
def think_alone(numbers, actor_widths, critic_widths, is_relu, row, answer):
    """Write what `think` says of one row, float32 (dim,): the actor's outputs, and behind them the value.

    :param numbers: both towers' numbers one behind the other, see `packed`
    :param answer: float32 (outputs + 1,)
    """
    widest, actor = 1, 0
    for width in actor_widths:
        widest = max(widest, width)
    for width in critic_widths:
        widest = max(widest, width)
    for layer in range(len(actor_widths) - 1):
        actor += (actor_widths[layer] + 1) * actor_widths[layer + 1]
    signals = np.empty((2, widest), F)
    outputs = len(answer) - 1
    _tower(numbers[:actor], actor_widths, is_relu, row, signals, answer[:outputs])
    _tower(numbers[actor:], critic_widths, is_relu, row, signals, answer[outputs:])


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
