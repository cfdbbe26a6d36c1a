"""Shorts on paper, by the venue's rules: 1x, isolated per pair, sized by collateral, which is locked."""

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal

from market.kernel import shorts
from market.kernel.costs import fee_of
from market.kernel.instrument import Instrument, floor_to_step
from market.kernel.shorts import Short
from trading.exchanges.errors import OrderRejected
from trading.exchanges.paper_book import PaperBook, PaperShort
from trading.exchanges.port import (
    FILLED,
    SHORT_CLOSE,
    SHORT_OPEN,
    ZERO,
    Balance,
    Quote,
    ShortPosition,
    ShortReport,
)

CENT, MIN_COLLATERAL = Decimal("0.01"), Decimal(1)
ENTRY_STEP = Decimal(1).scaleb(-12)  # a merged entry is a quotient


def open_short(
    book: PaperBook, rules: Instrument, collateral: Decimal, quote: Quote, now_ms: int
) -> ShortReport:
    """Open or enlarge a short at the bid.

    :raises OrderRejected: in the venue's words; nothing has changed then.
    """
    if collateral < MIN_COLLATERAL:
        raise OrderRejected("minimum collateral is $1")
    entry = quote.bid
    quantity = floor_to_step(collateral / entry, rules.step, ZERO)
    if quantity <= 0:
        raise OrderRejected("quantity error")
    before = _short(book, rules.pair)
    after = shorts.opened(before, quantity, entry, CENT)
    locked = after.collateral - before.collateral
    fee = fee_of(quantity * entry, rules.taker_fee, rules.fee_step, ZERO)
    if locked + fee > book.free(rules.quote):
        raise OrderRejected("insufficient balance")
    _pay(book, rules.quote, free=-locked - fee, locked=locked)
    opened_ms = book.shorts[rules.pair].opened_ms if rules.pair in book.shorts else now_ms
    average = after.entry.quantize(ENTRY_STEP, ROUND_HALF_EVEN) if before.quantity else entry
    book.shorts[rules.pair] = PaperShort(after.quantity, average, after.collateral, opened_ms)
    number = book.enter(SHORT_OPEN, rules, quantity, entry, fee, now_ms)
    return ShortReport(number, rules.pair, FILLED, quantity, entry, fee, locked, created_ms=now_ms)


def close_short(
    book: PaperBook, rules: Instrument, wanted: Decimal | None, quote: Quote, now_ms: int
) -> ShortReport:
    """Close all or part of a short at the ask. Excess is cut; a leftover below the minimum is closed too."""
    held = book.shorts.get(rules.pair)
    if held is None:
        raise OrderRejected("no open short position for this pair")
    if wanted is not None and (wanted <= 0 or floor_to_step(wanted, rules.step, ZERO) != wanted):
        raise OrderRejected("quantity step size error")
    price, before = quote.ask, _short(book, rules.pair)
    asked = before.quantity if wanted is None else wanted
    quantity = shorts.closing_quantity(before, asked, price, MIN_COLLATERAL)
    after, realised, _ = shorts.closed(before, quantity, price, CENT)
    released = before.collateral - after.collateral
    fee = fee_of(quantity * price, rules.taker_fee, rules.fee_step, ZERO)
    _pay(book, rules.quote, free=released + realised - fee, locked=-released)
    if after.quantity:
        book.shorts[rules.pair] = replace(held, quantity=after.quantity, collateral=after.collateral)
    else:
        del book.shorts[rules.pair]
    book.enter(SHORT_CLOSE, rules, quantity, price, fee, now_ms)
    return ShortReport(
        "", rules.pair, FILLED, quantity, price, fee, after.collateral, realised, released + realised - fee,
        is_closed=not after.quantity, created_ms=now_ms,
    )  # fmt: skip


def _short(book: PaperBook, pair: str) -> Short:
    held = book.shorts.get(pair)
    return (
        Short(ZERO, ZERO, ZERO) if held is None else Short(held.quantity, held.entry_price, held.collateral)
    )


def positions(book: PaperBook, quotes: dict[str, Quote]) -> list[ShortPosition]:
    """Return the open shorts marked at the ask; one without a quote is marked at its entry."""
    return [
        ShortPosition(
            pair,
            short.quantity,
            short.entry_price,
            short.collateral,
            shorts.unrealised(_short(book, pair), quotes[pair].ask),
            short.opened_ms,
        )
        for pair, short in book.shorts.items()
    ]


def _pay(book: PaperBook, coin: str, *, free: Decimal, locked: Decimal) -> None:
    before = book.balances.get(coin, Balance(ZERO))
    book.balances[coin] = Balance(before.free + free, before.locked + locked)
