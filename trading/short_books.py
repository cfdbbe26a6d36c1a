"""Our books of an account's shorts: one per pair, as the venue merges them.

A short's quantity is a holding of its own ("BTC/USD short") with ledger entries like any coin's, so whatever
compares, adopts and corrects coins does so for shorts. The arithmetic is the kernel's.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal

from market.kernel import shorts
from market.kernel.shorts import Short
from trading.exchanges.port import ShortPosition
from trading.models import Account, Holding, Side

CENT, ZERO = Decimal("0.01"), Decimal(0)
SUFFIX = " short"
ENTRY_STEP = Decimal(1).scaleb(-12)  # to which the venue rounds a merged entry
FINEST = Decimal(1).scaleb(-9)  # a profit over a merged entry has more places than a column keeps
NONE = Short(ZERO, ZERO, ZERO)


def name_of(pair: str) -> str:
    """Return the name by which the ledger knows a pair's short."""
    return pair + SUFFIX


def is_short(name: str) -> bool:
    return name.endswith(SUFFIX)


def of_account(account: Account) -> dict[str, Short]:
    """Return the open shorts in our books, by pair."""
    rows = Holding.objects.filter(account=account, coin__endswith=SUFFIX).exclude(quantity=0)
    return {
        row.coin.removesuffix(SUFFIX): Short(row.quantity, row.entry_price, row.collateral) for row in rows
    }


def after(
    short: Short, side: str, pair: str, quantity: Decimal, price: Decimal
) -> tuple[Short, dict[str, Decimal], Decimal]:
    """Return (short, what each holding changes by before the fee, relief) after an order of `side`.

    A close of more than our books know of closes what they know; the next comparison finds the rest.
    """
    quote = pair.partition("/")[2]
    if side == Side.SHORT_OPEN:
        made = shorts.opened(short, quantity, price, CENT)
        if short.quantity:
            made = made._replace(entry=made.entry.quantize(ENTRY_STEP, ROUND_HALF_EVEN))
        return made, {name_of(pair): quantity}, ZERO
    if not short.quantity:
        return short, {}, ZERO
    closed = min(quantity, short.quantity)
    left, realised, relief = shorts.closed(short, closed, price, CENT)
    return left, {quote: kept(realised), name_of(pair): -closed}, kept(relief)


def kept(amount: Decimal) -> Decimal:
    """Return an amount as the books keep it: to the last digit, unless it came of a quotient."""
    places = -int(amount.as_tuple().exponent)
    return amount.quantize(FINEST, ROUND_HALF_EVEN) if places > 12 else amount


def remember(account: Account, pair: str, short: Short) -> None:
    """Store entry and collateral beside the quantity, which the ledger has changed. In a transaction."""
    Holding.objects.filter(account=account, coin=name_of(pair)).update(
        entry_price=short.entry, collateral=short.collateral
    )


def quantities(positions: Iterable[ShortPosition]) -> dict[str, Decimal]:
    """Return the venue's shorts as holdings."""
    return {name_of(one.pair): one.quantity for one in positions}


def follow(account: Account, positions: Iterable[ShortPosition]) -> None:
    """Take over the venue's entries and collateral of shorts whose quantities are equal already."""
    for one in positions:
        remember(account, one.pair, Short(one.quantity, one.entry_price, one.collateral))
