"""Accounts without rules on sizing and exits, stepped side by side in the lanes of vector instructions.

The functions of `step.py` once more, compiled into short loops over columns of a constant length. The
compiler then takes all branches for every account of a vector and keeps of each what that account needs: the
same operations, so the same bits. Nothing depends on guessing which accounts trade. Several short loops
overlap better in the processor than a long one, whose divisions wait for each other.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from market.kernel import step
from market.kernel.batch import SOURCE_DIGEST, _begin, _copied
from market.kernel.packing import (
    PORTFOLIO,
    _no_plan,
    _no_track,
    _prefetch,
    _rules,
    _task,
    compiled,
    compiled_loop,
)
from market.kernel.portfolio import equity, exposure_of, portfolio_row
from market.kernel.rebalance import is_kept
from market.kernel.reward import is_short, log_return, log_series
from market.kernel.risk import is_over
from market.kernel.step import Book, Fill, filled, marked
from market.kernel.triggers import NONE

LANES = 64  # accounts that pass through a loop together; lanes behind the last account hold nonsense
FIRST, EACH = np.uint64(0), np.uint64(LANES)  # unsigned: what may be negative costs a look at its sign
COLUMNS = 26
(  # where a column of the workspace begins; the first nine are those of books and counts
    CASH, HELD, ENTRY, PEAK, WATER, STOP, ROW, BARS, LAST, TARGET, OPEN, HIGH, LOW, CLOSE, QUANTITY, PRICE,
    FEE, BEFORE, WORTH, EARNED, END, EXPOSURE, UNREALISED, TIME, DRAWDOWN, CASH_SHARE,
) = (np.uint64(LANES * column) for column in range(COLUMNS))  # fmt: skip
BOOKS, COUNTS = np.uint64(6), np.uint64(3)


@compiled
def _book(s, lane):
    return Book(
        s[CASH + lane], s[HELD + lane], s[ENTRY + lane], s[BARS + lane], s[PEAK + lane],
        s[WATER + lane], s[STOP + lane],
    )  # fmt: skip


@compiled
def _fill(s, lane):
    return Fill(s[QUANTITY + lane], s[PRICE + lane], s[FEE + lane], NONE)


@compiled
def _decide(s, task):
    """Leave a target only where it makes an order."""
    for lane in range(FIRST, EACH):
        cash, held, close, target = s[CASH + lane], s[HELD + lane], s[CLOSE + lane], s[TARGET + lane]
        is_order = (target == target) & (not is_kept(target, exposure_of(cash, held, close), task.band))
        is_order &= (target != 0) | (held != 0)  # flat accounts need no order to be flat
        s[TARGET + lane] = target if is_order else np.nan
        s[WORTH + lane], s[EARNED + lane] = equity(cash, held, close), 0.0


@compiled
def _look(s, task):
    """Note whose episode has ended, and how."""
    for lane in range(FIRST, EACH):
        is_lost = is_over(s[WORTH + lane], task.ruin, s[PEAK + lane], task.max_drawdown)
        s[END + lane] = 1.0 if is_lost else 2.0 if s[ROW + lane] == s[LAST + lane] else 0.0


@compiled
def _order(s, rules):
    """Lay out the fills of orders at the open; quantity 0 is none."""
    for lane in range(FIRST, EACH):
        target = s[TARGET + lane]
        fill = step._ordered(_book(s, lane), target, s[OPEN + lane], rules)
        s[QUANTITY + lane] = fill.quantity if (target == target) & (s[END + lane] == 0) else 0.0
        s[PRICE + lane], s[FEE + lane], s[TARGET + lane] = fill.price, fill.fee, np.nan


@compiled
def _enter(s):
    for lane in range(FIRST, EACH):
        book, _track = filled(_book(s, lane), _no_track(), _fill(s, lane), _no_plan())
        s[CASH + lane], s[HELD + lane], s[ENTRY + lane] = book.cash, book.held, book.entry
        s[BARS + lane], s[WATER + lane], s[STOP + lane] = book.bars_held, book.water, book.stop


@compiled
def _leave(s, rules):
    """Tighten stops and lay out the fills that they, targets and gaps force; quantity 0 is none."""
    for lane in range(FIRST, EACH):
        book = _book(s, lane)
        after, _track, fill = step._exited(
            book, _no_track(), s[OPEN + lane], s[HIGH + lane], s[LOW + lane], 0.0, rules, _no_plan()
        )
        may_leave = (book.held != 0) & (s[END + lane] == 0)
        s[STOP + lane] = after.stop if may_leave else book.stop
        s[QUANTITY + lane] = fill.quantity if may_leave else 0.0
        s[PRICE + lane], s[FEE + lane] = fill.price, fill.fee


@compiled
def _mark(s):
    """Book the exits, and mark the accounts that are not over at the close."""
    for lane in range(FIRST, EACH):
        goes_on = s[END + lane] == 0
        book, _track = filled(_book(s, lane), _no_track(), _fill(s, lane), _no_plan())
        after = marked(book, s[HIGH + lane], s[LOW + lane], s[CLOSE + lane])
        s[CASH + lane], s[HELD + lane], s[ENTRY + lane] = book.cash, book.held, book.entry
        s[STOP + lane] = book.stop
        s[BARS + lane] = after.bars_held if goes_on else book.bars_held
        s[PEAK + lane] = after.peak if goes_on else book.peak
        s[WATER + lane] = after.water if goes_on else book.water
        s[ROW + lane] += 1.0 if goes_on else 0.0


@compiled
def _reward(s, task):
    """Add the bar's reward where a series serves the logarithm; return how many accounts need a logarithm."""
    others = 0
    for lane in range(FIRST, EACH):
        before, after = s[WORTH + lane], equity(s[CASH + lane], s[HELD + lane], s[CLOSE + lane])
        ratio = (after - before) / (after + before)
        goes_on, short = s[END + lane] == 0, is_short(ratio)
        s[EARNED + lane] += task.log_weight * log_series(ratio) if goes_on & short else 0.0
        others += 1 if goes_on & (not short) else 0
        s[BEFORE + lane], s[WORTH + lane] = before, after if goes_on else before
    return others


