"""Exits inside a bar: stops, targets, trailing, time. Prices in quote currency; 0 switches one off.

Levels of a position only tighten: a stop is kept until a nearer one replaces it, whatever prices, ranges and
averages do. As everything is known at a bar's beginning, a bar's own range never moves its own levels.
"""

from market.kernel.instrument import step_count
from market.kernel.lowrider import give_up_price, profit_price

NONE, STOP, TAKE, TRAILING, ATR_STOP, ATR_TRAILING, BREAK_EVEN, TIME, BRACKET, GIVE_UP, PROFIT = range(11)
LIQUIDATION = 11  # of futures only
EXIT_REASONS = {
    NONE: "",
    STOP: "stop-loss",
    TAKE: "take-profit",
    TRAILING: "trailing stop",
    ATR_STOP: "ATR stop",
    ATR_TRAILING: "ATR trailing stop",
    BREAK_EVEN: "break-even stop",
    TIME: "time stop",
    BRACKET: "bracket target",
    GIVE_UP: "maximum loss of the cycle",
    PROFIT: "profit target of the cycle",
    LIQUIDATION: "liquidation",
}


def stop_price(held, entry, fraction):
    """Return the price `fraction` on the losing side of the entry; 0 (off) for fraction 0 or no position."""
    if fraction <= 0 or held == 0:
        return entry - entry
    side = 1 if held > 0 else -1
    return entry * (1 - side * fraction)


def take_price(held, entry, fraction):
    """Return the price `fraction` on the winning side of the entry; 0 (off) for fraction 0 or no position."""
    if fraction <= 0 or held == 0:
        return entry - entry
    side = 1 if held > 0 else -1
    return entry * (1 + side * fraction)


def best_price(water, high, low, side):
    """Return the best price since entry once a bar (or a tick, high = low) has passed."""
    return max(water, high) if side > 0 else min(water, low)


def bar_exit(held, entry, open, high, low, stop, take):
    """Return (price, reason) of the exit a bar forces; reason NONE and price 0 if it forces none.

    A gap through a level fills at the open, not at the level. A bar that opens beyond the target has reached
    it first; else, when it touches both the stop and the target, the stop counts, because bars do not say
    which came first. A tick is a bar with open = high = low.

    :param held: signed position; nothing is forced when flat
    :param entry: average entry price; a position without one (0) is left alone, its levels are unknown
    """
    nothing = open - open
    if held == 0 or entry == 0:
        return nothing, NONE
    side = 1 if held > 0 else -1
    worst, best = (low, high) if held > 0 else (high, low)
    is_gone = (take > 0) & (side * (open - take) >= 0)
    if (stop > 0) & (side * (worst - stop) <= 0) & (not is_gone):
        return (min(open, stop) if held > 0 else max(open, stop)), STOP
    if (take > 0) & (side * (best - take) >= 0):
        return (max(open, take) if held > 0 else min(open, take)), TAKE
    return nothing, NONE


def levels(book, track, atr, rules, plan):
    """Return (stop, its rule, take, its rule, bracket) of an open position; prices of 0 are none.

    :param book: with the stop so far, in `track.kind` the rule that set it
    :param atr: average true range of closed bars, quote currency; 0, not known, moves no level
    :return: the tightest stop, the nearest target, and the bracket's target, which is set at entry once
    """
    side = 1 if book.held > 0 else -1
    entry, water, stop, kind = book.entry, book.water, book.stop, track.kind
    if rules.stop_loss > 0:
        stop, kind = tighter(stop, kind, stop_price(book.held, entry, rules.stop_loss), STOP, side)
    if plan.is_on > 0 and plan.trail_step > 0:
        water = stepped_best(entry, water, plan.trail_step, side, rules.guard)
    if rules.trailing > 0:
        stop, kind = tighter(stop, kind, water * (1 - side * rules.trailing), TRAILING, side)
    take = take_price(book.held, entry, rules.take_profit)
    if plan.is_on > 0:
        return _planned(book, track, atr, rules, plan, side, stop, kind, take)
    return stop, kind, take, TAKE, track.take


def _planned(book, track, atr, rules, plan, side, stop, kind, take):
    """Return what `levels` does, with the rules of the plan laid over the plain ones."""
    entry, goal, bracket = book.entry, TAKE, track.take
    if plan.stop_atr > 0 and atr > 0 and book.bars_held == 0:
        stop, kind = tighter(stop, kind, entry - side * plan.stop_atr * atr, ATR_STOP, side)
    if plan.trailing_atr > 0 and atr > 0:
        stop, kind = tighter(stop, kind, book.water - side * plan.trailing_atr * atr, ATR_TRAILING, side)
    if plan.break_even > 0:
        even = break_even_stop(entry, book.water, plan.break_even, rules.fee_rate, side)
        stop, kind = tighter(stop, kind, even, BREAK_EVEN, side)
    if plan.reward_ratio > 0 and bracket == 0 and book.bars_held == 0 and stop > 0:
        bracket = entry + plan.reward_ratio * (entry - stop)
    take, goal = nearer(take, goal, bracket, BRACKET, side)
    if plan.dca_lots > 0 and side > 0 and track.base > 0:
        given_up = give_up_price(book.cash, book.held, track.base, rules, plan)
        stop, kind = tighter(stop, kind, given_up, GIVE_UP, side)
        goal_price = profit_price(book.cash, book.held, track.base, rules, plan)
        take, goal = nearer(take, goal, goal_price, PROFIT, side)
    return stop, kind, take, goal, bracket


def tighter(stop, kind, level, rule, side):
    """Return the stop nearer to the price and the rule it belongs to; the present one wins a tie."""
    is_nearer = (level > 0) & ((stop <= 0) | (side * (level - stop) > 0))
    return (level, rule) if is_nearer else (stop, kind)


def nearer(take, goal, level, rule, side):
    """Return the target that is reached first and the rule it belongs to."""
    if (level > 0) & ((take <= 0) | (side * (take - level) > 0)):
        return level, rule
    return take, goal


def stepped_best(entry, water, step, side, guard):
    """Return the best price since entry in whole steps of `step` (fraction) from the entry; 0 is stepless."""
    gain = side * (water / entry - 1)
    if step <= 0 or gain <= 0:
        return water
    return entry * (1 + side * step_count(gain, step, guard) * step)


def break_even_stop(entry, water, trigger, fee_rate, side):
    """Return the stop that pays entry and both fees back once `trigger` has been won; 0 before, or when off.

    :param trigger: fraction of the entry price; fees above it move the stop no further than that
    """
    if trigger <= 0 or side * (water - entry) < trigger * entry:
        return entry - entry
    return entry * (1 + side * min(2 * fee_rate, trigger))


def bar_leave(book, open, high, low, stop, kind, take, goal, plan):
    """Return (price, rule) of the exit a bar forces on a position with these `levels`, or NONE."""
    if plan.max_bars > 0 and book.bars_held >= plan.max_bars and book.entry != 0:
        return open, TIME
    price, reason = bar_exit(book.held, book.entry, open, high, low, stop, take)
    if reason == STOP:
        return (
            price,
            STOP if kind == NONE else kind,
        )  # the compiled plain loop does not remember whose stop it is
    if reason == TAKE:
        return price, goal
    return price, reason
