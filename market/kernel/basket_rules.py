"""Exits, breakers and entry guards of an account over several pairs, by the rules of a single position.

Stops, targets, cool-downs, losing streaks and the day's trades are each pair's own. Loss limits and safe
mode by drawdown act on the equity of the whole account, as those of a live plan do. An exit always sells all
of its pair; the next decision may buy it back.

Beside the sequences of `basket.py`, `legs` holds a `Leg` per pair and `watches` a `Watch` per pair, then the
account's. Both change in place; `batch_basket_rules.py` gives them as arrays.
"""

from typing import Any, NamedTuple

from market.kernel.basket import basket_worth, of_pair, rebalanced
from market.kernel.breakers import Limits
from market.kernel.plan import Track
from market.kernel.step import Book, Fill, exited, filled, marked
from market.kernel.triggers import NONE
from market.kernel.watch import WatchRules, allowed_target, close_seen, fill_seen


class Leg(NamedTuple):
    """What exits remember of one pair between two bars; all 0 while it is not held."""

    bars_held: Any  # closes since the position was opened
    water: Any  # best price since entry
    stop: Any  # protective stop, only ever tightened, 0 for none
    kind: Any  # int, triggers.EXIT_REASONS: which rule set the stop
    take: Any  # bracket target, quote currency; 0 is none


class Bars(NamedTuple):
    """One bar of every pair: five sequences of k numbers, quote currency."""

    opens: Any
    highs: Any
    lows: Any
    closes: Any
    ranges: Any  # average true range up to the previous close; 0 where no rule reads it


class Fills(NamedTuple):
    """What one bar filled: four sequences of 2k numbers, first every pair's order, then every pair's exit."""

    quantities: Any  # signed, 0 where there was none
    prices: Any
    fees: Any
    reasons: Any  # int, triggers.EXIT_REASONS


def open_leg(zero):
    """Return what is remembered of a pair that is not held; `zero` chooses the number type."""
    return Leg(0, zero, zero, NONE, zero)


def has_exits(rules, plan):
    """Say whether any rule can leave a position."""
    return rules.stop_loss > 0 or rules.take_profit > 0 or rules.trailing > 0 or plan.is_on > 0


def leg_of(legs, place):
    """Return the leg at a place; compiled code reads it from an array."""
    return legs[place]


def keep_leg(legs, place, leg):
    """Put a leg at its place."""
    legs[place] = leg


def watch_of(watches, place):
    """Return the watch at a place; compiled code reads it from an array."""
    return watches[place]


def keep_watch(watches, place, watch):
    """Put a watch at its place."""
    watches[place] = watch


def basket_bar(
    cash, held, entry, legs, watches, is_order, weights, orders, bars, at_ms, close_ms, ticks, steps, rules,
    plan, has_exits, is_watched, fills, cuts, was, paid,
):  # fmt: skip
    """Return the cash after one bar: orders fill at the open, then exits act inside the bar.

    :param is_order: False keeps what is held; else `weights` and `orders` are those of `basket.rebalanced`
    :param at_ms: open time of the bar, and `close_ms` when it closed, which is when exits count as made
    :param has_exits: False skips them and leaves `legs`; :param is_watched: likewise `watches`
    :param fills: gets what was traded, `cuts` the code of a cap, where one cut a pair's order
    :param was, paid: room for k numbers each
    """
    zero, count = cash - cash, len(held)
    for i in range(2 * count):
        fills.quantities[i], fills.prices[i], fills.fees[i], fills.reasons[i] = zero, zero, zero, NONE
    if is_order:
        _copied(held, entry, was, paid)
        cash = rebalanced(
            cash, held, entry, weights, orders, bars.opens, ticks, steps, rules, fills.quantities,
            fills.prices, fills.fees, cuts,
        )  # fmt: skip
        if has_exits:
            _followed(cash, legs, was, paid, fills, plan)
        if is_watched:
            _noted(watches, was, paid, fills, 0, at_ms)
    if has_exits:
        _copied(held, entry, was, paid)
        cash = _left(cash, held, entry, legs, bars, ticks, steps, rules, plan, fills)
        if is_watched:
            _noted(watches, was, paid, fills, count, close_ms)
    return cash


