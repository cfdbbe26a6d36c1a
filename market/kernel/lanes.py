"""The functions of `step.py` once more, as short loops over columns of a workspace, for `batch_lanes.py`.

A loop's length is constant. The compiler then takes all branches for every account of a vector and keeps of
each what that account needs: the same operations, so the same bits. Nothing depends on guessing which
accounts trade. Several short loops overlap better in the processor than a long one, whose divisions wait for
each other and whose conditions outnumber the registers for them.
"""

import numpy as np

from market.kernel.costs import fee_of
from market.kernel.packing import (
    _exits,
    _no_plan,
    _no_track,
    _sizes,
    _without_ratios,
    _without_stops,
    compiled,
)
from market.kernel.plan import Track
from market.kernel.portfolio import equity, exposure_of, portfolio_row
from market.kernel.rebalance import is_kept
from market.kernel.reward import Moments, is_short, log_return, log_series, reward_of
from market.kernel.risk import is_over
from market.kernel.sizing import sized_order
from market.kernel.step import (
    Book,
    Fill,
    asked_quantity,
    asked_side,
    fill_price,
    filled,
    left,
    marked,
    notional,
    reduced,
)
from market.kernel.triggers import NONE, TAKE, bar_leave, levels
from market.kernel.triggers import STOP as STOP_LOSS

LANES = 64  # accounts that pass through a loop together; lanes behind the last account hold nonsense
FIRST, EACH = np.uint64(0), np.uint64(LANES)  # unsigned: what may be negative costs a look at its sign
COLUMNS = 39
(  # where a column of the workspace begins; the first nine are those of books and counts
    CASH, HELD, ENTRY, PEAK, WATER, STOP, ROW, BARS, LAST, TARGET, OPEN, HIGH, LOW, CLOSE, QUANTITY, PRICE,
    FEE, BEFORE, WORTH, EARNED, END, EXPOSURE, UNREALISED, TIME, DRAWDOWN, CASH_SHARE, RANGE, BRACKET, GOAL,
    LEVEL, PAST, HIGHEST, TRADED, OWN, ASSET, MEAN, SQUARE, BELOW, SIDE,
) = (np.uint64(LANES * column) for column in range(COLUMNS))  # fmt: skip
BOOKS, COUNTS, MOMENTS = np.uint64(6), np.uint64(3), np.uint64(3)


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
def _size(s, task, rules, plan):
    """Leave a target only where it makes an order, cut to what the rules on sizes allow."""
    for lane in range(FIRST, EACH):
        cash, held, close, target = s[CASH + lane], s[HELD + lane], s[CLOSE + lane], s[TARGET + lane]
        exposure = exposure_of(cash, held, close)
        is_order = (target == target) & (not is_kept(target, exposure, task.band))
        is_order &= (target != 0) | (held != 0)
        is_traded, sized, _code = sized_order(
            target, exposure, task.band, _book(s, lane), _no_track(), close, s[RANGE + lane], 0.0, rules, plan
        )
        s[TARGET + lane] = sized if is_order & is_traded else np.nan
        s[WORTH + lane], s[EARNED + lane] = equity(cash, held, close), 0.0


@compiled
def _size_by_risk(s, task, rules, plan):
    sizes = _sizes(
        plan.size_fraction, plan.risk_per_trade, plan.volatility_target, plan.resize_band, plan.stop_atr,
        plan.trailing_atr,
    )  # fmt: skip
    _size(s, task, rules, sizes)


@compiled
def _size_by_volatility(s, task, rules, plan):
    _size(s, task, rules, _sizes(plan.size_fraction, 0.0, plan.volatility_target, plan.resize_band, 0.0, 0.0))


@compiled
def _decide_planned(s, task, rules, plan):
    """Do as `_size` by the rules that are on; stops' distances are for the equity at risk alone.

    Ways that part call functions of different names: calls of one function would be made one again, with
    arguments that are no constants.
    """
    if plan.risk_per_trade > 0:
        _size_by_risk(s, task, rules, plan)
    elif plan.size_fraction > 0 or plan.volatility_target > 0:
        _size_by_volatility(s, task, rules, plan)
    else:
        _decide(s, task)


