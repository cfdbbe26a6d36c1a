"""What a fill does to cash and holdings, and what they are worth. Quantities are signed base units."""


def settle(cash, held, quantity, price, fee):
    """Return (cash, held) once a signed `quantity` has traded at `price` and its `fee` has been paid.

    Valued at the fill price, equity falls by exactly the fee: nothing is made or lost elsewhere.
    """
    return cash - quantity * price - fee, held + quantity


def average_entry(entry, held, quantity, price):
    """Return the quantity-weighted entry price after a fill; `entry` and `held` are those before it.

    Adding averages, reducing keeps, crossing zero starts anew at the fill price, flat is 0.
    """
    after = held + quantity
    if after == 0:
        return entry - entry  # a zero of the entry's own number type
    if held * after <= 0:
        return price
    if abs(after) > abs(held):
        return (entry * held + price * quantity) / after
    return entry


def equity(cash, held, price):
    """Return what cash and holdings are worth at `price`, in quote currency."""
    return cash + held * price


def exposure_of(cash, held, price):
    """Return the share of equity held in the asset, signed; 0 when nothing is left."""
    worth = equity(cash, held, price)
    return held * price / worth if worth > 0 else worth - worth


def portfolio_row(cash, held, entry, bars_held, peak_equity, price, bars_scale):
    """Return the five portfolio features of an observation, in this order:

    - exposure: share of equity in the asset, signed
    - unrealised return of the position against its average entry, as a fraction; 0 when flat
    - time in position: bars_held / (bars_held + bars_scale), in [0, 1); `bars_held` counts closes since entry
    - drawdown: equity / peak equity - 1, 0 or negative
    - cash share: cash / equity, which is 1 - exposure

    :param price: the close the portfolio is marked at
    :param bars_scale: number of bars after which time in position reads one half
    """
    worth = equity(cash, held, price)
    if worth <= 0 or peak_equity <= 0:
        nothing = worth - worth
        return nothing, nothing, nothing, nothing - 1, nothing
    unrealised = time_in_position = exposure = worth - worth
    if held != 0:
        exposure = held * price / worth
        unrealised = price / entry - 1 if held > 0 else 1 - price / entry
        time_in_position = bars_held / (bars_held + bars_scale)
    return exposure, unrealised, time_in_position, worth / peak_equity - 1, 1 - exposure


def realised(entry, held, quantity, price):
    """Return the profit before fees of the part of a position that a fill closes; 0 for one that opens."""
    if held * quantity >= 0:
        return price - price
    closed = min(abs(held), abs(quantity))
    return (price - entry) * closed if held > 0 else (entry - price) * closed
