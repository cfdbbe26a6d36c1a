"""What one fill costs beside its price: fee, spread, slippage."""

from market.kernel.instrument import floor_to_step


def fee_of(notional, rate, fee_step, guard):
    """Return the fee of a fill in quote currency, floored to `fee_step` as the venue does (6 decimals)."""
    return floor_to_step(abs(notional) * rate, fee_step, guard)


def taker_price(reference, side, half_spread, slippage):
    """Return the price a market order pays (`side` 1) or receives (`side` -1) around a reference price.

    :param half_spread: distance from the middle to the touch, as a fraction of the price
    :param slippage: what the order moves beyond the touch, as a fraction of the price
    """
    return reference * (1 + side * (half_spread + slippage))
