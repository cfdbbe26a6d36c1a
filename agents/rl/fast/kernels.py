# mypy: disable-error-code="no-untyped-def"
"""The compiled loops of fast PPO. The only file besides `market.kernel.packing` that imports numba.

Weights live in one flat vector (see `agents.rl.fast.packed`): a layer's matrix is (inputs, outputs) with rows
filled up to a multiple of 8 and columns to one of 16, so that no loop has a remainder; what is filled up is
zero and stays zero. Matrix products run on tiles whose sums stay in vector registers, written with LLVM's
vectors because a loop over arrays reaches a third of their speed. All entry points release the GIL.
"""

import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from agents.rl.fast import arithmetic
from agents.rl.fast.arithmetic import (
    TANH,
    F,
    adam,
    advantages,
    categorical_slopes,
    clear,
    moments,
    norm,
    normal_entropy,
    normal_log_prob,
    normal_slopes,
    pick,
    relu,
    softmax,
    spread,
    surrogate,
    tanh,
    through_activation,
    value_slope,
)

LANES = 16
IS_WIDE = binding.get_host_cpu_features().get("avx512f", False)
TILE_ROWS, TILE_VECTORS = (8, 2) if IS_WIDE else (4, 1)  # what fits into the registers with its operands
CHUNK = 64  # samples that go through the network together; a multiple of 8
STATS = 5  # policy loss, value loss, entropy loss, approximate KL, clip fraction
FAST = {"contract", "reassoc", "nsz", "arcp"}  # sums in any order, but NaN and infinity stay what they are
DIGEST = zlib.crc32(Path(arithmetic.__file__).read_bytes())  # numba's cache notices changes of this file only

for function in (
    tanh, relu, spread, clear, through_activation, softmax, pick, normal_log_prob, normal_entropy, surrogate,
    categorical_slopes, normal_slopes, value_slope, moments, norm, adam,
):  # fmt: skip
    register_jitable(fastmath=FAST, error_model="numpy")(function)
register_jitable(error_model="numpy")(advantages)  # bit for bit what the library's buffer computes


class Shape(NamedTuple):
    """Where things lie in the flat vector. A layer: weights at, bias at, inputs, rows, outputs, columns."""

    actor: np.ndarray  # int64 (layers, 6)
    critic: np.ndarray  # int64 (layers, 6)
    log_std: int  # place of the log deviations; -1 for discrete actions
    actions: int  # logits, or numbers in an action
    activation: int  # TANH or RELU


class Update(NamedTuple):
    """One update's settings."""

    clip: float
    clip_vf: float  # below 0: off
    ent_coef: float
    vf_coef: float
    max_grad_norm: float
    most_kl: float  # an epoch ends before a step from a minibatch above it
    is_normalised: bool
    lr: float
    beta1: float
    beta2: float
    eps: float
    decay: float  # of weights
    is_decoupled: bool  # from the slopes: AdamW


def _tile(is_transposed: bool, vectors: int) -> Callable[..., None]:
    """Return tile(a, b, c, row, column, depth): add a block of the product a b, or a' b, to c."""

    @intrinsic
    def tile(context: Any, a: Any, b: Any, c: Any, row: Any, column: Any, depth: Any) -> Any:
        whole = types.int64
        return types.void(a, b, c, whole, whole, whole), _tile_code(is_transposed, vectors)

    return tile


