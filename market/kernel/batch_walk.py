"""One account over a whole stretch of bars, compiled: what a backtest lives through between two decisions.

`compile_walk` joins the functions of the kernel to one loop around a function that answers for the policy.
Where it has no answer the loop stops, and goes on from there once it is given one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from market.kernel import futures, risk
from market.kernel.batch import _loaded, _store
from market.kernel.futures import Margin, cap_at, step_market
from market.kernel.packing import (
    _capped_rules,
    _keep_track,
    _keep_watch,
    _plan,
    _track,
    _watch,
    _watch_rules,
    compiled,
    compiled_loop,
)
from market.kernel.portfolio import equity, exposure_of
from market.kernel.risk import OK, cap_exposure
from market.kernel.sizing import sized_order
from market.kernel.step import marked
from market.kernel.triggers import NONE, bar_exit, take_price
from market.kernel.watch import close_seen, fills_seen, watched_target

compiled(risk.cap_exposure)
compiled(futures.cap_at)
compiled(futures.step_market)

BUY = 1  # agents.spaces: the action that is sure of being long
SIZES, CAPS, ACTIONS = 2048, 64, 64  # codes of `sizing` below KEPT, codes of `breakers`, most actions counted
DECISIONS, GATED, ACTED, SIZED = 0, 1, 2, 2 + ACTIONS  # columns of the tallies
CUT = SIZED + SIZES
COLUMNS = CUT + CAPS
FILLS, FUNDING, HALTED, HALTED_BY = range(4)  # places of the notes


class Asking(NamedTuple):
    """What lies between an opinion and an order; plain numbers."""

    max_exposure: float
    band: float  # changes of exposure smaller than this are not worth their costs
    confidence: float  # least probability of the chosen action
    min_move: float  # least range of the last `move_bars` closes, as a fraction of the lowest; 0 is off
    move_bars: int
    bars_scale: float  # see portfolio.portfolio_row
    is_capped: int
    is_watched: int


@compiled
def _asking(v):
    return Asking(v[0], v[1], v[2], v[3], int(v[4]), v[5], int(v[6]), int(v[7]))


@compiled
def _count(tallies, column, row):
    """Count one more, and note at which row the first one was."""
    if tallies[0, column] == 0:
        tallies[1, column] = row
    tallies[0, column] += 1


@compiled
def _is_quiet(closes, row, asking):
    """Say whether the last closes moved less than an entry wants; `agents.gate` words it."""
    lowest = highest = closes[row]
    for past in range(max(0, row + 1 - asking.move_bars), row):
        lowest, highest = min(lowest, closes[past]), max(highest, closes[past])
    return (highest - lowest) / lowest < asking.min_move


@compiled
def _is_gated(wish, confidence, exposure, closes, row, asking):
    """Say whether an opinion is too doubtful to follow, or the market too quiet to enlarge a position."""
    if confidence < asking.confidence:
        return True
    if asking.min_move <= 0 or (abs(wish) <= abs(exposure) and wish * exposure >= 0):
        return False
    return _is_quiet(closes, row, asking)


@compiled
def _is_uneventful(book, is_order, target, open, high, low, take_profit):
    """Say whether a bar only marks an account whose stop does not move and has been set before.

    Then the whole of `step_market` would change nothing else.
    """
    if is_order and (target != 0 or book.held != 0):
        return False
    take = take_price(book.held, book.entry, take_profit)
    _price, reason = bar_exit(book.held, book.entry, open, high, low, book.stop, take)
    return reason == NONE


def compile_walk(answer: Callable[..., Any], digest: int) -> Callable[..., Any]:  # noqa: C901 - see `walk`
    """Compile `walk` around a function that answers for the policy.

    :param answer: answer(row, book, close, exposure, asking, mind) returns (is known, action, exposure
        wanted, confidence): an action above 0 is counted; NaN keeps what is held, NaN is no confidence
    :param digest: of all sources, a free variable, so that numba's cache key holds it
    """

    @compiled_loop
    def walk(  # noqa: C901 - one flat loop, as `batch.advance`
        opens, highs, lows, closes, open_ms, ranges, funding, due, mind, books, counts, tracks, watches,
        rules, plan, margin, watching, asking, given, first, end, equities, exposures, fills, notes, tallies,
    ):  # fmt: skip
        """Live from the row in `counts` on, to the row `end` or to a decision without an answer; return it.

        Arrays of bars are (n,); the account's are as of `batch.advance` for one account, and are updated.

        :param due: uint8, 1 where the policy decides at the bar's close
        :param given: float64 (3,): 1 and, for the present row, the exposure wanted after the gate and the
            conviction; 0 once they are used
        :param equities, exposures: float64 (n - first,), of every close
        :param fills: float64 (2 n, 5): row, quantity, price, fee, reason
        :param notes: float64 (4,): fills so far, funding paid, row that halted (-1 is none), its code
        :param tallies: int64 (2, COLUMNS): how often, and the row of the first time
        """
        rules_, plan_, asking_ = _capped_rules(rules), _plan(plan), _asking(asking)
        margin_ = Margin(margin[0], margin[1])
        watching_, interval_ms = _watch_rules(watching), int(watching[18])
        book, track, seen = _loaded(0, books, counts), _track(0, tracks), _watch(0, watches)
        is_bare = not (plan_.is_on > 0 or margin_.leverage > 0 or rules_.trailing > 0 or asking_.is_watched)
        row, count, halted = counts[0, 0], int(notes[FILLS]), notes[HALTED] >= 0
        while row < end and digest >= 0:
            close, exposure = closes[row], exposures[row - first]
            is_order, target = False, 0.0
            if halted:
                is_order = book.held != 0
            elif due[row]:
                if given[0] > 0:
                    target, conviction = given[1], given[2]
                    given[0] = 0.0
                else:
                    is_known, action, target, confidence = answer(row, book, close, exposure, asking_, mind)
                    if not is_known:
                        break
                    _count(tallies, DECISIONS, row)
                    _count(tallies, ACTED + action, row)
                    conviction = 1.0 if action == BUY else 0.0
                    if target == target and _is_gated(target, confidence, exposure, closes, row, asking_):
                        _count(tallies, GATED, row)
                        target = close * float("nan")
                if target == target:
                    is_order = True
                    target, _code = cap_exposure(target, asking_.max_exposure)
                    if plan_.is_on > 0 and (target != 0 or book.held != 0):
                        is_order, target, code = sized_order(
                            target, exposure, asking_.band, book, track, close, ranges[row], conviction,
                            rules_, plan_,
                        )  # fmt: skip
                        _count(tallies, SIZED + code % SIZES, row)
                    if is_order and asking_.is_watched:
                        at_ms = open_ms[row] + interval_ms
                        allowed = watched_target(seen, watching_, target, exposure, at_ms)
                        is_order, target = (allowed != exposure) | (exposure == target), allowed
                    target = target if is_order else 0.0
                else:
                    target = 0.0
            atr = ranges[row]
            row += 1
            open, close = opens[row], closes[row]
            if is_bare and _is_uneventful(
                book, is_order, target, open, highs[row], lows[row], rules_.take_profit
            ):
                book = marked(book, highs[row], lows[row], close)
                equities[row - first] = equity(book.cash, book.held, close)
                exposures[row - first] = exposure_of(book.cash, book.held, close)
                continue
            if is_order and asking_.is_capped:
                _count(tallies, CUT + cap_at(book, target, open, rules_, margin_), row)
            held, entry = book.held, book.entry
            book, track, order, exit, paid = step_market(
                book, track, is_order, target, open, highs[row], lows[row], close, atr, funding[row], rules_,
                plan_, margin_,
            )  # fmt: skip
            notes[FUNDING] += paid
            for fill in (order, exit):
                if fill.quantity != 0:
                    fills[count, 0], fills[count, 1], fills[count, 2] = row, fill.quantity, fill.price
                    fills[count, 3], fills[count, 4] = fill.fee, fill.reason
                    count += 1
            worth = equity(book.cash, book.held, close)
            equities[row - first] = worth
            exposures[row - first] = exposure_of(book.cash, book.held, close)
            if asking_.is_watched:
                closed_ms = open_ms[row] + interval_ms
                seen = fills_seen(seen, held, entry, order, exit, open_ms[row], closed_ms)
                seen, halt = close_seen(seen, watching_, worth, book.peak, book.held == 0, closed_ms)
                if halt != OK and not halted:
                    halted, notes[HALTED], notes[HALTED_BY] = True, row, halt
        _store(0, row, book, books, counts)
        _keep_track(0, tracks, track)
        _keep_watch(0, watches, seen)
        notes[FILLS] = count
        return row

    return walk
