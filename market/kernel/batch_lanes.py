"""Accounts stepped side by side in the lanes of vector instructions: what `lanes.py` compiles, in one loop.

Which rules stay with the loops from account to account of `batch.py` is `agents.envs.batched`'s choice: those
that need statistics of closed trades or averaging cycles, futures, breakers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from market.kernel.batch import SOURCE_DIGEST, _begin, _copied
from market.kernel.lanes import (
    BOOKS,
    BRACKET,
    CLOSE,
    COLUMNS,
    COUNTS,
    EACH,
    EARNED,
    END,
    EXPOSURE,
    FIRST,
    HIGH,
    LANES,
    LOW,
    MEAN,
    MOMENTS,
    OPEN,
    RANGE,
    ROW,
    TARGET,
    _decide,
    _decide_planned,
    _enter,
    _exit,
    _forget,
    _look,
    _mark,
    _note,
    _note_traded,
    _order,
    _price,
    _reach,
    _reward,
    _reward_others,
    _reward_planned,
    _see,
    _tighten,
    _tighten_planned,
)
from market.kernel.packing import (
    PLAN,
    PORTFOLIO,
    RANGED,
    TASK,
    TERMS,
    _exits,
    _no_plan,
    _plan,
    _prefetch,
    _prefetch_far,
    _rules,
    _task,
    _terms,
    compiled_loop,
)


def _compile(digest: int, is_planned: bool = False) -> Callable[..., Any]:  # noqa: C901 - see `advance`
    """Compile `advance`, with `digest` in its cache key.

    :param is_planned: True compiles the loop with a plan; no other reads `planned`
    """

    @compiled_loop
    def advance(  # noqa: C901 - helpers that take arrays count references
        actions, table, starts, rows, books, counts, moments, brackets, settings, draw, out, rewards, ends,
        last_out,
    ):  # fmt: skip
        """Take one decision in every account, as `batch.advance_full` does.

        :param brackets: float64 (N, 1), targets that were set at entry; only a plan with them reads these
        :param settings: float64 (57,), rules, task, plan and terms behind each other: every array that a call
            takes costs it as much as some accounts
        :return: how many episodes ended; -1, and nothing has changed, if an action has no place in the table
        """
        is_wrong = digest < 0
        for i in range(np.uint64(0), np.uint64(len(actions))):
            is_wrong |= (actions[i] < 0) | (actions[i] >= len(table))
        if is_wrong:
            return -1
        rules_, task_, size = _rules(settings), _task(settings[TASK:]), np.uint64(len(ends))
        prices = rows.view(np.float64)
        ended, s = 0, np.empty(COLUMNS * LANES)
        if size % EACH:
            s[:] = 1.0  # lanes without an account
        if is_planned:
            plan_, terms_ = _plan(settings[PLAN:]), _terms(settings[TERMS:])
            penalties = terms_.drawdown + terms_.holding_risk + terms_.turnover
            rates = terms_.sharpe > 0 or terms_.sortino > 0
            is_rich = rates or penalties + terms_.benchmark > 0
            aims = plan_.reward_ratio > 0
            is_ranged = task_.head == RANGED
            bracketing = _exits(0.0, 0.0, 0.0, plan_.reward_ratio, 0.0)
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
            if is_planned:
                if is_ranged:
                    for lane in range(FIRST, count):
                        s[RANGE + lane] = prices[np.uint64(counts[0, base + lane]), 4]
                if aims:
                    for lane in range(FIRST, count):
                        s[BRACKET + lane] = brackets[base + lane, 0]
                if rates:
                    for field in range(MOMENTS):
                        for lane in range(FIRST, count):
                            s[MEAN + field * EACH + lane] = moments[base + lane, field]
                _decide_planned(s, task_, rules_, plan_)
            else:
                _decide(s, task_)
            for _ in range(task_.decision_every):
                _look(s, task_)
                if is_planned and is_rich:
                    _note(s)
                for lane in range(FIRST, count):  # an account whose episode is over stays where it is
                    at = np.uint64(np.int64(s[ROW + lane] + (1.0 if s[END + lane] == 0 else 0.0)))
                    _prefetch(rows, np.int64(at))  # from the second cache to the first, for the observation
                    s[OPEN + lane], s[HIGH + lane] = prices[at, 0], prices[at, 1]
                    s[LOW + lane], s[CLOSE + lane] = prices[at, 2], prices[at, 3]
                _price(s, rules_)
                _order(s, rules_)
                if is_planned:
                    if is_rich:
                        _note_traded(s)
                    if aims:
                        _forget(s, bracketing)
                    _enter(s)
                    _tighten_planned(s, rules_, plan_)
                    _reach(s, plan_)
                    _exit(s, rules_)
                    if is_rich:
                        _note_traded(s)
                    if aims:
                        _forget(s, bracketing)
                    _mark(s)
                    if is_ranged and task_.decision_every > 1:
                        for lane in range(FIRST, count):
                            s[RANGE + lane] = prices[np.uint64(np.int64(s[ROW + lane])), 4]
                else:
                    _enter(s)
                    _tighten(s, rules_, _no_plan())
                    _reach(s, _no_plan())
                    _exit(s, rules_)
                    _mark(s)
                if is_planned and is_rich:
                    _reward_planned(s, count, terms_)
                elif _reward(s, task_):
                    _reward_others(s, count, task_)
            _look(s, task_)
            _see(s, task_)
            for field in range(BOOKS):
                for lane in range(FIRST, count):
                    books[field, base + lane] = s[field * EACH + lane]
            for field in range(COUNTS):
                for lane in range(FIRST, count):
                    counts[field, base + lane] = np.int32(s[ROW + field * EACH + lane])
            if is_planned and aims:
                for lane in range(FIRST, count):
                    brackets[base + lane, 0] = s[BRACKET + lane]
            if is_planned and rates:
                for field in range(MOMENTS):
                    for lane in range(FIRST, count):
                        moments[base + lane, field] = s[MEAN + field * EACH + lane]
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
                    if is_planned and aims:
                        brackets[i, 0] = 0.0
                _prefetch_far(rows, min(row + 1, len(rows) - 1))
                if task_.decision_every > 1:
                    _prefetch_far(rows, min(row + task_.decision_every, len(rows) - 1))
        return ended

    return advance


advance = _compile(SOURCE_DIGEST)
advance_planned = _compile(SOURCE_DIGEST, is_planned=True)
