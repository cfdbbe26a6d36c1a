"""How positions are sized and left, and what the rules must remember between two bars.

`Plan` holds the settings (`market.plans` states their ranges), `Track` the memory. 0 switches a rule off.
"""

from typing import Any, NamedTuple

MOST_SHRINKS = 4  # a losing streak never shrinks a size to nothing: it could not be won back


class Plan(NamedTuple):
    """All Decimal or all float. "ATR" is the average true range of closed bars, in quote currency."""

    is_on: Any  # 1 if any rule is on; with 0 nothing is remembered and every rule is skipped
    stop_atr: Any  # stop this many ATR from the entry
    trailing_atr: Any  # trailing stop this many ATR from the best price
    trail_step: Any  # fraction of the entry price: `Rules.trailing` follows in whole steps of it
    reward_ratio: Any  # bracket: target at this multiple of the stop's distance at entry
    break_even: Any  # fraction of the entry price: once won, the stop moves to what pays both fees back
    max_bars: Any  # closes after which a position is left
    size_fraction: Any  # share of equity that a full wish holds
    risk_per_trade: Any  # share of equity lost when the nearest stop is hit
    volatility_target: Any  # share of equity that one ATR moves
    kelly_fraction: Any  # of the Kelly share of the closed trades
    kelly_cap: Any  # most that Kelly may ask for, share of equity
    kelly_trades: Any  # trades the statistics look back on
    kelly_min_trades: Any  # closed trades from which on Kelly counts; the cap holds before
    streak_losses: Any  # unrecovered losses from which on sizes shrink
    streak_factor: Any  # by which each of them shrinks the next size
    resize_band: Any  # share of equity: smaller changes of a held position's size are not traded
    dca_lots: Any  # Lowrider: most lots of a cycle
    dca_first: Any  # first lot, share of the equity at the cycle's start
    dca_spacing: Any  # fall from the last lot's price before the next one, fraction
    dca_growth: Any  # of a lot against the one before
    dca_reluctance: Any  # a lot never spends more than cash / reluctance
    dca_profit: Any  # above break-even at which the cycle is sold, fraction
    dca_max_loss: Any  # of the equity at the cycle's start at which it is given up


class Track(NamedTuple):
    """What the rules remember. Everything but the statistics is 0 while flat."""

    kind: Any  # int, triggers.EXIT_REASONS: which rule set the present stop
    take: Any  # bracket target, quote currency; 0 is none
    base: Any  # equity before the position was opened, quote currency
    lots: Any  # fills that opened or enlarged the position
    last: Any  # price of the newest of them
    trades: Any  # closed positions so far
    won: Any  # rolling share of them that won
    gain: Any  # rolling mean of what winners won, 0 for losers; share of equity
    loss: Any  # rolling mean of what losers lost, 0 for winners; share of equity
    streak: Any  # losses not yet recovered: a loss adds one, a win takes one back


def open_track(zero):
    """Return the memory of a fresh account; `zero` chooses the number type."""
    return Track(0, zero, zero, 0, zero, 0, zero, zero, zero, 0)


def followed(track, before_held, held, before, after, price, plan):
    """Return the track once a fill has changed the holdings.

    The new position's stop and target are not set yet; `triggers.levels` does that.

    :param before: equity at the fill's price before it, `after` after it, fee paid
    """
    if before_held * held > 0 and track.base > 0:
        if abs(held) <= abs(before_held):
            return track
        return Track(
            track.kind, track.take, track.base, track.lots + 1, price,
            track.trades, track.won, track.gain, track.loss, track.streak,
        )  # fmt: skip
    base = before
    if track.base > 0:
        track, base = closed(track, after, plan), after
    if held == 0:
        return track
    zero = price - price
    return Track(0, zero, base, 1, price, track.trades, track.won, track.gain, track.loss, track.streak)


def closed(track, worth, plan):
    """Return the track after its position has been closed with equity `worth`.

    Statistics are plain means of the first `kelly_trades` trades, and exponential ones from then on.
    """
    rate = worth / track.base - 1
    zero = rate - rate
    trades = track.trades + 1
    count = min(trades, plan.kelly_trades) if plan.kelly_trades > 0 else trades
    streak = track.streak + 1 if track.streak + 1 < plan.streak_losses + MOST_SHRINKS else track.streak
    if rate > 0:
        streak = max(track.streak - 1, 0)
    return Track(
        0, zero, zero, 0, zero, trades,
        track.won + ((zero + 1 if rate > 0 else zero) - track.won) / count,
        track.gain + (max(rate, zero) - track.gain) / count,
        track.loss + (max(-rate, zero) - track.loss) / count,
        streak,
    )  # fmt: skip