def _tile_code(is_transposed: bool, vectors: int) -> Callable[..., Any]:
    single, byte, whole, index = ir.FloatType(), ir.IntType(8), ir.IntType(64), ir.IntType(32)
    lanes = ir.VectorType(single, LANES)
    zeros = ir.Constant(ir.VectorType(index, LANES), [0] * LANES)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = [context.make_array(signature.args[n])(context, builder, args[n]) for n in range(3)]
        row, column, depth = args[3:]

        def place(n: int, i: Any, j: Any, kind: Any) -> Any:
            stride = cgutils.unpack_tuple(builder, arrays[n].strides)[0]
            offset = builder.add(builder.mul(i, stride), builder.mul(j, ir.Constant(whole, 4)))
            start = builder.bitcast(arrays[n].data, byte.as_pointer())
            return builder.bitcast(builder.gep(start, [offset], source_etype=byte), kind.as_pointer())

        def plus(value: Any, number: int) -> Any:
            return builder.add(value, ir.Constant(whole, number))

        def vector(pointer: Any) -> Any:
            return builder.load(pointer, align=4, typ=lanes)

        kind = ir.FunctionType(lanes, [lanes] * 3)
        multiply_add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
        columns = [plus(column, v * LANES) for v in range(vectors)]
        targets = [[place(2, plus(row, i), at, lanes) for at in columns] for i in range(TILE_ROWS)]
        sums = [[cgutils.alloca_once_value(builder, vector(p)) for p in line] for line in targets]
        with cgutils.for_range(builder, depth) as loop:
            rights = [vector(place(1, loop.index, at, lanes)) for at in columns]
            for i in range(TILE_ROWS):
                one = (loop.index, plus(row, i)) if is_transposed else (plus(row, i), loop.index)
                left = builder.load(place(0, *one, single), typ=single)
                empty = ir.Constant(lanes, ir.Undefined)
                left = builder.insert_element(empty, left, ir.Constant(index, 0))
                left = builder.shuffle_vector(left, empty, zeros)
                for right, total in zip(rights, sums[i], strict=True):
                    result = builder.call(multiply_add, [left, right, builder.load(total, typ=lanes)])
                    builder.store(result, total)
        for line, totals in zip(targets, sums, strict=True):
            for target, total in zip(line, totals, strict=True):
                builder.store(builder.load(total, typ=lanes), target, align=4)
        return context.get_dummy_value()

    return generate


WIDE, NARROW = _tile(False, TILE_VECTORS), _tile(False, 1)
WIDE_TRANSPOSED, NARROW_TRANSPOSED = _tile(True, TILE_VECTORS), _tile(True, 1)


@register_jitable
def _add_product(a, b, c, rows, depth, columns):
    """c (rows, columns) += a (rows, depth) b (depth, columns); rows in eights, columns in sixteens."""
    wide = columns - columns % (LANES * TILE_VECTORS)
    for j in range(0, wide, LANES * TILE_VECTORS):
        for i in range(0, rows, TILE_ROWS):
            WIDE(a, b, c, i, j, depth)
    for j in range(wide, columns, LANES):
        for i in range(0, rows, TILE_ROWS):
            NARROW(a, b, c, i, j, depth)


@register_jitable
def _add_transposed_product(a, b, c, rows, depth, columns):
    """c (rows, columns) += a' b with a (depth, rows), b (depth, columns)."""
    wide = columns - columns % (LANES * TILE_VECTORS)
    for j in range(0, wide, LANES * TILE_VECTORS):
        for i in range(0, rows, TILE_ROWS):
            WIDE_TRANSPOSED(a, b, c, i, j, depth)
    for j in range(wide, columns, LANES):
        for i in range(0, rows, TILE_ROWS):
            NARROW_TRANSPOSED(a, b, c, i, j, depth)


@register_jitable
def _matrix(flat, layer):
    return flat[layer[0] : layer[0] + layer[3] * layer[5]].reshape(layer[3], layer[5])


@register_jitable
def _turned(flat, layer):
    """Redraw a layer's matrix the other way round, (columns, rows), at the same place of another vector."""
    return flat[layer[0] : layer[0] + layer[3] * layer[5]].reshape(layer[5], layer[3])


@register_jitable(fastmath=FAST)
def _forward(weights, layers, activation, signals, rows):
    """Send signals[0] (rows, inputs) through a tower; signals[l + 1] is what layer l gave."""
    filled = (rows + 7) // 8 * 8
    for index in range(len(layers)):
        layer, out = layers[index], signals[index + 1]
        columns = layer[5]
        spread(out, weights[layer[1] : layer[1] + columns], filled, columns)
        _add_product(signals[index], _matrix(weights, layer), out, filled, layer[2], columns)
        if index < len(layers) - 1:
            if activation == TANH:
                tanh(out, rows, columns)
            else:
                relu(out, rows, columns)


