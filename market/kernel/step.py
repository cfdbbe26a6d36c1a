"""One bar for one portfolio: what the environment, its batched twin and the backtest all call."""

from typing import Any, NamedTuple

from market.kernel.breakers import ACTIVE, OrderCaps, limited_order
from market.kernel.costs import fee_of, taker_price
from market.kernel.instrument import is_tradable, round_price
from market.kernel.plan import Track, followed
from market.kernel.portfolio import average_entry, equity, settle
from market.kernel.rebalance import closing_quantity, order_quantity
from market.kernel.triggers import NONE, bar_leave, best_price, levels


class Rules(NamedTuple):
    """What trading costs, how large orders are and when positions are left; 0 switches a rule off.

    All Decimal or all float.
    """

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
    max_order_share: Any  # share of equity that one order may open, see breakers.limited_order
    max_position: Any  # quote currency, value of the position behind an entry
    guard: Any  # 0 for Decimal, 1e-9 for float: see instrument.floor_to_step


class Book(NamedTuple):
    """A portfolio of one asset between two bars."""

    cash: Any  # quote currency
    held: Any  # base currency, signed
    entry: Any  # average entry price, 0 when flat
    bars_held: Any  # closes since the position was opened, 0 when flat
    peak: Any  # highest equity at a close, quote currency
    water: Any  # best price since entry, 0 when flat
    stop: Any  # protective stop, only ever tightened, 0 for none; `Track.kind` says which rule set it


class Fill(NamedTuple):
    """One fill; quantity 0 says that there was none."""

    quantity: Any  # base currency, signed
    price: Any  # quote currency, what was paid or received
    fee: Any  # quote currency
    reason: Any  # int, triggers.EXIT_REASONS; NONE for an order of the agent


def notional(fill):
    """Return what a fill traded, in quote currency."""
    return abs(fill.quantity) * fill.price


def open_book(cash):
    """Return the book of a fresh account that holds nothing but `cash`."""
    zero = cash - cash
    return Book(cash, zero, zero, 0, cash, zero, zero)


def step_bar(book, track, is_order, target, open, high, low, close, atr, rules, plan):
    """Return (book, track, order fill, exit fill) after one bar.

    The decision was taken at the previous close: its order fills at this bar's open, at the taker price,
    rounded and charged as the venue does. Then exits act inside the bar, and the book is marked at the close.

    :param is_order: False keeps what is held and ignores `target`
    :param target: exposure wanted, share of equity -1..1, as `sizing.sized_target` left it
    :param atr: average true range up to the previous close, quote currency; read only where a rule needs it
    """
    none = Fill(open - open, open - open, open - open, NONE)
    order = none
    if is_order:
        order = _ordered(book, target, open, rules)
        book, track = filled(book, track, order, plan)
    exit = none
    if book.held != 0:
        book, track, exit = exited(book, track, open, high, low, atr, rules, plan)
    book, track = reduced(book, track, exit, plan)
    return marked(book, high, low, close), track, order, exit


def _ordered(book, target, open, rules):
    """Return the fill of a market order towards `target` at the open; quantity 0 if none is due."""
    quantity, price = asked(book, target, open, rules)
    if rules.max_order_share > 0 or rules.max_position > 0:
        quantity, _code = capped(quantity, price, book, open, rules)
    return Fill(quantity, price, fee_of(quantity * price, rules.fee_rate, rules.fee_step, rules.guard), NONE)


def asked(book, target, open, rules):
    """Return (quantity, price) of the order that reaches `target` at the open, whatever its size."""
    side = asked_side(book, target, open)
    price = fill_price(open, side, rules)
    return asked_quantity(book, target, side, price, rules), price


def asked_side(book, target, open):
    """Return 1 if reaching `target` at the open takes buying, else -1."""
    return 1 if target * equity(book.cash, book.held, open) > book.held * open else -1


def asked_quantity(book, target, side, price, rules):
    """Return the signed quantity of an order towards `target` that fills at `price`."""
    quantity = order_quantity(
        target, book.cash, book.held, price, rules.step, rules.min_notional, rules.fee_rate, rules.guard
    )
    if quantity * side <= 0:  # the spread ate the difference between target and holdings
        quantity = quantity - quantity
    return quantity


