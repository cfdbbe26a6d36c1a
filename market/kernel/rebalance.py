"""From a target exposure to the order that reaches it."""

from market.kernel.instrument import floor_to_step, is_tradable


def is_kept(target, exposure, band):
    """Say whether a target is so near to the present exposure that trading would only burn fees.

    Leaving the market (target 0) is never kept.
    """
    return target != 0 and abs(target - exposure) < band


def order_quantity(target, cash, held, price, step, min_notional, fee_rate, guard):
    """Return the signed quantity that brings the asset's share of equity to `target`; 0 if untradable.

    The magnitude is floored to `step`, so a target is approached and never passed. Spending all the cash
    leaves room for the order's own fee; opening a short to -1 likewise. Target 0 sells exactly what is held
    (what lies on the step grid, if holdings do not).

    :param target: exposure as a share of equity, -1..1
    :param price: the price the order is expected to fill at
    :param guard: see `floor_to_step`
    """
    worth = cash + held * price
    return quantity_towards(target, worth, cash, held, price, step, min_notional, fee_rate, guard)


def quantity_towards(target, worth, cash, held, price, step, min_notional, fee_rate, guard):
    """Return what `order_quantity` does, of an account that is worth `worth` because it holds more than this.

    A short is opened only by an account of one asset.
    """
    wanted = held
    if target != 0:
        wanted = target * worth / price - held
        most = (cash if wanted > 0 else -(cash + 2 * held * price)) / (price * (1 + fee_rate))
        if wanted > 0:
            wanted = max(min(wanted, most), cash - cash)
        elif target < 0:
            wanted = min(max(wanted, most), cash - cash)
    floored = floor_to_step(wanted, step, guard)  # lanes take both ways: one division serves either
    quantity = _all_of(held, floored, step, guard) if target == 0 else floored
    return quantity if is_tradable(quantity, price, min_notional) else quantity - quantity


def closing_quantity(held, step, guard):
    """Return the signed quantity that closes a position: all of it, but for what is below the step."""
    return _all_of(held, floor_to_step(held, step, guard), step, guard)


def _all_of(held, floored, step, guard):
    """Return what `closing_quantity` does, of a position that has been floored to the step."""
    # A float sum of steps is off the grid by less than the guard: sell it whole, so that flat is exactly 0.
    return -held if abs(held - floored) <= guard * (step + abs(held)) else -floored
