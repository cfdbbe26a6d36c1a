"""Accounts over several pairs with exits, breakers or guards, many at once: `basket_rules.py` compiled."""

from collections.abc import Callable
from typing import Any

import numpy as np

from market.kernel import basket_rules
from market.kernel.basket import basket_worth, mean_growth, target_weights, traded, wanted_orders
from market.kernel.basket_rules import (
    Bars,
    Fills,
    basket_bar,
    closes_seen,
    keep_watch,
    watched_orders,
)
from market.kernel.batch import SOURCE_DIGEST
from market.kernel.batch_basket import _begin, _observe
from market.kernel.packing import (
    _capped_rules,
    _plan,
    _task,
    _terms,
    _watch_rules,
    compiled,
    compiled_loop,
)
from market.kernel.reward import Moments, bar_reward
from market.kernel.risk import OK, is_over
from market.kernel.watch import open_watch

for function in (
    basket_rules._copied, basket_rules._position, basket_rules._followed, basket_rules._left,
    basket_rules._noted, basket_bar, watched_orders, closes_seen,
):  # fmt: skip
    compiled(function)


def _compile_advance(digest: int) -> Callable[..., Any]:  # noqa: C901 - see `advance`
    """Compile `advance`, with `digest` in its cache key, as one flat loop over scalar helpers."""

    @compiled_loop
    def advance(  # noqa: C901 - helpers that take arrays count references
        actions, top, starts, features, opens, highs, lows, closes, ranges, times, books, held, entry,
        counts, moments, legs, watches, rules, plan, watching, has_exits, is_watched, ticks, steps, terms,
        task, draw, out, rewards, ends, last_out,
    ):  # fmt: skip
        """Take one decision in every account, as `batch_basket.advance` does, under rules of `basket_rules`.

        :param highs, lows, ranges: float64 (n, k); the average true range at every close
        :param times: int64 (n,), open time of every bar, ms
        :param legs: float64 (N, k, 5), read where `has_exits`; see `basket_rules.Leg`
        :param watches: float64 (N, k + 1, 11), read where `is_watched`; `watching` holds the rules and the
            bars' length, ms
        :return: how many episodes ended
        """
        ended, pairs = 0, held.shape[1]
        rules_, task_, terms_, plan_ = _capped_rules(rules), _task(task), _terms(terms), _plan(plan)
        watching_, interval_ms = _watch_rules(watching), np.int64(watching[18])
        weights, orders, cuts = np.empty(pairs), np.empty(pairs, np.int64), np.empty(pairs, np.int64)
        was, paid = np.empty(pairs), np.empty(pairs)
        fills = Fills(
            np.empty(2 * pairs), np.empty(2 * pairs), np.empty(2 * pairs), np.empty(2 * pairs, np.int64)
        )
        if digest < 0:
            return -1
        for i in range(len(counts)):
            row, last = np.int64(counts[i, 0]), np.int64(counts[i, 1])
            cash, peak, earned, halt = books[i, 0], books[i, 1], 0.0, np.int64(OK)
            own, costs = held[i], entry[i]
            leg, seen = legs[i if has_exits else 0], watches[i if is_watched else 0]
            at = min(i, len(moments) - 1)
            noted = Moments(moments[at, 0], moments[at, 1], moments[at, 2])
            target_weights(actions[i], top, weights)
            wanted = wanted_orders(weights, cash, own, closes[row], task_.band, orders)
            if is_watched:
                closed_ms = times[row] + interval_ms
                wanted = watched_orders(weights, orders, cash, own, closes[row], seen, watching_, closed_ms)
            after = basket_worth(cash, own, closes[row])
            for _ in range(task_.decision_every):
                if row == last or is_over(after, task_.ruin, peak, task_.max_drawdown) or halt != OK:
                    break
                row += 1
                before, peak_before = after, peak
                bars = Bars(opens[row], highs[row], lows[row], closes[row], ranges[row - 1])
                closed_ms = times[row] + interval_ms
                cash = basket_bar(
                    cash, own, costs, leg, seen, wanted > 0, weights, orders, bars, times[row], closed_ms,
                    ticks, steps, rules_, plan_, has_exits, is_watched, fills, cuts, was, paid,
                )  # fmt: skip
                wanted = 0
                after = basket_worth(cash, own, closes[row])
                peak = max(peak, after)
                if is_watched:
                    halt = closes_seen(seen, watching_, after, peak, own, closed_ms)
                worth, noted = bar_reward(
                    before, after, peak_before, peak, 1.0, mean_growth(closes[row - 1], closes[row]),
                    traded(fills.quantities, fills.prices), noted, terms_,
                )  # fmt: skip
                earned += worth
            rewards[i] = earned * task_.reward_scale
            books[i, 0], books[i, 1], counts[i, 0] = cash, peak, row
            moments[at, 0], moments[at, 1], moments[at, 2] = noted.mean, noted.square, noted.below
            _observe(i, out, features, row, cash, peak, held, entry, closes, task_)
            is_lost = is_over(after, task_.ruin, peak, task_.max_drawdown) or halt != OK
            end = 1 if is_lost else 2 if row == last else 0
            ends[i] = end
            if end:
                ended += 1
                last_out[i] = out[i]
                _begin(i, draw, starts, features, closes, books, held, entry, counts, moments, task_, out)
                if has_exits:
                    leg[:] = 0.0
                if is_watched:
                    fresh = open_watch(task_.initial_cash, times[counts[i, 0]] + interval_ms)
                    for place in range(pairs + 1):
                        keep_watch(seen, place, fresh)
        return ended

    return advance


advance = _compile_advance(SOURCE_DIGEST)