@compiled
def _look(s, task):
    """Note whose episode has ended, and how."""
    for lane in range(FIRST, EACH):
        is_lost = is_over(s[WORTH + lane], task.ruin, s[PEAK + lane], task.max_drawdown)
        s[END + lane] = 1.0 if is_lost else 2.0 if s[ROW + lane] == s[LAST + lane] else 0.0


@compiled
def _price(s, rules):
    """Lay out what orders would pay or receive at the open."""
    for lane in range(FIRST, EACH):
        open = s[OPEN + lane]
        side = asked_side(_book(s, lane), s[TARGET + lane], open)
        s[SIDE + lane], s[PRICE + lane] = side, fill_price(open, side, rules)


@compiled
def _order(s, rules):
    """Lay out the fills of orders; quantity 0 is none."""
    for lane in range(FIRST, EACH):
        target, price = s[TARGET + lane], s[PRICE + lane]
        quantity = asked_quantity(_book(s, lane), target, s[SIDE + lane], price, rules)
        is_filled = (target == target) & (s[END + lane] == 0)
        s[QUANTITY + lane] = quantity if is_filled else 0.0
        s[FEE + lane] = fee_of(quantity * price, rules.fee_rate, rules.fee_step, rules.guard)
        s[TARGET + lane] = np.nan


@compiled
def _enter(s):
    for lane in range(FIRST, EACH):
        book, _track = filled(_book(s, lane), _no_track(), _fill(s, lane), _no_plan())
        s[CASH + lane], s[HELD + lane], s[ENTRY + lane] = book.cash, book.held, book.entry
        s[BARS + lane], s[WATER + lane], s[STOP + lane] = book.bars_held, book.water, book.stop


@compiled
def _tighten(s, rules, plan):
    """Tighten stops, and lay out targets.

    A stop only tightens, so rules may take turns: each of them alone, one after another, is all of them at
    once, and those that are off cost nothing.
    """
    for lane in range(FIRST, EACH):
        book = _book(s, lane)
        stop, _kind, take, _goal, _bracket = levels(book, _no_track(), s[RANGE + lane], rules, plan)
        s[STOP + lane] = stop if (book.held != 0) & (s[END + lane] == 0) else book.stop
        s[GOAL + lane] = take


@compiled
def _tighten_in_steps(s, rules, trail_step):
    _tighten(s, rules, _exits(0.0, 0.0, trail_step, 0.0, 0.0))


@compiled
def _tighten_by_range(s, rules, stop_atr):
    _tighten(s, rules, _exits(stop_atr, 0.0, 0.0, 0.0, 0.0))


@compiled
def _tighten_planned(s, rules, plan):
    """Do as `_tighten` by the rules of a plan that are on."""
    rest = _without_stops(rules)
    if plan.trail_step > 0:
        _tighten_in_steps(s, rules, plan.trail_step)
        if plan.stop_atr > 0:
            _tighten(s, rest, _exits(plan.stop_atr, 0.0, 0.0, 0.0, 0.0))
    elif plan.stop_atr > 0:
        _tighten_by_range(s, rules, plan.stop_atr)
    else:
        _tighten(s, rules, _no_plan())
    if plan.trailing_atr > 0:
        _tighten(s, rest, _exits(0.0, plan.trailing_atr, 0.0, 0.0, 0.0))
    if plan.break_even > 0:
        _tighten(s, rest, _exits(0.0, 0.0, 0.0, 0.0, plan.break_even))
    if plan.reward_ratio > 0:
        _aim(s, rest, _exits(0.0, 0.0, 0.0, plan.reward_ratio, 0.0))


