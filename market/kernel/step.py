"""One bar for one portfolio: what the environment, its batched twin and the backtest all call."""

from typing import Any, NamedTuple

from market.kernel.costs import fee_of, taker_price
from market.kernel.instrument import is_tradable, round_price
from market.kernel.portfolio import average_entry, equity, settle
from market.kernel.rebalance import closing_quantity, order_quantity
from market.kernel.triggers import NONE, bar_exit, best_price, stop_price, take_price, trail_stop


class Rules(NamedTuple):
    """What trading costs and when positions are left. All Decimal or all float; 0 switches a rule off."""

    tick: Any  # quote currency
    step: Any  # base currency
    min_notional: Any  # quote currency
    fee_rate: Any  # taker, fraction of the notional
    fee_step: Any  # quote currency, fees are floored to it
    half_spread: Any  # fraction of the price
    slippage: Any  # fraction of the price, beyond the half spread
    stop_loss: Any  # fraction of the entry price
    take_profit: Any  # fraction of the entry price
    trailing: Any  # fraction of the best price since entry
    guard: Any  # 0 for Decimal, 1e-9 for float: see instrument.floor_to_step


class Book(NamedTuple):
    """A portfolio of one asset between two bars."""

    cash: Any  # quote currency
    held: Any  # base currency, signed
    entry: Any  # average entry price, 0 when flat
    bars_held: Any  # closes since the position was opened, 0 when flat
    peak: Any  # highest equity at a close, quote currency
    water: Any  # best price since entry, 0 when flat


class Fill(NamedTuple):
    """One fill; quantity 0 says that there was none."""

    quantity: Any  # base currency, signed
    price: Any  # quote currency, what was paid or received
    fee: Any  # quote currency
    reason: Any  # int, triggers.EXIT_REASONS; NONE for an order of the agent


def open_book(cash):
    """Return the book of a fresh account that holds nothing but `cash`."""
    zero = cash - cash
    return Book(cash, zero, zero, 0, cash, zero)


def step_bar(book, is_order, target, open, high, low, close, rules):
    """Return (book, order fill, exit fill) after one bar.

    The decision was taken at the previous close: its order fills at this bar's open, at the taker price,
    rounded and charged as the venue does. Then exits act inside the bar, and the book is marked at the close.

    :param is_order: False keeps what is held and ignores `target`
    :param target: exposure wanted, share of equity -1..1
    """
    none = Fill(open - open, open - open, open - open, NONE)
    order = none
    if is_order:
        order = _ordered(book, target, open, rules)
        book = _filled(book, order)
    exit = _exited(book, open, high, low, rules) if book.held != 0 else none
    book = _filled(book, exit)
    return _marked(book, high, low, close), order, exit


def _ordered(book, target, open, rules):
    """Return the fill of a market order towards `target` at the open; quantity 0 if none is due."""
    side = 1 if target * equity(book.cash, book.held, open) > book.held * open else -1
    price = fill_price(open, side, rules)
    quantity = order_quantity(
        target, book.cash, book.held, price, rules.step, rules.min_notional, rules.fee_rate, rules.guard
    )
    if quantity * side <= 0:  # the spread ate the difference between target and holdings
        quantity = quantity - quantity
    return Fill(quantity, price, fee_of(quantity * price, rules.fee_rate, rules.fee_step, rules.guard), NONE)


def _exited(book, open, high, low, rules):
    """Return the fill of a stop, target or trailing stop inside the bar; quantity 0 if none was touched."""
    side = 1 if book.held > 0 else -1
    stop = stop_price(book.held, book.entry, rules.stop_loss)
    take = take_price(book.held, book.entry, rules.take_profit)
    trail = trail_stop(open - open, book.water, rules.trailing, side)
    level, reason = bar_exit(book.held, book.entry, open, high, low, stop, take, trail)
    if reason == NONE:
        return Fill(level, level, level, NONE)
    price = fill_price(level, -side, rules)
    quantity = closing_quantity(book.held, rules.step, rules.guard)
    if not is_tradable(quantity, price, rules.min_notional):
        quantity = quantity - quantity
    fee = fee_of(quantity * price, rules.fee_rate, rules.fee_step, rules.guard)
    return Fill(quantity, price, fee, reason)


def fill_price(reference, side, rules):
    """Return what a market order pays or receives, rounded to the tick against the trader."""
    price = taker_price(reference, side, rules.half_spread, rules.slippage)
    return round_price(price, rules.tick, rules.guard, side > 0)


def _filled(book, fill):
    """Return the book after a fill; a position that opens or turns counts and trails anew."""
    if fill.quantity == 0:
        return book
    cash, held = settle(book.cash, book.held, fill.quantity, fill.price, fill.fee)
    entry = average_entry(book.entry, book.held, fill.quantity, fill.price)
    if held == 0:
        return Book(cash, held, entry, 0, book.peak, held)
    if book.held * held <= 0:
        return Book(cash, held, entry, 0, book.peak, fill.price)
    return Book(cash, held, entry, book.bars_held, book.peak, book.water)


def _marked(book, high, low, close):
    """Return the book at the close, with best price, closes in position and peak equity up to date."""
    peak = max(book.peak, equity(book.cash, book.held, close))
    if book.held == 0:
        return Book(book.cash, book.held, book.entry, book.bars_held, peak, book.water)
    side = 1 if book.held > 0 else -1
    water = best_price(book.water, high, low, side)
    return Book(book.cash, book.held, book.entry, book.bars_held + 1, peak, water)
