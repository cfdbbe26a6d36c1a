"""How much of a wish is traded. Every rule answers with a flag; `reasons` words them.

The rules compose: fixed fraction first, then the smallest of the caps (risk at the stop, volatility, Kelly),
then the streak. A Lowrider cycle sizes its lots itself instead.
"""

from market.kernel.lowrider import ALL_LOTS, CLAMPED, KEPT, LOT, PATIENT, SPACED, cycle_target
from market.kernel.plan import MOST_SHRINKS
from market.kernel.portfolio import exposure_of
from market.kernel.rebalance import is_kept

FRACTION, RISK, VOLATILITY, KELLY, STREAK, RESIZE = 1, 2, 4, 8, 16, 32
REASONS = {
    FRACTION: "sized by the fixed fraction of equity",
    RISK: "cut to the equity at risk at the stop",
    VOLATILITY: "cut to the volatility target",
    KELLY: "cut to the Kelly share of closed trades",
    STREAK: "shrunk after losing trades",
    RESIZE: "kept: the new size is within the resize band",
    LOT: "a lot of the averaging cycle",
    CLAMPED: "lot cut to cash over reluctance",
    SPACED: "kept: the price has not fallen far enough for the next lot",
    ALL_LOTS: "kept: all lots of the cycle are bought",
    PATIENT: "kept: the cycle waits for break-even",
}


def reasons(code: int) -> list[str]:
    """Return the sentences of a code's flags, in the order in which the rules act."""
    return [words for flag, words in REASONS.items() if code & flag]


def sized_target(wish, book, track, price, atr, conviction, rules, plan):
    """Return (target, code): the exposure to trade towards, -1..1, never more than the wish.

    :param wish: exposure the agent asks for, share of equity -1..1
    :param price: the close the decision is taken at
    :param atr: average true range up to that close, quote currency
    :param conviction: probability the model gives to buying, 0..1
    :return: code 0 leaves the wish as it is; a code that holds KEPT says to trade nothing
    """
    if plan.dca_lots > 0:
        return cycle_target(wish, book, track, price, conviction, rules, plan)
    size, code = abs(wish), 0
    if size == 0:
        return wish, code
    if plan.size_fraction > 0:
        size, code = size * plan.size_fraction, FRACTION
    size, code = _capped(size, risk_limit(price, atr, rules, plan), code, RISK)
    size, code = _capped(size, volatility_limit(price, atr, plan), code, VOLATILITY)
    size, code = _capped(size, kelly_limit(track, plan), code, KELLY)
    factor = streak_factor(track.streak, plan)
    if factor < 1:
        size, code = size * factor, code + STREAK
    if code == 0:
        return wish, code
    target = size if wish > 0 else -size
    held = exposure_of(book.cash, book.held, price)
    if held * target > 0 and abs(target - held) < plan.resize_band:
        return target, code + RESIZE + KEPT
    return target, code


def sized_order(wish, exposure, band, book, track, price, atr, conviction, rules, plan):
    """Return (is there an order, target, code) of a wish that is due; see `sized_target`.

    :param exposure: share of equity held at `price`
    :param band: targets nearer to it than this are not worth their costs
    """
    target, code = sized_target(wish, book, track, price, atr, conviction, rules, plan)
    return code < KEPT and not is_kept(target, exposure, band), target, code


def _capped(size, limit, code, flag):
    """Return (size, code) under a limit; a limit below 0 is none. Only the cap that binds is named."""
    return (limit, code % RISK + flag) if 0 <= limit < size else (size, code)


def stop_distance(price, atr, rules, plan):
    """Return how far the nearest stop of a fresh position lies from its entry, as a fraction; 0 is none."""
    nearest = rules.stop_loss
    for_atr = plan.stop_atr * atr / price
    if for_atr > 0 and (nearest <= 0 or for_atr < nearest):
        nearest = for_atr
    if rules.trailing > 0 and (nearest <= 0 or rules.trailing < nearest):
        nearest = rules.trailing
    for_atr = plan.trailing_atr * atr / price
    if for_atr > 0 and (nearest <= 0 or for_atr < nearest):
        nearest = for_atr
    return nearest


def risk_limit(price, atr, rules, plan):
    """Return the exposure at which hitting the nearest stop costs `risk_per_trade` of equity; -1 is none."""
    distance = stop_distance(price, atr, rules, plan)
    if plan.risk_per_trade <= 0 or distance <= 0:
        return price - price - 1
    return plan.risk_per_trade / distance


def volatility_limit(price, atr, plan):
    """Return the exposure at which one ATR moves equity by `volatility_target`; -1 is none."""
    if plan.volatility_target <= 0 or atr <= 0:
        return price - price - 1
    return plan.volatility_target * price / atr


def kelly_limit(track, plan):
    """Return the exposure that a fraction of Kelly's share allows; -1 is none.

    Kelly 1956 for win rate p and payoff b: p - (1 - p) / b. Before enough trades are closed the cap holds; a
    tenth of the cap always remains, because who never trades again never learns better.
    """
    zero = plan.kelly_fraction - plan.kelly_fraction
    if plan.kelly_fraction <= 0:
        return zero - 1
    if track.trades < plan.kelly_min_trades or track.loss <= 0:
        return plan.kelly_cap
    share = zero
    if track.gain > 0:
        share = track.won * (1 - track.loss / track.gain)  # b = (gain / won) / (loss / (1 - won))
    return min(max(plan.kelly_fraction * share, plan.kelly_cap / 10), plan.kelly_cap)


def streak_factor(streak, plan):
    """Return what the next size is multiplied by, 1 or less, after `streak` losses not yet recovered."""
    one = plan.streak_factor - plan.streak_factor + 1
    if plan.streak_losses <= 0 or streak < plan.streak_losses:
        return one
    return plan.streak_factor ** min(streak - plan.streak_losses + 1, MOST_SHRINKS)
