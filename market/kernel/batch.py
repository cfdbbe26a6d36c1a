"""The kernel for many accounts at once: the scalar functions compiled. No other kernel file imports numba.

`batch_basket.py` does the same for accounts over several pairs, by what is made here.

Compiled code is cached beside this file. Its key holds a digest of the whole kernel's source, because numba
itself would only notice changes of this file.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from market.kernel import (
    breakers,
    costs,
    futures,
    guards,
    instrument,
    lowrider,
    plan,
    portfolio,
    rebalance,
    reward,
    risk,
    sizing,
    step,
    triggers,
    watch,
)
from market.kernel.breakers import Limits
from market.kernel.futures import Margin, step_futures
from market.kernel.guards import Guards
from market.kernel.plan import Plan, Track
from market.kernel.portfolio import equity, exposure_of, portfolio_row
from market.kernel.rebalance import is_kept
from market.kernel.reward import (
    Moments,
    Terms,
    bar_reward,
    deepening,
    differential_sharpe,
    differential_sortino,
    log_return,
)
from market.kernel.risk import OK, is_over
from market.kernel.sizing import sized_order
from market.kernel.step import Book, Rules, notional, open_book, step_bar
from market.kernel.watch import (
    Watch,
    WatchRules,
    close_seen,
    fills_seen,
    open_watch,
    watched_target,
)

COMPILED: tuple[Callable[..., Any], ...] = (
    instrument.step_count, instrument.floor_to_step, instrument.round_price, instrument.is_tradable,
    costs.fee_of, costs.taker_price,
    portfolio.settle, portfolio.average_entry, portfolio.realised, equity, exposure_of, portfolio_row,
    is_kept, rebalance.closing_quantity, rebalance.quantity_towards, rebalance.order_quantity,
    plan.closed, plan.followed,
    lowrider.lot_value, lowrider.break_even_price, lowrider.profit_price, lowrider.give_up_price,
    lowrider.cycle_target,
    sizing._capped, sizing.stop_distance, sizing.risk_limit, sizing.volatility_limit, sizing.kelly_limit,
    sizing.streak_factor, sizing.sized_target, sized_order,
    triggers.stop_price, triggers.take_price, triggers.best_price, triggers.bar_exit, triggers.tighter,
    triggers.nearer, triggers.stepped_best, triggers.break_even_stop, triggers._planned,
    triggers.levels, triggers.bar_leave,
    risk.drawdown_breach, risk.daily_loss_breach, risk.reduce_only, is_over,
    breakers._closing_part, breakers._opened, breakers.limited_order,
    reward.is_short, reward.log_series, log_return, deepening, differential_sharpe, differential_sortino,
    bar_reward, open_book, notional, step.with_stop, step.with_levels, step.fill_price, step.asked,
    step.capped, step._ordered, step._exited,
    step.left, step.filled, step.marked, step_bar,
    futures.liquidation_price, futures.bankruptcy_price, futures.is_liquidated, futures.margined_quantity,
    futures._asked, futures._ordered, futures._bounded, futures._forced, futures._with_cash,
    step_futures,
    guards.entry_refusal, breakers.halting, breakers.cautious, breakers.next_state, breakers.limited_target,
    open_watch, watch._seen, fills_seen, close_seen, watched_target,
)  # fmt: skip
compiled = register_jitable(forceinline=True)  # calls within the loop would cost as much as the arithmetic
compiled_loop = njit(nogil=True, cache=True, error_model="numpy")
for function in COMPILED:
    compiled(function)

SOURCE_DIGEST = zlib.crc32(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))
LINE = 64  # bytes of a cache line
BLOCK = 8  # floats that are copied at once
PORTFOLIO = 5  # numbers of an observation behind its features
PRICES = 8  # float32 places at the head of a packed row that hold open, high, low, close as float64


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


def pack(prices: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Redraw one row per bar that holds its four prices and its features side by side, float32 (n, S).

    Rows start at cache lines, so that one bar costs one or two memory accesses, which can be asked for early.

    :param prices: float64 (n, 4): open, high, low, close
    :param features: float32 (n, F)
    """
    width = -(-(PRICES + features.shape[1]) * 4 // LINE) * LINE // 4
    raw = np.zeros(len(features) * width + LINE // 4 + BLOCK, dtype=np.float32)
    shift = -raw.ctypes.data % LINE // 4
    rows = raw[shift : shift + len(features) * width].reshape(-1, width)  # (n, S)
    rows[:, PRICES : PRICES + features.shape[1]] = features
    rows.view(np.float64)[:, :4] = prices
    return rows


@intrinsic
def _prefetch(context: Any, rows: Any, row: Any) -> Any:
    """Ask the processor for the cache lines of rows[row] before they are needed.

    Every account walks its own rows; so many streams are beyond what hardware prefetchers follow.
    """

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
            builder.call(ask, [address, ir.Constant(small, 0), ir.Constant(small, 3), ir.Constant(small, 1)])
        return ctx.get_dummy_value()

    return types.void(rows, types.int64), generate


@intrinsic
def _copy(context: Any, out: Any, line: Any, place: Any, rows: Any, row: Any, column: Any) -> Any:
    """Copy BLOCK floats from rows[row, column:] to out[line, place:] in one move, even past a row's end.

    The rows have room behind their last one.
    """

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
def _mixed(draw, account):
    """Redraw 64 well mixed bits of two counters (splitmix64): random starts without any hidden state."""
    bits = np.uint64(draw) + np.uint64(account) * np.uint64(0xD1B54A32D192ED03)
    for _ in range(2):
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits = bits ^ (bits >> np.uint64(31))
    return bits


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


@compiled
def _task(v):
    """Redraw the task from a vector: unpacking one array costs a call less than as many attributes do."""
    return Task(
        v[0], v[1], v[2], v[3], v[4], v[5], np.int64(v[6]), np.int64(v[7]), np.int64(v[8]), np.int64(v[9]),
        v[10],
    )  # fmt: skip


@compiled
def _terms(v):
    return Terms(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7])


@compiled
def _loaded(i, books, counts):
    held_for = np.int64(counts[1, i])
    return Book(books[0, i], books[1, i], books[2, i], held_for, books[3, i], books[4, i], books[5, i])


@compiled
def _store(i, row, book, books, counts):
    books[0, i], books[1, i], books[2, i], books[3, i] = book.cash, book.held, book.entry, book.peak
    books[4, i], books[5, i], counts[0, i], counts[1, i] = book.water, book.stop, row, book.bars_held


@compiled
def _copied(i, out, rows, row, task):
    """Copy the window's feature rows into an observation; return the place behind them.

    What a block writes too much lies within the observation, and later writes cover it. Accounts are not
    stepped in their order, so the next account's numbers may be there already.
    """
    line, place, wide = np.uint64(i), np.uint64(0), np.uint64(task.features)
    for past in range(np.uint64(row + 1 - task.window), np.uint64(row + 1)):
        feature = np.uint64(0)
        while feature + np.uint64(BLOCK) <= wide + np.uint64(PORTFOLIO):
            _copy(out, line, place + feature, rows, past, feature + np.uint64(PRICES))
            feature += np.uint64(BLOCK)
        while feature < wide:
            out[line, place + feature] = rows[past, feature + np.uint64(PRICES)]
            feature += np.uint64(1)
        place += wide
    return place


@compiled
def _observe(i, out, rows, row, book, close, task):
    """Write one observation: the window's feature rows, then the portfolio (`agents.observation.observe`)."""
    line, place = np.uint64(i), _copied(i, out, rows, row, task)
    first, second, third, fourth, fifth = portfolio_row(
        book.cash, book.held, book.entry, book.bars_held, book.peak, close, task.bars_scale
    )
    out[line, place] = first
    out[line, place + np.uint64(1)] = second
    out[line, place + np.uint64(2)] = third
    out[line, place + np.uint64(3)] = fourth
    out[line, place + np.uint64(4)] = fifth


GROUPS = 6  # holding or not, times asked to keep, to leave, to hold something


@register_jitable
def _grouped(actions, table, books):
    """Return the accounts ordered by what they will go through, int32 (N,).

    Each is independent of the others, so the order changes no result; but the processor guesses right which
    way the next one goes, where a random order costs it several wrong guesses per account.
    """
    count = len(actions)
    places, sizes = np.empty((GROUPS, count), np.int32), np.zeros(GROUPS, np.int64)
    for i in range(count):
        target = table[actions[i]]
        group = 3 * np.int64(books[1, i] != 0) + np.int64(target == 0) + 2 * np.int64(abs(target) > 0)
        places[group, sizes[group]] = i
        sizes[group] += 1
    alike, total = np.empty(count, np.int32), 0
    for group in range(GROUPS):
        for k in range(sizes[group]):
            alike[total + k] = places[group, k]
        total += sizes[group]
    return alike


@compiled
def _begin(i, draw, starts, rows, prices, books, counts, moments, task, out):
    """Put account i at the start of a fresh episode and write its first observation."""
    row = np.int64(starts[_mixed(draw, i) % np.uint64(len(starts))])
    book = open_book(task.initial_cash)
    counts[2, i] = row + task.episode_bars if task.episode_bars else len(rows) - 1
    if i < len(moments):  # a market whose reward has no moments holds one row of them
        moments[i, 0] = moments[i, 1] = moments[i, 2] = 0.0
    _store(i, row, book, books, counts)
    _observe(i, out, rows, row, book, prices[row, 3], task)


def _compile_beginnings(digest: int) -> tuple[Callable[..., Any], ...]:
    """Compile `start` and `observe`. `digest` is a free variable of theirs, so numba's cache key holds it."""

    @compiled_loop
    def start(starts, rows, prices, books, counts, moments, task, draw, out):
        """Begin an episode at one of `starts` in every account, its first observation in `out`."""
        if digest < 0:
            return
        for i in range(len(out)):
            _begin(i, draw, starts, rows, prices, books, counts, moments, _task(task), out)

    @compiled_loop
    def observe(rows, prices, books, counts, task, out):
        """Write what every account sees now to `out`."""
        if digest < 0:
            return
        for i in range(len(out)):
            row = np.int64(counts[0, i])
            _observe(i, out, rows, row, _loaded(i, books, counts), prices[row, 3], _task(task))

    return start, observe


def _compile_advance(  # noqa: C901 - see `advance`
    digest: int, is_futures: bool = False, is_watched: bool = False
) -> Callable[..., Any]:
    """Compile `advance`, with `digest` in its cache key, as one flat loop over scalar helpers.

    Accounts without rules on sizing and exits, rewarded by log returns alone, have `batch_lanes.advance`.

    :param is_futures: True compiles the loop for a futures market; no other reads `funding` and `margin`
    :param is_watched: True compiles the loop with breakers and entry guards; no other reads `opens`,
        `watches` and `watching`
    """

    @compiled_loop
    def advance(  # noqa: C901 - helpers that take arrays count references
        actions, table, starts, rows, prices, ranges, funding, opens, books, counts, tracks, moments, watches,
        rules, plan, margin, watching, terms, task, draw, out, rewards, ends, last_out,
    ):  # fmt: skip
        """Take one decision in every account: trade, reward, observe, begin anew where an episode ended.

        :param actions: int64 (N,), places in `table`; `table` float64 holds exposures, NaN keeps what is held
        :param starts: int32 (K,), rows that fresh episodes start at, drawn with equal probability
        :param ranges: float64 (n,), average true range at every close
        :param funding: float64 (n,), rate due at every close; `margin` as `market.kernel.futures.Margin`
        :param opens: int64 (n,), open time of every bar, ms
        :param tracks: float64 (N, 10), see `market.kernel.plan.Track`
        :param watches: float64 (N, 11), see `market.kernel.watch.Watch`; `watching` holds its rules and
            the bars' length, ms
        :return: how many episodes ended; -1, and nothing has changed, if an action has no place in the table
        """
        ended = 0
        for action in actions:
            if action < 0 or action >= len(table) or digest < 0:
                return -1
        rules_, task_ = _capped_rules(rules) if is_watched else _rules(rules), _task(task)
        plan_ = _plan(plan)
        margin_ = Margin(margin[0], margin[1])
        terms_ = _terms(terms)
        watching_, interval_ms = _watch_rules(watching), np.int64(watching[18])
        alike = _grouped(actions, table, books)
        for k in range(len(out)):
            i = np.int64(alike[k])
            row, last = np.int64(counts[0, i]), np.int64(counts[2, i])
            book, target, close, earned = _loaded(i, books, counts), table[actions[i]], prices[row, 3], 0.0
            halt = np.int64(OK)
            seen = _watch(i if is_watched else 0, watches)
            after = equity(book.cash, book.held, close)
            exposure = exposure_of(book.cash, book.held, close)
            is_order = (target == target) & (not is_kept(target, exposure, task_.band))
            is_order &= (target != 0) | (book.held != 0)  # flat accounts need no order to be flat
            track, noted = _track(i, tracks), Moments(moments[i, 0], moments[i, 1], moments[i, 2])
            if is_order and plan_.is_on > 0:
                conviction = 1.0 if target > 0 else 0.0
                is_order, target, _code = sized_order(
                    target, exposure, task_.band, book, track, close, ranges[row], conviction, rules_, plan_
                )
            if is_watched and is_order:
                allowed = watched_target(seen, watching_, target, exposure, opens[row] + interval_ms)
                is_order, target = (allowed == target) | (allowed != exposure), allowed
            for _ in range(task_.decision_every):
                is_lost = is_over(after, task_.ruin, book.peak, task_.max_drawdown) | (halt != OK)
                if row == last or is_lost:
                    break
                atr = ranges[row]
                row += 1
                before, peak, past, close = after, book.peak, close, prices[row, 3]
                held, entry = book.held, book.entry
                if is_futures:
                    book, track, order, exit, _paid = step_futures(
                        book, track, is_order, target, prices[row, 0], prices[row, 1], prices[row, 2], close,
                        atr, funding[row], rules_, plan_, margin_,
                    )  # fmt: skip
                else:
                    book, track, order, exit = step_bar(
                        book, track, is_order, target, prices[row, 0], prices[row, 1], prices[row, 2], close,
                        atr, rules_, plan_,
                    )  # fmt: skip
                after = equity(book.cash, book.held, close)
                worth, noted = bar_reward(
                    before, after, peak, book.peak, past, close, notional(order) + notional(exit), noted,
                    terms_,
                )  # fmt: skip
                earned += worth
                is_order = False
                if is_watched:
                    seen = fills_seen(seen, held, entry, order, exit, opens[row])
                    closed_ms = opens[row] + interval_ms
                    seen, halt = close_seen(seen, watching_, after, book.peak, book.held == 0, closed_ms)
            rewards[i] = earned * task_.reward_scale
            _observe(i, out, rows, row, book, close, task_)
            _store(i, row, book, books, counts)
            _keep_track(i, tracks, track)
            moments[i, 0], moments[i, 1], moments[i, 2] = noted.mean, noted.square, noted.below
            if is_watched:
                _keep_watch(i, watches, seen)
            is_lost = is_over(after, task_.ruin, book.peak, task_.max_drawdown) | (halt != OK)
            end = 1 if is_lost else 2 if row == last else 0
            ends[i] = end
            if end:
                ended += 1
                last_out[i] = out[i]
                _begin(i, draw, starts, rows, prices, books, counts, moments, task_, out)
                _keep_track(i, tracks, _no_track())
                row = np.int64(counts[0, i])
                if is_watched:
                    _keep_watch(i, watches, open_watch(task_.initial_cash, opens[row] + interval_ms))
            _prefetch(rows, min(row + 1, len(rows) - 1))
            if task_.decision_every > 1:
                _prefetch(rows, min(row + task_.decision_every, len(rows) - 1))
        return ended

    return advance


start, observe = _compile_beginnings(SOURCE_DIGEST)
advance_full = _compile_advance(SOURCE_DIGEST)
advance_futures = _compile_advance(SOURCE_DIGEST, is_futures=True)
advance_watched = _compile_advance(SOURCE_DIGEST, is_watched=True)
advance_watched_futures = _compile_advance(SOURCE_DIGEST, is_futures=True, is_watched=True)
