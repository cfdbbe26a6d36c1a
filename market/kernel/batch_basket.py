"""Accounts over several pairs, many at once: `basket.py` compiled, together with what `batch.py` compiles.

Accounts with exits, breakers or guards have `batch_basket_rules.advance`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from market.kernel import basket
from market.kernel.basket import (
    account_row,
    basket_worth,
    mean_growth,
    rebalanced,
    target_weights,
    traded,
    wanted_orders,
)
from market.kernel.batch import SOURCE_DIGEST, _mixed
from market.kernel.packing import _rules, _task, _terms, compiled, compiled_loop
from market.kernel.reward import Moments, bar_reward
from market.kernel.risk import is_over

for function in (
    target_weights, basket_worth, wanted_orders, basket.of_pair, basket._others, rebalanced, traded,
    mean_growth, account_row,
):  # fmt: skip
    compiled(function)


@compiled
def _observe(i, out, features, row, cash, peak, held, entry, closes, task):
    """Write one observation: the window's rows of all pairs' features, then the account."""
    place = 0
    for past in range(row + 1 - task.window, row + 1):
        for column in range(task.features):
            out[i, place] = features[past, column]
            place += 1
    account_row(cash, held[i], entry[i], peak, closes[row], out[i], place)


@compiled
def _begin(i, draw, starts, features, closes, books, held, entry, counts, moments, task, out):
    """Put account i at the start of a fresh episode and write its first observation."""
    row = np.int64(starts[_mixed(draw, i) % np.uint64(len(starts))])
    books[i, 0] = books[i, 1] = task.initial_cash
    for pair in range(held.shape[1]):
        held[i, pair] = entry[i, pair] = 0.0
    counts[i, 0], counts[i, 1] = row, row + task.episode_bars if task.episode_bars else len(closes) - 1
    noted = min(i, len(moments) - 1)  # a reward without moments has one row of them, which stays 0
    moments[noted, 0] = moments[noted, 1] = moments[noted, 2] = 0.0
    _observe(i, out, features, row, task.initial_cash, task.initial_cash, held, entry, closes, task)


def _compile_beginnings(digest: int) -> tuple[Callable[..., Any], ...]:
    """Compile `start` and `observe`. `digest` is a free variable of theirs, so numba's cache key holds it."""

    @compiled_loop
    def start(starts, features, closes, books, held, entry, counts, moments, task, draw, out):
        """Begin an episode at one of `starts` in every account, its first observation in `out`."""
        if digest < 0:
            return
        for i in range(len(counts)):
            _begin(i, draw, starts, features, closes, books, held, entry, counts, moments, _task(task), out)

    @compiled_loop
    def observe(features, closes, books, held, entry, counts, task, out):
        """Write what every account sees now to `out`."""
        if digest < 0:
            return
        for i in range(len(counts)):
            row = np.int64(counts[i, 0])
            _observe(i, out, features, row, books[i, 0], books[i, 1], held, entry, closes, _task(task))

    return start, observe


def _compile_advance(digest: int) -> Callable[..., Any]:
    """Compile `advance`, with `digest` in its cache key, as one flat loop over scalar helpers."""

    @compiled_loop
    def advance(
        actions, top, starts, features, opens, closes, books, held, entry, counts, moments, rules, ticks,
        steps, terms, task, draw, out, rewards, ends, last_out,
    ):  # fmt: skip
        """Take one decision in every account: rebalance, reward, observe, begin anew where an episode ended.

        :param actions: float64 (N, k), wishes in -1..1; `top` is the most that weights may add up to
        :param features: float32 (n, C), all pairs' features side by side
        :param opens, closes: float64 (n, k)
        :param books: float64 (N, 2), cash and peak equity; `held`, `entry` float64 (N, k)
        :param counts: int32 (N, 2), row and last row of the episode; `moments` float64 (N or 1, 3)
        :return: how many episodes ended
        """
        ended, pairs = 0, held.shape[1]
        rules_, task_, terms_ = _rules(rules), _task(task), _terms(terms)
        weights, orders = np.empty(pairs), np.empty(pairs, np.int64)
        quantities, prices, fees = np.empty(pairs), np.empty(pairs), np.empty(pairs)
        if digest < 0:
            return -1
        for i in range(len(counts)):
            row, last = np.int64(counts[i, 0]), np.int64(counts[i, 1])
            cash, peak, earned = books[i, 0], books[i, 1], 0.0
            own, paid = held[i], entry[i]
            at = min(i, len(moments) - 1)
            noted = Moments(moments[at, 0], moments[at, 1], moments[at, 2])
            target_weights(actions[i], top, weights)
            wanted = wanted_orders(weights, cash, own, closes[row], task_.band, orders)
            after = basket_worth(cash, own, closes[row])
            for _ in range(task_.decision_every):
                if row == last or is_over(after, task_.ruin, peak, task_.max_drawdown):
                    break
                row += 1
                before, peak_before, moved = after, peak, 0.0
                if wanted > 0:
                    cash = rebalanced(
                        cash, own, paid, weights, orders, opens[row], ticks, steps, rules_, quantities,
                        prices, fees, None,
                    )  # fmt: skip
                    moved = traded(quantities, prices)
                    wanted = 0
                after = basket_worth(cash, own, closes[row])
                peak = max(peak, after)
                worth, noted = bar_reward(
                    before, after, peak_before, peak, 1.0, mean_growth(closes[row - 1], closes[row]), moved,
                    noted, terms_,
                )  # fmt: skip
                earned += worth
            rewards[i] = earned * task_.reward_scale
            books[i, 0], books[i, 1], counts[i, 0] = cash, peak, row
            moments[at, 0], moments[at, 1], moments[at, 2] = noted.mean, noted.square, noted.below
            _observe(i, out, features, row, cash, peak, held, entry, closes, task_)
            is_lost = is_over(after, task_.ruin, peak, task_.max_drawdown)
            end = 1 if is_lost else 2 if row == last else 0
            ends[i] = end
            if end:
                ended += 1
                last_out[i] = out[i]
                _begin(i, draw, starts, features, closes, books, held, entry, counts, moments, task_, out)
        return ended

    return advance


start, observe = _compile_beginnings(SOURCE_DIGEST)
advance = _compile_advance(SOURCE_DIGEST)
