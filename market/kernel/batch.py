"""The kernel for many accounts at once: the scalar functions compiled, over what `packing.py` lays out.

`batch_basket.py` does the same for accounts over several pairs, by what is made here.

Compiled code is cached beside this file. Its key holds a digest of the whole kernel's source, because numba
itself would only notice changes of this file.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

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
from market.kernel.futures import Margin, step_futures
from market.kernel.packing import (
    BLOCK,
    _capped_rules,
    _copy,
    _keep_track,
    _keep_watch,
    _no_track,
    _plan,
    _prefetch,
    _rules,
    _task,
    _terms,
    _track,
    _watch,
    _watch_rules,
    compiled,
    compiled_apart,
    compiled_loop,
)
from market.kernel.portfolio import equity, exposure_of, portfolio_row
from market.kernel.rebalance import is_kept
from market.kernel.reward import (
    Moments,
    bar_reward,
    deepening,
    differential_sharpe,
    differential_sortino,
    log_return,
)
from market.kernel.risk import OK, is_over
from market.kernel.sizing import sized_order
from market.kernel.step import Book, notional, open_book, step_bar
from market.kernel.watch import (
    close_seen,
    fills_seen,
    open_watch,
    watched_target,
)

COMPILED: tuple[Callable[..., Any], ...] = (
    instrument.step_count, instrument.floor_to_step, instrument.round_price, instrument.is_tradable,
    costs.fee_of, costs.taker_price,
    portfolio.settle, portfolio.average_entry, portfolio.realised, equity, exposure_of, portfolio_row,
    is_kept, rebalance._all_of, rebalance.closing_quantity, rebalance.quantity_towards,
    rebalance.order_quantity,
    plan.closed, plan.followed,
    lowrider.grown, lowrider.lot_value, lowrider.break_even_price, lowrider.profit_price,
    lowrider.give_up_price, lowrider.cycle_target,
    sizing._capped, sizing.stop_distance, sizing.risk_limit, sizing.volatility_limit, sizing.kelly_limit,
    sizing.streak_factor, sizing.sized_target, sized_order,
    triggers.stop_price, triggers.take_price, triggers.best_price, triggers.bar_exit, triggers.tighter,
    triggers.nearer, triggers.stepped_best, triggers.break_even_stop, triggers._planned,
    triggers.levels, triggers.bar_leave,
    risk.drawdown_breach, risk.daily_loss_breach, risk.reduce_only, is_over,
    breakers._closing_part, breakers._opened, breakers.limited_order,
    reward.is_short, reward.log_series, log_return, deepening, differential_sharpe, differential_sortino,
    reward.reward_of, bar_reward, open_book, notional, step.with_stop, step.with_levels, step.fill_price,
    step.asked_side, step.asked_quantity, step.asked, step.within_caps, step.capped, step._ordered,
    step.exited,
    step.left, step._booked, step.filled, step.reduced, step.marked, step_bar,
    futures.liquidation_price, futures.bankruptcy_price, futures.is_liquidated, futures.margined_quantity,
    futures._asked, futures._ordered, futures._bounded, futures._forced, futures._with_cash,
    step_futures,
    guards.entry_refusal, breakers.halting, breakers.cautious, breakers.next_state, breakers.limited_target,
    open_watch, watch.fill_seen, fills_seen, close_seen, watch.allowed_target, watched_target,
)  # fmt: skip
for function in COMPILED:
    compiled(function)

SOURCE_DIGEST = zlib.crc32(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))


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

    The last block of a row ends with it: what it has in common with the one before is copied twice, and the
    next bar's row, which nobody has asked for yet, is left alone.
    """
    line, place = np.uint64(i), np.uint64(0)
    wide, head = np.uint64(task.features), np.uint64(task.head)
    for past in range(np.uint64(row + 1 - task.window), np.uint64(row + 1)):
        feature = np.uint64(0)
        while feature + np.uint64(BLOCK) <= wide:
            _copy(out, line, place + feature, rows, past, feature + head)
            feature += np.uint64(BLOCK)
        if wide >= np.uint64(BLOCK):
            feature = wide - np.uint64(BLOCK)
            _copy(out, line, place + feature, rows, past, feature + head)
        else:
            while feature < wide:
                out[line, place + feature] = rows[past, feature + head]
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


@compiled_apart
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

    Accounts on the spot market without breakers whose rules need no statistics have `batch_lanes.advance`.

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
                    closed_ms = opens[row] + interval_ms
                    seen = fills_seen(seen, held, entry, order, exit, opens[row], closed_ms)
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
