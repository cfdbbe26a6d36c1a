"""The kernel for many accounts at once: the scalar functions compiled. The only file that imports numba.

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

from market.kernel import costs, instrument, portfolio, rebalance, step, triggers
from market.kernel.portfolio import equity, exposure_of, portfolio_row
from market.kernel.rebalance import is_kept
from market.kernel.reward import DIFFERENTIAL_SHARPE, deepening, differential_sharpe, log_return
from market.kernel.step import Book, Rules, open_book, step_bar

COMPILED: tuple[Callable[..., Any], ...] = (
    instrument.step_count, instrument.floor_to_step, instrument.round_price, instrument.is_tradable,
    costs.fee_of, costs.taker_price,
    portfolio.settle, portfolio.average_entry, equity, exposure_of, portfolio_row,
    is_kept, rebalance.closing_quantity, rebalance.order_quantity,
    triggers.stop_price, triggers.take_price, triggers.trail_stop, triggers.best_price, triggers.bar_exit,
    log_return, deepening, differential_sharpe,
    open_book, step.fill_price, step._ordered, step._exited, step._filled, step._marked, step_bar,
)  # fmt: skip
for function in COMPILED:
    register_jitable(function)

SOURCE_DIGEST = zlib.crc32(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))
LINE = 64  # bytes of a cache line
PRICES = 8  # float32 places at the head of a packed row that hold open, high, low, close as float64


class Task(NamedTuple):
    """What an episode is worth and where it may go; plain numbers, so that numba keeps them in registers."""

    initial_cash: float
    ruin: float  # quote currency
    band: float
    bars_scale: float
    reward_kind: int
    reward_scale: float
    drawdown_penalty: float
    sharpe_decay: float
    decision_every: int
    window: int
    features: int
    episode_bars: int  # 0: to the last row
    first_start: int
    last_start: int


def pack(prices: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Redraw one row per bar that holds its four prices and its features side by side, float32 (n, S).

    Rows start at cache lines, so that one bar costs one or two memory accesses, which can be asked for early.

    :param prices: float64 (n, 4): open, high, low, close
    :param features: float32 (n, F)
    """
    width = -(-(PRICES + features.shape[1]) * 4 // LINE) * LINE // 4
    raw = np.zeros(len(features) * width + LINE // 4, dtype=np.float32)
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


@register_jitable
def _mixed(draw, account):
    """Redraw 64 well mixed bits of two counters (splitmix64): random starts without any hidden state."""
    bits = np.uint64(draw) + np.uint64(account) * np.uint64(0xD1B54A32D192ED03)
    for _ in range(2):
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits = bits ^ (bits >> np.uint64(31))
    return bits


@register_jitable
def _rules(v):
    return Rules(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10])


@register_jitable
def _task(v):
    """Redraw the task from a vector: unpacking one array costs a call less than fourteen attributes do."""
    return Task(
        v[0], v[1], v[2], v[3], np.int64(v[4]), v[5], v[6], v[7], np.int64(v[8]), np.int64(v[9]),
        np.int64(v[10]), np.int64(v[11]), np.int64(v[12]), np.int64(v[13]),
    )  # fmt: skip


@register_jitable
def _loaded(i, books, counts):
    held_for = np.int64(counts[i, 1])
    return Book(books[i, 0], books[i, 1], books[i, 2], held_for, books[i, 3], books[i, 4])


@register_jitable
def _store(i, row, book, books, counts):
    books[i, 0], books[i, 1], books[i, 2], books[i, 3] = book.cash, book.held, book.entry, book.peak
    books[i, 4], counts[i, 0], counts[i, 1] = book.water, row, book.bars_held


@register_jitable
def _observe(i, out, rows, row, book, close, task):
    """Write one observation: the window's feature rows, then the portfolio (`agents.observation.observe`)."""
    place = 0
    for past in range(row + 1 - task.window, row + 1):
        for feature in range(task.features):
            out[i, place + feature] = rows[past, PRICES + feature]
        place += task.features
    out[i, place], out[i, place + 1], out[i, place + 2], out[i, place + 3], out[i, place + 4] = portfolio_row(
        book.cash, book.held, book.entry, book.bars_held, book.peak, close, task.bars_scale
    )


@register_jitable
def _begin(i, draw, rows, prices, books, counts, moments, task, out):
    """Put account i at the start of a fresh episode and write its first observation."""
    choices = np.uint64(task.last_start - task.first_start + 1)
    row = task.first_start + np.int64(_mixed(draw, i) % choices)
    book = open_book(task.initial_cash)
    counts[i, 2] = row + task.episode_bars if task.episode_bars else len(rows) - 1
    if task.reward_kind == DIFFERENTIAL_SHARPE:
        moments[i, 0] = moments[i, 1] = 0.0
    _store(i, row, book, books, counts)
    _observe(i, out, rows, row, book, prices[row, 3], task)


@register_jitable
def _worth(i, before, after, moments, task):
    """Redraw what one bar earned before penalties and scale."""
    if task.reward_kind != DIFFERENTIAL_SHARPE:
        return log_return(before, after)
    earned, moments[i, 0], moments[i, 1] = differential_sharpe(
        after / before - 1, moments[i, 0], moments[i, 1], task.sharpe_decay
    )
    return earned


@register_jitable
def _decide(i, target, prices, book, row, last, moments, rules, task):
    """Trade one account through one decision; return (book, row, equity, reward before scaling)."""
    close, earned = prices[row, 3], 0.0
    after = equity(book.cash, book.held, close)
    is_order = target == target and not is_kept(target, exposure_of(book.cash, book.held, close), task.band)
    for _ in range(task.decision_every):
        if row == last or after <= task.ruin:
            break
        row += 1
        before, peak, close = after, book.peak, prices[row, 3]
        book, _order, _exit = step_bar(
            book, is_order, target, prices[row, 0], prices[row, 1], prices[row, 2], close, rules
        )
        after = equity(book.cash, book.held, close)
        earned += _worth(i, before, after, moments, task)
        if task.drawdown_penalty:
            earned -= task.drawdown_penalty * deepening(before, after, peak, book.peak)
        is_order = False
    return book, row, after, earned


def _compile_beginnings(digest: int) -> tuple[Callable[..., Any], ...]:
    """Compile `start` and `observe`. `digest` is a free variable of theirs, so numba's cache key holds it."""

    @njit(nogil=True, cache=True, error_model="numpy")
    def start(rows, prices, books, counts, moments, task, draw, out):
        """Begin an episode in every account and write the first observations to `out`."""
        if digest < 0:
            return
        for i in range(len(counts)):
            _begin(i, draw, rows, prices, books, counts, moments, _task(task), out)

    @njit(nogil=True, cache=True, error_model="numpy")
    def observe(rows, prices, books, counts, task, out):
        """Write what every account sees now to `out`."""
        if digest < 0:
            return
        for i in range(len(counts)):
            row = np.int64(counts[i, 0])
            _observe(i, out, rows, row, _loaded(i, books, counts), prices[row, 3], _task(task))

    return start, observe


def _compile_advance(digest: int) -> Callable[..., Any]:
    """Compile `advance`, with `digest` in its cache key."""

    @njit(nogil=True, cache=True, error_model="numpy")
    def advance(
        actions, table, rows, prices, books, counts, moments, rules, task, draw, out, rewards, ends, last_out
    ):
        """Take one decision in every account: trade, reward, observe, begin anew where an episode ended.

        :param actions: int64 (N,), places in `table`; `table` float64 holds exposures, NaN keeps what is held
        :return: how many episodes ended
        """
        ended = 0
        if digest < 0:
            return ended
        rules_, task_ = _rules(rules), _task(task)
        for i in range(len(counts)):
            row, last = np.int64(counts[i, 0]), np.int64(counts[i, 2])
            book, row, worth, earned = _decide(
                i, table[actions[i]], prices, _loaded(i, books, counts), row, last, moments, rules_, task_
            )
            rewards[i] = earned * task_.reward_scale
            _observe(i, out, rows, row, book, prices[row, 3], task_)
            _store(i, row, book, books, counts)
            ends[i] = 1 if worth <= task_.ruin else 2 if row == last else 0
            if ends[i]:
                ended += 1
                last_out[i] = out[i]
                _begin(i, draw, rows, prices, books, counts, moments, task_, out)
                row = np.int64(counts[i, 0])
            _prefetch(rows, min(row + 1, len(rows) - 1))
            if task_.decision_every > 1:
                _prefetch(rows, min(row + task_.decision_every, len(rows) - 1))
        return ended

    return advance


start, observe = _compile_beginnings(SOURCE_DIGEST)
advance = _compile_advance(SOURCE_DIGEST)