@register_jitable(fastmath=FAST)
def _backward(turned, slopes, layers, activation, signals, errors, rows):
    """Add the slopes by a tower's weights, given errors[-1], the loss's slopes by its outputs."""
    filled = (rows + 7) // 8 * 8
    last = len(layers) - 1
    for r in range(rows):
        for c in range(layers[last, 4]):
            slopes[layers[last, 1] + c] += errors[last, r, c]
    for index in range(last, -1, -1):
        layer = layers[index]
        _add_transposed_product(
            signals[index], errors[index], _matrix(slopes, layer), layer[3], rows, layer[5]
        )
        if index:
            before, below = layers[index - 1], errors[index - 1]
            clear(below, filled, layer[3])
            _add_product(errors[index], _turned(turned, layer), below, filled, layer[4], layer[3])
            bias_slopes = slopes[before[1] : before[1] + before[5]]
            through_activation(below, signals[index], bias_slopes, rows, layer[3], activation)


@register_jitable
def _turn(weights, turned, layers):
    for index in range(1, len(layers)):
        layer = layers[index]
        source, target = _matrix(weights, layer), _turned(turned, layer)
        for start in range(0, layer[3], LANES):  # in blocks: whole columns of a wide matrix evict themselves
            for o in range(layer[4]):
                for i in range(LANES):
                    target[o, start + i] = source[start + i, o]


@register_jitable(fastmath=FAST)
def _policy_errors(weights, slopes, shape, signals, errors, batch, places, mean, scale, update, stats):
    """Turn the actor's outputs into errors[:, :actions], the loss's slopes by them, per sample."""
    actions, log_probs, gains = batch[1], batch[2], batch[4]
    out, error, share = signals[len(shape.actor)], errors[len(shape.actor) - 1], F(1.0 / stats[STATS])
    clip, ent_coef = F(update.clip), F(update.ent_coef) * share
    columns = shape.actor[len(shape.actor) - 1, 5]
    log_std = weights[max(shape.log_std, 0) : max(shape.log_std, 0) + shape.actions]
    std_slopes = slopes[max(shape.log_std, 0) : max(shape.log_std, 0) + shape.actions]
    for r in range(len(places)):
        at = places[r]
        error[r, :columns] = F(0)
        advantage = (gains[at] - mean) * scale
        if shape.log_std < 0:
            softmax(out, error, r, shape.actions)
            action = int(actions[at, 0])
            slope = share * surrogate(out[r, action], log_probs[at], advantage, clip, stats)
            categorical_slopes(out, error, r, shape.actions, action, slope, ent_coef, stats)
        else:
            log_prob = normal_log_prob(out, r, actions[at], log_std)
            slope = share * surrogate(log_prob, log_probs[at], advantage, clip, stats)
            stats[2] -= normal_entropy(log_std, shape.actions)
            normal_slopes(out, error, r, actions[at], log_std, std_slopes, slope, ent_coef)


@register_jitable(fastmath=FAST)
def _value_errors(shape, signals, errors, batch, places, update, stats):
    old_values, returns = batch[3], batch[5]
    out, error = signals[len(shape.critic)], errors[len(shape.critic) - 1]
    share, clip_vf = F(update.vf_coef / stats[STATS]), F(update.clip_vf)
    for r in range(len(places)):
        at = places[r]
        error[r, :LANES] = F(0)
        error[r, 0] = share * value_slope(out[r, 0], old_values[at], returns[at], clip_vf, stats)


@register_jitable(fastmath=FAST)
def _minibatch(weights, slopes, turned, shape, signals, errors, batch, order, update, stats):
    """Write the slopes of one minibatch's loss and its figures."""
    mean, scale = F(0), F(1)
    if update.is_normalised and len(order) > 1:
        mean, deviation = moments(batch[4], order)
        scale = F(1) / (deviation + F(1e-8))
    slopes[:] = F(0)
    stats[:STATS] = 0.0
    stats[STATS] = len(order)
    _turn(weights, turned, shape.actor)
    _turn(weights, turned, shape.critic)
    for start in range(0, len(order), CHUNK):
        places = order[start : start + CHUNK]
        rows = len(places)
        for r in range(rows):
            for c in range(batch[0].shape[1]):
                signals[0, r, c] = batch[0][places[r], c]
        _forward(weights, shape.actor, shape.activation, signals, rows)
        _policy_errors(weights, slopes, shape, signals, errors, batch, places, mean, scale, update, stats)
        _backward(turned, slopes, shape.actor, shape.activation, signals, errors, rows)
        _forward(weights, shape.critic, shape.activation, signals, rows)
        _value_errors(shape, signals, errors, batch, places, update, stats)
        _backward(turned, slopes, shape.critic, shape.activation, signals, errors, rows)
    stats[:STATS] /= len(order)


