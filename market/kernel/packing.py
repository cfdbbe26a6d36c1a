"""What the compiled loops read, and how they are compiled. No other kernel file imports numba.

Bars are rows that lie well in the processor's cache; settings and memories are vectors, unpacked where used.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload, register_jitable

from market.kernel.basket_rules import Leg, keep_leg, keep_watch, leg_of, watch_of
from market.kernel.breakers import Limits
from market.kernel.guards import Guards
from market.kernel.instrument import whole
from market.kernel.plan import Plan, Track
from market.kernel.reward import Terms
from market.kernel.step import Rules
from market.kernel.watch import Watch, WatchRules

compiled = register_jitable(forceinline=True)  # calls within the loop would cost as much as the arithmetic
compiled_apart = register_jitable  # a call once per step
compiled_loop = njit(nogil=True, cache=True, error_model="numpy")
compiled_call = njit(cache=True, error_model="numpy")  # a microsecond or two: no other thread is let in


@overload(whole, inline="always")
def _whole(number):
    """Compile `whole` to one instruction; equal to it below 2 ** 53, beyond which floats are whole anyway."""
    return lambda number: np.trunc(number)


LINE = 64  # bytes of a cache line
BLOCK = 8  # floats that are copied at once
PORTFOLIO = 5  # numbers of an observation behind its features
PRICES = 8  # float32 places at the head of a packed row that hold open, high, low, close as float64
RANGED = 10  # those of a row whose fifth float64 is the average true range at the close
TASK, PLAN, TERMS = 13, 25, 49  # where they begin in the settings of `batch_lanes`, behind the rules


class Task(NamedTuple):
    """What an episode is worth and where it may go; plain numbers, so that numba keeps them in registers."""

    initial_cash: float
    ruin: float  # quote currency
    band: float
    bars_scale: float
    reward_scale: float
    log_weight: float  # of the log return, where it is the only term
    decision_every: int
    window: int
    features: int
    episode_bars: int  # 0: to the last row
    max_drawdown: float  # of the peak of equity; 0: off
    head: int  # float32 places of a packed row before its features


def pack(prices: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Redraw one row per bar that holds its prices and its features side by side, float32 (n, S).

    Rows start at cache lines, so that one bar costs one or two memory accesses, which can be asked for early.

    :param prices: float64 (n, k): open, high, low, close and what else depends on the bar alone
    :param features: float32 (n, F)
    """
    head = 2 * prices.shape[1]
    width = -(-(head + features.shape[1]) * 4 // LINE) * LINE // 4
    raw = np.zeros(len(features) * width + LINE // 4, dtype=np.float32)
    shift = -raw.ctypes.data % LINE // 4
    rows = raw[shift : shift + len(features) * width].reshape(-1, width)  # (n, S)
    rows[:, head : head + features.shape[1]] = features
    rows.view(np.float64)[:, : prices.shape[1]] = prices
    return rows


def _prefetching(near: int) -> Any:
    """Redraw how to ask the processor for the cache lines of rows[row] before they are needed.

    Every account walks its own rows; so many streams are beyond what hardware prefetchers follow.

    :param near: 3 brings them to the first cache, 2 to the second and no further
    """

    @intrinsic
    def prefetch(context: Any, rows: Any, row: Any) -> Any:
        def generate(ctx: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = ctx.make_array(signature.args[0])(ctx, builder, args[0])
            whole, small, pointer = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
            stride = cgutils.unpack_tuple(builder, array.strides)[0]
            first = builder.add(builder.ptrtoint(array.data, whole), builder.mul(args[1], stride))
            kind = ir.FunctionType(ir.VoidType(), [pointer, small, small, small])
            ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            with cgutils.for_range_slice(
                builder, ir.Constant(whole, 0), stride, ir.Constant(whole, LINE), whole
            ) as (offset, _):
                address = builder.inttoptr(builder.add(first, offset), pointer)
                for_reading, data = ir.Constant(small, 0), ir.Constant(small, 1)
                builder.call(ask, [address, for_reading, ir.Constant(small, near), data])
            return ctx.get_dummy_value()

        return types.void(rows, types.int64), generate

    return prefetch


_prefetch, _prefetch_far = _prefetching(3), _prefetching(2)


@intrinsic
def _copy(context: Any, out: Any, line: Any, place: Any, rows: Any, row: Any, column: Any) -> Any:
    """Copy BLOCK floats from rows[row, column:] to out[line, place:] in one move."""

    def generate(ctx: Any, builder: Any, signature: Any, args: Any) -> Any:
        def address(array: Any, kind: Any, first: Any, second: Any) -> Any:
            struct = ctx.make_array(kind)(ctx, builder, array)
            stride = cgutils.unpack_tuple(builder, struct.strides)[0]
            offset = builder.add(
                builder.mul(first, stride), builder.mul(second, ir.Constant(ir.IntType(64), 4))
            )
            start = builder.add(builder.ptrtoint(struct.data, ir.IntType(64)), offset)
            return builder.inttoptr(start, ir.VectorType(ir.FloatType(), BLOCK).as_pointer())

        kinds = signature.args
        value = builder.load(address(args[3], kinds[3], args[4], args[5]), align=4)
        builder.store(value, address(args[0], kinds[0], args[1], args[2]), align=4)
        return ctx.get_dummy_value()

    return types.void(out, types.uint64, types.uint64, rows, types.uint64, types.uint64), generate


@compiled
def _capped_rules(v):
    return Rules(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12])


@compiled
def _rules(v):
    """Redraw rules without caps on orders: constants, with which the compiler drops what serves only caps."""
    return Rules(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], 0.0, 0.0, v[12])


@compiled
def _plan(v):
    return Plan(
        v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11],
        v[12], v[13], v[14], v[15], v[16], v[17], v[18], v[19], v[20], v[21], v[22], v[23],
    )  # fmt: skip


