"""Exits inside a bar: stop-loss, take-profit, trailing stop. Prices in quote currency; 0 switches one off."""

NONE, STOP, TAKE, TRAILING = 0, 1, 2, 3
EXIT_REASONS = {NONE: "", STOP: "stop-loss", TAKE: "take-profit", TRAILING: "trailing stop"}


def stop_price(held, entry, fraction):
    """Return the price `fraction` on the losing side of the entry; 0 (off) for fraction 0 or no position."""
    if fraction <= 0 or held == 0:
        return entry - entry
    return entry * (1 - fraction) if held > 0 else entry * (1 + fraction)


def take_price(held, entry, fraction):
    """Return the price `fraction` on the winning side of the entry; 0 (off) for fraction 0 or no position."""
    if fraction <= 0 or held == 0:
        return entry - entry
    return entry * (1 + fraction) if held > 0 else entry * (1 - fraction)


def trail_stop(stop, water, fraction, side=1):
    """Return the stop once the best price since entry is `water`; it only moves in the position's favour.

    :param stop: the present stop price, 0 if there is none
    :param water: highest price since entry for a long (`side` 1), lowest for a short (`side` -1)
    :param fraction: distance from `water`; 0 leaves the stop where it is
    """
    if fraction <= 0:
        return stop
    trailed = water * (1 - side * fraction)
    if stop == 0 or side * (trailed - stop) > 0:
        return trailed
    return stop


def best_price(water, high, low, side):
    """Return the best price since entry once a bar (or a tick, high = low) has passed."""
    return max(water, high) if side > 0 else min(water, low)


def bar_exit(held, entry, open, high, low, stop, take, trail=0):
    """Return (price, reason) of the exit a bar forces; reason NONE and price 0 if it forces none.

    A gap through a level fills at the open, not at the level. A bar that opens beyond the target has reached
    it first; else, when it touches both the stop and the target, the stop counts, because bars do not say
    which came first. A tick is a bar with open = high = low.

    :param held: signed position; nothing is forced when flat
    :param entry: average entry price; a position without one (0) is left alone, its levels are unknown
    :param trail: trailing stop price; the tighter of `stop` and `trail` acts
    """
    nothing = open - open
    if held == 0 or entry == 0:
        return nothing, NONE
    if held > 0:
        reason, level = (TRAILING, trail) if trail > stop else (STOP, stop)
        if low <= level and not (take > 0 and open >= take):
            return min(open, level), reason
        if take > 0 and high >= take:
            return max(open, take), TAKE
        return nothing, NONE
    reason, level = (TRAILING, trail) if trail > 0 and (trail < stop or stop <= 0) else (STOP, stop)
    if level > 0 and high >= level and not (take > 0 and open <= take):
        return max(open, level), reason
    if take > 0 and low <= take:
        return min(open, take), TAKE
    return nothing, NONE