def watched_orders(weights, orders, cash, held, prices, watches, rules, at_ms):
    """Cut the weights of wanted orders to what breakers and guards allow; return how many orders are left.

    Safe mode is a pair's own or the account's. A pair that may not grow keeps what it holds.

    :param orders: as of `basket.wanted_orders`, 0 where an order is dropped
    :param at_ms: of the decision
    """
    worth, count, whole = basket_worth(cash, held, prices), 0, watch_of(watches, len(held))
    for i in range(len(held)):
        if orders[i] == 0:
            continue
        share = held[i] * prices[i] / worth if worth > 0 else worth - worth
        own = watch_of(watches, i)
        allowed = allowed_target(own, max(own.state, whole.state), rules, weights[i], share, at_ms)
        if allowed == share and allowed != weights[i]:
            orders[i] = 0
            continue
        weights[i] = allowed
        count += 1
    return count


def closes_seen(watches, rules, worth, peak, held, close_ms):
    """Bring all watches up to a close; return the code of what halts the account, else OK.

    :param worth: equity of the account; :param peak: its highest so far, this close included
    """
    limits = rules.limits
    streak = Limits(0, 0, 0, 0, limits.max_loss_streak, 0, 0, 0, 0, 0)
    alone = WatchRules(streak, rules.guards, rules.safe_share, rules.safe_cooldown_ms)
    losses = Limits(
        limits.daily_loss, limits.weekly_loss, limits.max_drawdown, limits.safe_drawdown, 0, 0, 0, 0, 0, 0
    )
    together = WatchRules(losses, rules.guards, rules.safe_share, rules.safe_cooldown_ms)
    count, is_flat = len(held), True
    for i in range(count):
        is_flat = is_flat and held[i] == 0
        own, _halt = close_seen(watch_of(watches, i), alone, worth, peak, held[i] == 0, close_ms)
        keep_watch(watches, i, own)
    whole, halt = close_seen(watch_of(watches, count), together, worth, peak, is_flat, close_ms)
    keep_watch(watches, count, whole)
    return halt


def _copied(held, entry, was, paid):
    for i in range(len(held)):
        was[i], paid[i] = held[i], entry[i]


def _position(cash, held, entry, leg):
    """Return (book, track) of one pair as the rules of a single position read them.

    What only the rules on size remember is not kept: a portfolio's weights are sizes already.
    """
    zero = cash - cash
    base = zero + 1 if held != 0 else zero  # above 0 says that this position is followed since it was opened
    book = Book(cash, held, entry, leg.bars_held, cash, leg.water, leg.stop)
    return book, Track(leg.kind, leg.take, base, 0, zero, 0, zero, zero, zero, 0)


def _followed(cash, legs, was, paid, fills, plan):
    """Begin, keep or end the leg of every pair that has traded at the open."""
    for i in range(len(was)):
        if fills.quantities[i] == 0:
            continue
        book, track = _position(cash, was[i], paid[i], leg_of(legs, i))
        fill = Fill(fills.quantities[i], fills.prices[i], fills.fees[i], NONE)
        book, track = filled(book, track, fill, plan)
        keep_leg(legs, i, Leg(book.bars_held, book.water, book.stop, track.kind, track.take))


def _left(cash, held, entry, legs, bars, ticks, steps, rules, plan, fills):
    """Return the cash once every pair held has gone through its bar, and been left where a level says so."""
    count = len(held)
    for i in range(count):
        if held[i] == 0:
            continue
        book, track = _position(cash, held[i], entry[i], leg_of(legs, i))
        book, track, exit = exited(
            book, track, bars.opens[i], bars.highs[i], bars.lows[i], bars.ranges[i],
            of_pair(rules, ticks[i], steps[i]), plan,
        )  # fmt: skip
        book, track = filled(book, track, exit, plan)
        book = marked(book, bars.highs[i], bars.lows[i], bars.closes[i])
        cash, held[i], entry[i] = book.cash, book.held, book.entry
        keep_leg(legs, i, Leg(book.bars_held, book.water, book.stop, track.kind, track.take))
        if exit.quantity != 0:
            at = count + i
            fills.quantities[at], fills.prices[at] = exit.quantity, exit.price
            fills.fees[at], fills.reasons[at] = exit.fee, exit.reason
    return cash


def _noted(watches, was, paid, fills, first, at_ms):
    """Have each pair's watch see its fill, of those from place `first` on."""
    for i in range(len(was)):
        at = first + i
        if fills.quantities[at] != 0:
            fill = Fill(fills.quantities[at], fills.prices[at], fills.fees[at], NONE)
            keep_watch(watches, i, fill_seen(watch_of(watches, i), was[i], paid[i], fill, at_ms))
