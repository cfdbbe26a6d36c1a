"""Stops, targets, trailing and time, for many accounts as torch tensors: the kernel's `triggers`.

Levels of accounts without a position mean nothing; whoever reads them asks `held` first.
"""

import torch
from torch import Tensor

from agents.rl.device.fills import sided, step_count
from market.kernel.plan import Plan
from market.kernel.step import Book, Rules

LEVELS = ("stop_atr", "trailing_atr", "reward_ratio", "break_even", "max_bars")


def has_exits(rules: Rules, plan: Plan) -> bool:
    """Say whether any rule may leave a position within a bar."""
    plain = rules.stop_loss > 0 or rules.take_profit > 0 or rules.trailing > 0
    return plain or any(getattr(plan, name) > 0 for name in LEVELS)


def levels(
    book: Book, bracket: Tensor, atr: Tensor, rules: Rules, plan: Plan
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (stop, take, bracket) of open positions, see `market.kernel.triggers.levels`; 0 is none."""
    entry, water, stop = book.entry, book.water, book.stop
    side = sided(book.held > 0)
    if rules.stop_loss > 0:
        stop = tighter(stop, entry * (1 - side * rules.stop_loss), side)
    if rules.trailing > 0:
        best = stepped_best(entry, water, plan.trail_step, side, rules.guard) if plan.is_on > 0 else water
        stop = tighter(stop, best * (1 - side * rules.trailing), side)
    take = entry * (1 + side * rules.take_profit) if rules.take_profit > 0 else torch.zeros_like(entry)
    if plan.is_on <= 0:
        return stop, take, bracket
    known = atr > 0
    if plan.stop_atr > 0:
        level = entry - side * plan.stop_atr * atr
        stop = torch.where(known & (book.bars_held == 0), tighter(stop, level, side), stop)
    if plan.trailing_atr > 0:
        stop = torch.where(known, tighter(stop, water - side * plan.trailing_atr * atr, side), stop)
    if plan.break_even > 0:
        won = side * (water - entry) >= plan.break_even * entry
        even = entry * (1 + side * min(2 * rules.fee_rate, plan.break_even))
        stop = torch.where(won, tighter(stop, even, side), stop)
    if plan.reward_ratio > 0:
        is_due = (bracket == 0) & (book.bars_held == 0) & (stop > 0)
        bracket = torch.where(is_due, entry + plan.reward_ratio * (entry - stop), bracket)
        is_nearer = (bracket > 0) & ((take <= 0) | (side * (take - bracket) > 0))
        take = torch.where(is_nearer, bracket, take)
    return stop, take, bracket


def tighter(stop: Tensor, level: Tensor, side: Tensor) -> Tensor:
    """Return the stop nearer to the price."""
    below = (level > 0) & ((stop <= 0) | (level < stop))
    return torch.where(torch.where(side > 0, level > stop, below), level, stop)


def stepped_best(entry: Tensor, water: Tensor, step: float, side: Tensor, guard: float) -> Tensor:
    """Return the best price since entry in whole steps of `step` from the entry."""
    if step <= 0:
        return water
    gain = side * (water / entry - 1)
    whole = entry * (1 + side * step_count(gain, step, guard) * step)
    return torch.where(gain <= 0, water, whole)


def bar_leave(
    book: Book, bar: tuple[Tensor, Tensor, Tensor], stop: Tensor, take: Tensor, plan: Plan
) -> tuple[Tensor, Tensor]:
    """Return (price, is left) of what a bar, (open, high, low), forces on positions with these levels.

    A gap through a level fills at the open; a bar that touches both its stop and its target is stopped.
    """
    open_, high, low = bar
    is_long, is_target = book.held > 0, take > 0
    is_beyond = is_target & torch.where(is_long, open_ >= take, open_ <= take)
    is_stopped = (stop > 0) & torch.where(is_long, low <= stop, high >= stop) & ~is_beyond
    is_taken = is_target & torch.where(is_long, high >= take, low <= take)
    at_stop = torch.where(is_long, torch.minimum(open_, stop), torch.maximum(open_, stop))
    at_take = torch.where(is_long, torch.maximum(open_, take), torch.minimum(open_, take))
    price, is_left = torch.where(is_stopped, at_stop, at_take), is_stopped | is_taken
    if plan.max_bars > 0:
        is_late = book.bars_held >= plan.max_bars
        price, is_left = torch.where(is_late, open_, price), is_left | is_late
    return torch.where(is_left, price, open_), is_left & (book.held != 0)