@register_jitable(fastmath=FAST)
def _write_values(weights, shape, observations, signals, out):
    for start in range(0, len(observations), CHUNK):
        rows = min(CHUNK, len(observations) - start)
        signals[0, :rows, : observations.shape[1]] = observations[start : start + rows]
        _forward(weights, shape.critic, shape.activation, signals, rows)
        out[start : start + rows] = signals[len(shape.critic), :rows, 0]


def _compile_acting(digest: int) -> tuple[Callable[..., Any], ...]:
    """Compile `values_of` and `act`. `digest` is a free variable of theirs, so numba's cache key holds it."""

    @njit(nogil=True, cache=True, error_model="numpy", fastmath=FAST)
    def values_of(weights, shape, observations, signals, out):
        """Write the critic's values of observations (n, D) to out (n,)."""
        if digest < 0:
            return
        _write_values(weights, shape, observations, signals, out)

    @njit(nogil=True, cache=True, error_model="numpy", fastmath=FAST)
    def act(weights, shape, observations, noise, signals, errors, actions, values, log_probs):
        """Draw an action for each observation (n, D); write actions (n, K), values, log probabilities (n,).

        :param noise: uniform (n, 1) for discrete actions (K = 1), standard normal (n, K) for continuous ones
        """
        if digest < 0:
            return
        _write_values(weights, shape, observations, signals, values)
        log_std = weights[max(shape.log_std, 0) : max(shape.log_std, 0) + shape.actions]
        for start in range(0, len(observations), CHUNK):
            rows = min(CHUNK, len(observations) - start)
            signals[0, :rows, : observations.shape[1]] = observations[start : start + rows]
            _forward(weights, shape.actor, shape.activation, signals, rows)
            out = signals[len(shape.actor)]
            for r in range(rows):
                i = start + r
                if shape.log_std < 0:
                    softmax(out, errors[0], r, shape.actions)
                    action = pick(errors[0], r, shape.actions, noise[i, 0])
                    actions[i, 0], log_probs[i] = F(action), out[r, action]
                else:
                    for a in range(shape.actions):
                        actions[i, a] = out[r, a] + F(math.exp(log_std[a])) * noise[i, a]
                    log_probs[i] = normal_log_prob(out, r, actions[i], log_std)

    return values_of, act


def _compile_learning(digest: int) -> tuple[Callable[..., Any], ...]:
    """Compile `epoch` and `estimate`, with `digest` in their cache keys."""

    @njit(nogil=True, cache=True, error_model="numpy", fastmath=FAST)
    def epoch(
        weights, first, second, step, shape, signals, errors, batch, order, batch_size, update, figures
    ):
        """Go once through a rollout in minibatches: loss, slopes, clipping, Adam; change weights in place.

        :param first, second: Adam's moments, in the layout of the weights
        :param step: steps Adam has taken
        :param batch: observations (n, D), actions (n, K), log probabilities, values, advantages, returns (n,)
        :param figures: float64 (minibatches, 5), gets policy, value and entropy loss, KL and clip fraction
        :return: minibatches seen, and the steps Adam has taken now: one fewer if KL was too large
        """
        seen = 0
        if digest < 0:
            return seen, step
        slopes, turned, stats = np.empty_like(weights), np.zeros_like(weights), np.zeros(STATS + 1)
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            _minibatch(weights, slopes, turned, shape, signals, errors, batch, places, update, stats)
            figures[seen] = stats[:STATS]
            seen += 1
            if stats[3] > update.most_kl:
                break
            scale = min(F(1), F(update.max_grad_norm) / (norm(slopes) + F(1e-6)))
            step += 1
            adam(
                weights, slopes, first, second, step, scale, update.lr, update.beta1, update.beta2,
                update.eps, update.decay, update.is_decoupled,
            )  # fmt: skip
        return seen, step

    @njit(nogil=True, cache=True, error_model="numpy")
    def estimate(rewards, values, starts, last_values, dones, gamma, gae_lambda, out, returns):
        """See `arithmetic.advantages`."""
        if digest >= 0:
            advantages(rewards, values, starts, last_values, dones, gamma, gae_lambda, out, returns)

    return epoch, estimate


values_of, act = _compile_acting(DIGEST)
epoch, estimate = _compile_learning(DIGEST)