@compiled
def _no_plan():
    """Redraw a plan without any rule: constants, with which the compiler drops whatever serves only rules."""
    return Plan(
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    )  # fmt: skip


@compiled
def _exits(stop_atr, trailing_atr, trail_step, reward_ratio, break_even):
    """Redraw a plan of these exits alone."""
    return Plan(
        1.0, stop_atr, trailing_atr, trail_step, reward_ratio, break_even, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    )  # fmt: skip


@compiled
def _sizes(size_fraction, risk_per_trade, volatility_target, resize_band, stop_atr, trailing_atr):
    """Redraw a plan of these rules on sizes alone, and of the stops that equity at risk is measured by."""
    return Plan(
        1.0, stop_atr, trailing_atr, 0.0, 0.0, 0.0, 0.0, size_fraction, risk_per_trade, volatility_target,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0, resize_band, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    )  # fmt: skip


@compiled
def _without_stops(rules):
    return Rules(
        rules.tick, rules.step, rules.min_notional, rules.fee_rate, rules.fee_step, rules.half_spread,
        rules.slippage, 0.0, rules.take_profit, 0.0, 0.0, 0.0, rules.guard,
    )  # fmt: skip


@compiled
def _no_track():
    return Track(0, 0.0, 0.0, 0, 0.0, 0, 0.0, 0.0, 0.0, 0)


@compiled
def _track(i, t):
    return Track(
        np.int64(t[i, 0]), t[i, 1], t[i, 2], np.int64(t[i, 3]), t[i, 4],
        np.int64(t[i, 5]), t[i, 6], t[i, 7], t[i, 8], np.int64(t[i, 9]),
    )  # fmt: skip


@compiled
def _keep_track(i, t, track):
    t[i, 0], t[i, 1], t[i, 2], t[i, 3], t[i, 4] = track.kind, track.take, track.base, track.lots, track.last
    t[i, 5], t[i, 6], t[i, 7], t[i, 8], t[i, 9] = (
        track.trades,
        track.won,
        track.gain,
        track.loss,
        track.streak,
    )


@compiled
def _watch_rules(v):
    return WatchRules(
        Limits(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9]),
        Guards(v[10], v[11], v[12], v[13], v[14], v[15]), v[16], np.int64(v[17]),
    )  # fmt: skip


@compiled
def _watch(i, w):
    return Watch(
        np.int64(w[i, 0]), w[i, 1], w[i, 2], w[i, 3], np.int64(w[i, 4]), np.int64(w[i, 5]),
        np.int64(w[i, 6]), np.int64(w[i, 7]), np.int64(w[i, 8]), np.int64(w[i, 9]), np.int64(w[i, 10]),
    )  # fmt: skip


@compiled
def _keep_watch(i, w, seen):
    w[i, 0], w[i, 1], w[i, 2], w[i, 3] = seen.state, seen.day_equity, seen.week_equity, seen.caution_peak
    w[i, 4], w[i, 5], w[i, 6] = seen.losses, seen.trades_today, seen.safe_modes
    w[i, 7], w[i, 8], w[i, 9], w[i, 10] = seen.safe_until_ms, seen.exit_ms, seen.loss_ms, seen.seen_ms


@overload(leg_of, inline="always")
def _leg(legs, place):
    return lambda legs, place: Leg(
        np.int64(legs[place, 0]), legs[place, 1], legs[place, 2], np.int64(legs[place, 3]), legs[place, 4]
    )


@overload(keep_leg, inline="always")
def _keep_leg(legs, place, leg):
    def keep(legs, place, leg):
        legs[place, 0], legs[place, 1], legs[place, 2] = leg.bars_held, leg.water, leg.stop
        legs[place, 3], legs[place, 4] = leg.kind, leg.take

    return keep


@overload(watch_of, inline="always")
def _watch_at(watches, place):
    return lambda watches, place: _watch(place, watches)


@overload(keep_watch, inline="always")
def _watch_kept(watches, place, watch):
    return lambda watches, place, watch: _keep_watch(place, watches, watch)


@compiled
def _task(v):
    """Redraw the task from a vector: unpacking one array costs a call less than as many attributes do."""
    return Task(
        v[0], v[1], v[2], v[3], v[4], v[5], np.int64(v[6]), np.int64(v[7]), np.int64(v[8]), np.int64(v[9]),
        v[10], np.int64(v[11]),
    )  # fmt: skip


@compiled
def _terms(v):
    return Terms(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7])


@compiled
def _without_ratios(terms):
    return Terms(
        terms.log_return, 0.0, 0.0, terms.drawdown, terms.holding_risk, terms.turnover, terms.benchmark, 0.0
    )
