"""Teams on many accounts at once: the functions of `team.py` compiled with those of `batch.py`.

Everything is on in this loop, rules on sizing and exits included; an account costs several times that of a
single agent, little against the networks that decide.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from market.kernel import quotes, team
from market.kernel.batch import SOURCE_DIGEST, _begin, _loaded, _observe, _store
from market.kernel.packing import (
    _capped_rules,
    _keep_track,
    _keep_watch,
    _no_track,
    _plan,
    _rules,
    _task,
    _terms,
    _track,
    _watch,
    _watch_rules,
    compiled,
    compiled_loop,
)
from market.kernel.portfolio import equity, exposure_of
from market.kernel.quotes import Quoting
from market.kernel.rebalance import is_kept
from market.kernel.reward import Moments, bar_reward
from market.kernel.risk import OK, is_over
from market.kernel.sizing import sized_order
from market.kernel.step import notional, step_bar
from market.kernel.team import (
    handed_out,
    joint_target,
    marked_before,
    shared_bar,
    slice_bar,
    slice_worth,
)
from market.kernel.watch import close_seen, fills_seen, open_watch, watched_target

for function in (
    quotes.quote_prices, quotes.quote_shares, quotes.quote_fill, quotes.desk_bar,
    handed_out, joint_target, team._settled, team._shared_order, team._shared_exit, shared_bar, slice_worth,
    slice_bar, marked_before,
):  # fmt: skip
    compiled(function)
LEAST_WORTH = 1000  # an account's worth over what a slice counts as at least


def _compile(digest: int, is_watched: bool) -> Callable[..., Any]:  # noqa: C901 - see `advance`
    """Compile `advance`, with `digest` in its cache key.

    :param is_watched: True compiles breakers and entry guards in; no other reads `watches` and `watching`
    """

    @compiled_loop
    def advance(  # noqa: C901 - one flat loop, as `batch.advance`
        asked, weights, starts, rows, prices, ranges, opens, books, counts, tracks, moments, watches,
        own_moments, slices, rules, plan, watching, terms, own_terms, desks, quoting, bounds, task, draw, out,
        rewards, own_rewards, growths, ends, last_out,
    ):  # fmt: skip
        """Take one joint decision in every account: trade, reward, observe, begin anew where one ended.

        :param asked: float64 (N, M), exposures that specialists ask for
        :param weights: float64 (N, M), shares of the account, summing to 1
        :param own_moments: float64 (N, M, 3), `reward.Moments` of every specialist; slices float64 (N, M, 8),
            see `market.kernel.team`
        :param own_terms: float64 (M, 8), `reward.Terms`; desks uint8 (M,), 1 where a desk is what pays
        :param quoting: float64 (3,), `quotes.Quoting`; bounds float64 (2,), lowest and highest exposure
        :param own_rewards: float32 (N, M); growths float64 (N, M): worth of every slice over that at first
        :return: how many episodes ended; all other arguments as of `batch.advance`
        """
        ended, wishes, pays = 0, np.empty(asked.shape[1]), np.empty(asked.shape[1])
        if digest < 0:
            return ended
        rules_ = _capped_rules(rules) if is_watched else _rules(rules)
        task_, plan_, terms_ = _task(task), _plan(plan), _terms(terms)
        quoting_ = Quoting(quoting[0], quoting[1], quoting[2])
        watching_, interval_ms = _watch_rules(watching), np.int64(watching[18])
        for i in range(len(asked)):
            row, last = np.int64(counts[0, i]), np.int64(counts[2, i])
            book, close, earned = _loaded(i, books, counts), prices[row, 3], 0.0
            track, noted = _track(i, tracks), Moments(moments[i, 0], moments[i, 1], moments[i, 2])
            seen, halt = _watch(i if is_watched else 0, watches), np.int64(OK)
            after, own_weights, own_slices = equity(book.cash, book.held, close), weights[i], slices[i]
            exposure, floor = exposure_of(book.cash, book.held, close), after / LEAST_WORTH
            for m in range(len(wishes)):
                wishes[m], pays[m] = asked[i, m], 0.0
            handed_out(own_slices, own_weights, book, close)
            first, is_decision = after, True
            target = joint_target(wishes, own_weights)
            is_order = (target != exposure) & (not is_kept(target, exposure, task_.band))
            is_order &= (target != 0) | (book.held != 0)
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
                open_, high, low = prices[row, 0], prices[row, 1], prices[row, 2]
                whole, before, past, close = book, after, close, prices[row, 3]
                book, track, order, exit = step_bar(
                    book, track, is_order, target, open_, high, low, close, atr, rules_, plan_
                )
                after = equity(book.cash, book.held, close)
                worth, noted = bar_reward(
                    before, after, whole.peak, book.peak, past, close, notional(order) + notional(exit),
                    noted, terms_,
                )  # fmt: skip
                earned += worth
                for m in range(len(wishes)):
                    marked_before(own_slices, m, desks[m] == 1, past)
                shared_bar(own_slices, wishes, own_weights, is_decision, whole, order, exit, open_)
                for m in range(len(wishes)):
                    own_noted = Moments(own_moments[i, m, 0], own_moments[i, m, 1], own_moments[i, m, 2])
                    paid, own_noted = slice_bar(
                        own_slices, m, desks[m] == 1, wishes[m], past, high, low, close, bounds[0], bounds[1],
                        floor, quoting_, rules_, own_noted, _terms(own_terms[m]),
                    )  # fmt: skip
                    pays[m] += paid
                    own_moments[i, m, 0], own_moments[i, m, 1] = own_noted.mean, own_noted.square
                    own_moments[i, m, 2] = own_noted.below
                is_order = is_decision = False
                if is_watched:
                    closed_ms = opens[row] + interval_ms
                    seen = fills_seen(seen, whole.held, whole.entry, order, exit, opens[row], closed_ms)
                    seen, halt = close_seen(seen, watching_, after, book.peak, book.held == 0, closed_ms)
            rewards[i] = earned * task_.reward_scale
            for m in range(len(wishes)):
                own_rewards[i, m] = pays[m] * task_.reward_scale
                growths[i, m] = max(slice_worth(own_slices, m, close), floor) / first
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
                own_moments[i], slices[i] = 0.0, 0.0
                if is_watched:
                    closed_ms = opens[counts[0, i]] + interval_ms
                    _keep_watch(i, watches, open_watch(task_.initial_cash, closed_ms))
        return ended

    return advance


advance = _compile(SOURCE_DIGEST, is_watched=False)
advance_watched = _compile(SOURCE_DIGEST, is_watched=True)
