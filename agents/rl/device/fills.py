"""What trading costs and does, for many accounts as torch tensors: the kernel's fills.

Every function is the scalar one of the same name in `market.kernel`, with `torch.where` for its branches; the
tests tie both together over random paths. Tensors are float64 (N,): floors to a step need its digits.
Divisions by zero happen only in branches that are not taken.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from market.kernel.step import Book, Rules


class Fills(NamedTuple):
    """One fill per account; quantity 0 says that there was none."""

    quantity: Tensor  # base currency, signed
    price: Tensor  # quote currency
    fee: Tensor  # quote currency

    @property
    def notional(self) -> Tensor:
        return self.quantity.abs() * self.price


def sided(is_up: Tensor) -> Tensor:
    """Return 1 where true, else -1, float64."""
    return torch.where(is_up, 1.0, -1.0).double()


def step_count(magnitude: Tensor, step: float, guard: float) -> Tensor:
    return torch.floor(magnitude / step * (1 + guard / 1_000_000) + guard)


def floor_to_step(value: Tensor, step: float, guard: float) -> Tensor:
    if step <= 0:
        return value
    return torch.copysign(step_count(value.abs(), step, guard) * step, value)


def fill_price(reference: Tensor, side: Tensor, rules: Rules) -> Tensor:
    """Return what market orders pay (`side` 1) or receive (-1), rounded to the tick against the trader."""
    price = reference * (1 + side * (rules.half_spread + rules.slippage))
    if rules.tick <= 0:
        return price
    least = price / rules.tick * (1 - rules.guard / 1_000_000) - rules.guard
    ticks = torch.where(side > 0, torch.ceil(least), step_count(price, rules.tick, rules.guard))
    return ticks * rules.tick


def closing_quantity(held: Tensor, rules: Rules) -> Tensor:
    floored = floor_to_step(held, rules.step, rules.guard)
    is_whole = (held - floored).abs() <= rules.guard * (rules.step + held.abs())
    return -torch.where(is_whole, held, floored)


def order_quantity(target: Tensor, book: Book, price: Tensor, rules: Rules) -> Tensor:
    """Return the quantities towards `target`, before the minimum notional is asked about."""
    cash, held = book.cash, book.held
    wanted = target * (cash + held * price) / price - held
    paying = price * (1 + rules.fee_rate)
    bought = torch.minimum(wanted, cash / paying).clamp(min=0)
    short = torch.maximum(wanted, -(cash + 2 * held * price) / paying).clamp(max=0)
    wanted = torch.where(wanted > 0, bought, torch.where(target < 0, short, wanted))
    quantity = floor_to_step(wanted, rules.step, rules.guard)
    return torch.where(target == 0, closing_quantity(held, rules), quantity)


def ordered(book: Book, is_order: Tensor, target: Tensor, open_: Tensor, rules: Rules) -> Fills:
    """Return the fills of market orders towards `target` at the open, where there is an order."""
    worth = book.cash + book.held * open_
    side = sided(target * worth > book.held * open_)
    price = fill_price(open_, side, rules)
    quantity = order_quantity(target, book, price, rules)
    return _fills(quantity, price, is_order & (quantity * side > 0), rules)


def left(book: Book, level: Tensor, is_left: Tensor, rules: Rules) -> Fills:
    """Return the fills that leave positions at a level, where one is left."""
    price = fill_price(level, -sided(book.held > 0), rules)
    return _fills(closing_quantity(book.held, rules), price, is_left, rules)


def filled(book: Book, fill: Fills) -> tuple[Book, Tensor]:
    """Return the book after fills, and whether the position is still the one it was."""
    held = book.held + fill.quantity
    cash = book.cash - fill.quantity * fill.price - fill.fee
    average = (book.entry * book.held + fill.price * fill.quantity) / held
    is_same = book.held * held > 0
    is_flat = held == 0
    kept = torch.where(held.abs() > book.held.abs(), average, book.entry)
    entry = torch.where(is_same, kept, fill.price)
    water = torch.where(is_same, book.water, fill.price)
    nothing = torch.zeros_like(held)
    entry, water = torch.where(is_flat, nothing, entry), torch.where(is_flat, nothing, water)
    bars, stop = torch.where(is_same, book.bars_held, nothing), torch.where(is_same, book.stop, nothing)
    return Book(cash, held, entry, bars, book.peak, water, stop), is_same


def marked(book: Book, high: Tensor, low: Tensor, close: Tensor) -> Book:
    """Return the book at the close: best price, closes in position and peak equity up to date."""
    held = book.held
    peak = torch.maximum(book.peak, book.cash + held * close)
    best = torch.where(held > 0, torch.maximum(book.water, high), torch.minimum(book.water, low))
    is_open = held != 0
    water = torch.where(is_open, best, book.water)
    return Book(book.cash, held, book.entry, book.bars_held + is_open, peak, water, book.stop)


def _fills(quantity: Tensor, price: Tensor, is_wanted: Tensor, rules: Rules) -> Fills:
    is_filled = is_wanted & (quantity.abs() * price > rules.min_notional)
    quantity = torch.where(is_filled, quantity, torch.zeros_like(quantity))
    fee = floor_to_step((quantity * price).abs() * rules.fee_rate, rules.fee_step, rules.guard)
    return Fills(quantity, price, fee)