@compiled
def _remembered(s, lane):
    """Redraw what is left to remember without statistics and cycles; base only says whether any is held."""
    base = 1.0 if s[HELD + lane] != 0 else 0.0
    return Track(0, s[BRACKET + lane], base, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@compiled
def _aim(s, rules, plan):
    """Set brackets once the stops are known, and lay out the nearer targets."""
    for lane in range(FIRST, EACH):
        book, track = _book(s, lane), _remembered(s, lane)
        _stop, _kind, take, _goal, bracket = levels(book, track, s[RANGE + lane], rules, plan)
        s[BRACKET + lane] = bracket if (book.held != 0) & (s[END + lane] == 0) else track.take
        s[GOAL + lane] = take


@compiled
def _forget(s, plan):
    """Let go of brackets whose position the laid out fill opens anew, turns or ends."""
    for lane in range(FIRST, EACH):
        _after, track = filled(_book(s, lane), _remembered(s, lane), _fill(s, lane), plan)
        s[BRACKET + lane] = track.take


@compiled
def _reach(s, plan):
    """Lay out the levels at which positions are left; NaN is none."""
    for lane in range(FIRST, EACH):
        book = _book(s, lane)
        level, reason = bar_leave(
            book,
            s[OPEN + lane],
            s[HIGH + lane],
            s[LOW + lane],
            book.stop,
            STOP_LOSS,
            s[GOAL + lane],
            TAKE,
            plan,
        )
        is_left = (reason != NONE) & (book.held != 0) & (s[END + lane] == 0)
        s[LEVEL + lane] = level if is_left else np.nan


@compiled
def _exit(s, rules):
    """Lay out the fills of exits; quantity 0 is none."""
    for lane in range(FIRST, EACH):
        level = s[LEVEL + lane]
        fill = left(_book(s, lane), level, STOP_LOSS, rules)  # which exit it is changes no fill
        s[QUANTITY + lane] = fill.quantity if level == level else 0.0
        s[PRICE + lane], s[FEE + lane] = fill.price, fill.fee


@compiled
def _mark(s):
    """Book the exits, and mark the accounts that are not over at the close."""
    for lane in range(FIRST, EACH):
        goes_on = s[END + lane] == 0
        book, _track = reduced(_book(s, lane), _no_track(), _fill(s, lane), _no_plan())
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
def _note(s):
    """Keep what a reward compares the next close with."""
    for lane in range(FIRST, EACH):
        s[PAST + lane], s[HIGHEST + lane], s[TRADED + lane] = s[CLOSE + lane], s[PEAK + lane], 0.0


@compiled
def _note_traded(s):
    for lane in range(FIRST, EACH):
        fill = _fill(s, lane)
        s[TRADED + lane] += notional(fill) if fill.quantity != 0 else 0.0  # no fill has no price


@compiled
def _return(s):
    """Lay out log returns where a series serves them; return how many accounts need a logarithm."""
    others = 0
    for lane in range(FIRST, EACH):
        before, after = s[WORTH + lane], equity(s[CASH + lane], s[HELD + lane], s[CLOSE + lane])
        past, close = s[PAST + lane], s[CLOSE + lane]
        own, asset = (after - before) / (after + before), (close - past) / (close + past)
        s[OWN + lane], s[ASSET + lane] = log_series(own), log_series(asset)
        goes_on = s[END + lane] == 0
        others += 1 if goes_on & (not (is_short(own) & is_short(asset))) else 0
        s[BEFORE + lane], s[WORTH + lane] = before, after if goes_on else before
    return others


@compiled
def _return_others(s, count):
    for lane in range(FIRST, count):
        if s[END + lane] == 0:
            s[OWN + lane] = log_return(s[BEFORE + lane], s[WORTH + lane])
            s[ASSET + lane] = log_return(s[PAST + lane], s[CLOSE + lane])


@compiled
def _reward_by(s, terms):
    """Add the bar's reward by all terms, from the returns that are laid out."""
    for lane in range(FIRST, EACH):
        before = Moments(s[MEAN + lane], s[SQUARE + lane], s[BELOW + lane])
        reward, after = reward_of(
            s[OWN + lane], s[ASSET + lane], s[BEFORE + lane], s[WORTH + lane], s[HIGHEST + lane],
            s[PEAK + lane], s[TRADED + lane], before, terms,
        )  # fmt: skip
        goes_on = s[END + lane] == 0
        s[EARNED + lane] += reward if goes_on else 0.0
        s[MEAN + lane] = after.mean if goes_on else before.mean
        s[SQUARE + lane] = after.square if goes_on else before.square
        s[BELOW + lane] = after.below if goes_on else before.below


@compiled
def _reward_planned(s, count, terms):
    """Add the bar's reward by the terms that have a weight."""
    if _return(s):
        _return_others(s, count)
    if terms.sharpe > 0 or terms.sortino > 0:
        _reward_by(s, terms)
    else:
        _reward_by(s, _without_ratios(terms))


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
