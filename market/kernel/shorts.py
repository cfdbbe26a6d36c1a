"""A short at a venue that takes collateral: 1x, one per pair, merged. Quantities are unsigned base units.

The venue keeps the collateral in the quote coin's balance and pays proceeds to nobody: opening costs the fee
only, closing pays the profit. So equity is the balance plus `unrealised`, and nothing is counted twice.
"""

from typing import Any, NamedTuple

from market.kernel.instrument import floor_to_step
from market.kernel.portfolio import average_entry


class Short(NamedTuple):
    """An open short; all zero when there is none."""

    quantity: Any  # base currency
    entry: Any  # quantity-weighted price
    collateral: Any  # quote currency


def opened(short, quantity, price, cent):
    """Return the short after `quantity` more was sold at `price`; each opening locks whole cents."""
    entry = average_entry(short.entry, -short.quantity, -quantity, price)
    locked = floor_to_step(quantity * price, cent, cent - cent)
    return Short(short.quantity + quantity, entry, short.collateral + locked)


def closed(short, quantity, price, cent):
    """Return (short, realised, relief) after `quantity` of it was bought back at `price`.

    The loss of what is closed ends at its collateral: `relief` is what it would have been beyond that.

    :param quantity: at most the short's
    """
    left = short.quantity - quantity
    zero = left - left
    kept = floor_to_step(short.collateral * left / short.quantity, cent, zero)
    profit = quantity * (short.entry - price)
    realised = max(profit, kept - short.collateral)
    return Short(left, short.entry if left > 0 else zero, kept), realised, realised - profit


def closing_quantity(short, wanted, price, minimum):
    """Return what the venue closes when `wanted` is asked for: never more, and no rest below its minimum."""
    quantity = min(wanted, short.quantity)
    return short.quantity if (short.quantity - quantity) * price < minimum else quantity


def unrealised(short, price):
    """Return the profit so far, marked at the price it could be bought back at."""
    return max(-short.collateral, short.quantity * (short.entry - price))


def free_cash(cash, short):
    """Return what of a portfolio's cash can be spent: its proceeds are not there, its collateral is locked.

    :param cash: as `portfolio.settle` keeps it, the proceeds of the short included
    """
    return cash - short.quantity * short.entry - short.collateral


def coverable(cash, price, fee_rate, step):
    """Return the largest short that free cash covers as collateral, its fee included.

    The profit of an open short is not free before it is closed, so this can be less than equity says.
    """
    zero = cash - cash
    return floor_to_step(max(cash / (price * (1 + fee_rate)), zero), step, zero)
