"""Shorts on paper, by the venue's rules: 1x, isolated per pair, sized by collateral, which is locked."""

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal

from market.kernel.costs import fee_of
from market.kernel.instrument import Instrument, floor_to_step
from trading.exchanges.errors import OrderRejected
from trading.exchanges.paper_book import PaperBook, PaperShort, cents
from trading.exchanges.port import FILLED, ZERO, Balance, Quote, ShortPosition, ShortReport

MIN_COLLATERAL = Decimal(1)
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
    locked = cents(quantity * entry)
    fee = fee_of(quantity * entry, rules.taker_fee, rules.fee_step, ZERO)
    if locked + fee > book.free(rules.quote):
        raise OrderRejected("insufficient balance")
    _pay(book, rules.quote, free=-locked - fee, locked=locked)
    book.shorts[rules.pair] = _merged(book.shorts.get(rules.pair), quantity, entry, locked, now_ms)
    book.next_id += 1
    return ShortReport(
        str(book.next_id - 1), rules.pair, FILLED, quantity, entry, fee, locked, created_ms=now_ms
    )


def _merged(
    before: PaperShort | None, quantity: Decimal, entry: Decimal, locked: Decimal, now_ms: int
) -> PaperShort:
    if before is None:
        return PaperShort(quantity, entry, locked, now_ms)
    total = before.quantity + quantity
    weighted = (before.entry_price * before.quantity + entry * quantity) / total
    return replace(
        before,
        quantity=total,
        entry_price=weighted.quantize(ENTRY_STEP, ROUND_HALF_EVEN),
        collateral=before.collateral + locked,
    )


def close_short(
    book: PaperBook, rules: Instrument, wanted: Decimal | None, quote: Quote, now_ms: int
) -> ShortReport:
    """Close all or part of a short at the ask. Excess is cut; a leftover below the minimum is closed too."""
    short = book.shorts.get(rules.pair)
    if short is None:
        raise OrderRejected("no open short position for this pair")
    if wanted is not None and (wanted <= 0 or floor_to_step(wanted, rules.step, ZERO) != wanted):
        raise OrderRejected("quantity step size error")
    price = quote.ask
    quantity = short.quantity if wanted is None else min(wanted, short.quantity)
    left = short.quantity - quantity
    if left * price < MIN_COLLATERAL:
        quantity, left = short.quantity, ZERO
    kept = cents(short.collateral * left / short.quantity)
    released = short.collateral - kept
    realised = max(-released, quantity * (short.entry_price - price))
    fee = fee_of(quantity * price, rules.taker_fee, rules.fee_step, ZERO)
    _pay(book, rules.quote, free=released + realised - fee, locked=-released)
    if left:
        book.shorts[rules.pair] = replace(short, quantity=left, collateral=kept)
    else:
        del book.shorts[rules.pair]
    return ShortReport(
        "", rules.pair, FILLED, quantity, price, fee, kept, realised, released + realised - fee,
        is_closed=not left, created_ms=now_ms,
    )  # fmt: skip


def positions(book: PaperBook, quotes: dict[str, Quote]) -> list[ShortPosition]:
    """Return the open shorts marked at the ask; one without a quote is marked at its entry."""
    return [
        ShortPosition(
            pair,
            short.quantity,
            short.entry_price,
            short.collateral,
            max(-short.collateral, short.quantity * (short.entry_price - quotes[pair].ask)),
            short.opened_ms,
        )
        for pair, short in book.shorts.items()
    ]


def _pay(book: PaperBook, coin: str, *, free: Decimal, locked: Decimal) -> None:
    before = book.balances.get(coin, Balance(ZERO))
    book.balances[coin] = Balance(before.free + free, before.locked + locked)