@compiled
def _reward_others(s, count, task):
    for lane in range(FIRST, count):
        before, after = s[BEFORE + lane], s[WORTH + lane]
        if s[END + lane] == 0 and not is_short((after - before) / (after + before)):
            s[EARNED + lane] += task.log_weight * log_return(before, after)


@compiled
def _see(s, task):
    """Lay out what observations say of the accounts."""
    for lane in range(FIRST, EACH):
        first, second, third, fourth, fifth = portfolio_row(
            s[CASH + lane], s[HELD + lane], s[ENTRY + lane], s[BARS + lane], s[PEAK + lane],
            s[CLOSE + lane], task.bars_scale,
        )  # fmt: skip
        s[EXPOSURE + lane], s[UNREALISED + lane], s[TIME + lane] = first, second, third
        s[DRAWDOWN + lane], s[CASH_SHARE + lane] = fourth, fifth


def _compile(digest: int) -> Callable[..., Any]:  # noqa: C901 - see `advance`
    """Compile `advance`, with `digest` in its cache key."""

    @compiled_loop
    def advance(  # noqa: C901 - helpers that take arrays count references
        actions, table, starts, rows, prices, books, counts, moments, rules, task, draw, out, rewards, ends,
        last_out,
    ):  # fmt: skip
        """Take one decision in every account, as `batch.advance_full` does where it has no rule to follow.

        :return: how many episodes ended; -1, and nothing has changed, if an action has no place in the table
        """
        is_wrong = digest < 0
        for i in range(np.uint64(0), np.uint64(len(actions))):
            is_wrong |= (actions[i] < 0) | (actions[i] >= len(table))
        if is_wrong:
            return -1
        rules_, task_, size = _rules(rules), _task(task), np.uint64(len(ends))
        ended, s = 0, np.ones(COLUMNS * LANES)
        for base in range(np.uint64(0), size, EACH):
            count = min(size - base, EACH)
            for field in range(BOOKS):
                for lane in range(FIRST, count):
                    s[field * EACH + lane] = books[field, base + lane]
            for field in range(COUNTS):
                for lane in range(FIRST, count):
                    s[ROW + field * EACH + lane] = counts[field, base + lane]
            for lane in range(FIRST, count):
                s[TARGET + lane] = table[np.uint64(actions[base + lane])]
                s[CLOSE + lane] = prices[np.uint64(counts[0, base + lane]), 3]
            _decide(s, task_)
            for _ in range(task_.decision_every):
                _look(s, task_)
                for lane in range(FIRST, count):  # an account whose episode is over stays where it is
                    at = np.uint64(np.int64(s[ROW + lane] + (1.0 if s[END + lane] == 0 else 0.0)))
                    _prefetch(rows, np.int64(at))  # from the second cache to the first, for the observation
                    s[OPEN + lane], s[HIGH + lane] = prices[at, 0], prices[at, 1]
                    s[LOW + lane], s[CLOSE + lane] = prices[at, 2], prices[at, 3]
                _order(s, rules_)
                _enter(s)
                _leave(s, rules_)
                _mark(s)
                if _reward(s, task_):
                    _reward_others(s, count, task_)
            _look(s, task_)
            _see(s, task_)
            for field in range(BOOKS):
                for lane in range(FIRST, count):
                    books[field, base + lane] = s[field * EACH + lane]
            for field in range(COUNTS):
                for lane in range(FIRST, count):
                    counts[field, base + lane] = np.int32(s[ROW + field * EACH + lane])
            for lane in range(FIRST, count):
                rewards[base + lane] = s[EARNED + lane] * task_.reward_scale
            for lane in range(FIRST, count):
                ends[base + lane] = np.uint8(s[END + lane])
            for lane in range(FIRST, count):
                i, row = base + lane, np.int64(counts[0, base + lane])
                place = _copied(i, out, rows, row, task_)
                for number in range(np.uint64(PORTFOLIO)):
                    out[i, place + number] = s[EXPOSURE + number * EACH + lane]
                if ends[i]:
                    ended += 1
                    last_out[i] = out[i]
                    _begin(np.int64(i), draw, starts, rows, prices, books, counts, moments, task_, out)
                    row = np.int64(counts[0, i])
                _prefetch(rows, min(row + 1, len(rows) - 1))
                if task_.decision_every > 1:
                    _prefetch(rows, min(row + task_.decision_every, len(rows) - 1))
        return ended

    return advance


advance = _compile(SOURCE_DIGEST)