def capped(quantity, price, book, open, rules):
    """Return (quantity, code): an order cut to the caps of `rules` as a live one is; 0 if too little is left.

    :param price: of the fill; :param open: what the account is marked at
    :return: the code of `breakers.limited_order`, OK for an order that no cap cuts
    """
    return within_caps(quantity, price, book.held, equity(book.cash, book.held, open), rules)


def within_caps(quantity, price, held, worth, rules):
    """Return what `capped` does, for a position in an account that is worth `worth` at the open."""
    caps = OrderCaps(rules.max_order_share, rules.max_position, 0, 0)
    cut, code = limited_order(quantity, held, price, worth, caps, ACTIVE, True, rules.step, rules.guard)
    return (cut if is_tradable(cut, price, rules.min_notional) else cut - cut), code


def exited(book, track, open, high, low, atr, rules, plan):
    """Return (book, track, fill): levels tightened, and the fill of what they force, perhaps nothing."""
    stop, kind, take, goal, bracket = levels(book, track, atr, rules, plan)
    if stop != book.stop:
        book = with_stop(book, stop)
    track = with_levels(track, kind, bracket)
    level, reason = bar_leave(book, open, high, low, stop, kind, take, goal, plan)
    return book, track, left(book, level, reason, rules)


def left(book, level, reason, rules):
    """Return the fill that leaves a position at a level, for a reason; quantity 0 if it is too small."""
    if reason == NONE:
        return Fill(level, level, level, NONE)
    side = 1 if book.held > 0 else -1
    price = fill_price(level, -side, rules)
    quantity = closing_quantity(book.held, rules.step, rules.guard)
    if not is_tradable(quantity, price, rules.min_notional):
        quantity = quantity - quantity
    fee = fee_of(quantity * price, rules.fee_rate, rules.fee_step, rules.guard)
    return Fill(quantity, price, fee, reason)


def with_stop(book, stop):
    """Return the book with another protective stop."""
    return Book(book.cash, book.held, book.entry, book.bars_held, book.peak, book.water, stop)


def with_levels(track, kind, bracket):
    """Return the track with the rule of the present stop and the bracket's target."""
    return Track(
        kind, bracket, track.base, track.lots, track.last,
        track.trades, track.won, track.gain, track.loss, track.streak,
    )  # fmt: skip


def fill_price(reference, side, rules):
    """Return what a market order pays or receives, rounded to the tick against the trader."""
    price = taker_price(reference, side, rules.half_spread, rules.slippage)
    return round_price(price, rules.tick, rules.guard, side > 0)


def filled(book, track, fill, plan):
    """Return (book, track) after a fill; a position that opens or turns counts, trails and guards anew."""
    if fill.quantity == 0:
        return book, track
    return _booked(book, track, fill, average_entry(book.entry, book.held, fill.quantity, fill.price), plan)


def reduced(book, track, fill, plan):
    """Return what `filled` does, of a fill that closes a position or a part of it: nothing is averaged."""
    if fill.quantity == 0:
        return book, track
    entry = book.entry - book.entry if book.held + fill.quantity == 0 else book.entry
    return _booked(book, track, fill, entry, plan)


def _booked(book, track, fill, entry, plan):
    """Return (book, track) after a fill that makes `entry` the average price of the position."""
    cash, held = settle(book.cash, book.held, fill.quantity, fill.price, fill.fee)
    if plan.is_on > 0:
        before, after = equity(book.cash, book.held, fill.price), equity(cash, held, fill.price)
        track = followed(track, book.held, held, before, after, fill.price, plan)
    zero, fresh = held - held, book.bars_held - book.bars_held
    if held == 0:
        return Book(cash, held, entry, fresh, book.peak, zero, zero), track
    if book.held * held <= 0:
        return Book(cash, held, entry, fresh, book.peak, fill.price, zero), track
    return Book(cash, held, entry, book.bars_held, book.peak, book.water, book.stop), track


def marked(book, high, low, close):
    """Return the book at the close, with best price, closes in position and peak equity up to date."""
    peak = max(book.peak, equity(book.cash, book.held, close))
    if book.held == 0:
        return Book(book.cash, book.held, book.entry, book.bars_held, peak, book.water, book.stop)
    side = 1 if book.held > 0 else -1
    water = best_price(book.water, high, low, side)
    return Book(book.cash, book.held, book.entry, book.bars_held + 1, peak, water, book.stop)
