"""One account over several pairs: what a rebalance to target weights does, and what the account is worth.

Whatever there is one of per pair comes as a sequence of k numbers: lists of Decimal or float, or rows of
arrays in `batch_basket.py`, which compiles these functions. Sequences that a function changes are named in
its docstring. Weights are shares of equity, long only, together at most 1; the rest is cash.
"""

from market.kernel.costs import fee_of
from market.kernel.portfolio import average_entry, settle
from market.kernel.rebalance import is_kept, quantity_towards
from market.kernel.step import Rules, fill_price, within_caps


def target_weights(wishes, top, weights):
    """Write the weights that wishes in -1..1 ask for to `weights`.

    Each wish is mapped evenly onto 0..`top`; where they sum up to more than `top`, all shrink alike. So every
    mix of the pairs and cash can be asked for, and equal wishes are equal weights.
    """
    total = top - top
    for i in range(len(wishes)):
        weights[i] = (min(max(wishes[i], -1), 1) + 1) * top / 2
        total += weights[i]
    if total > top:
        for i in range(len(wishes)):
            weights[i] = weights[i] * top / total


def basket_worth(cash, held, prices):
    """Return equity: cash and all holdings at their prices, in quote currency."""
    worth = cash
    for i in range(len(held)):
        worth += held[i] * prices[i]
    return worth


def wanted_orders(weights, cash, held, prices, band, orders):
    """Write to `orders` which pairs are to be traded, 1 or 0, and return how many.

    As for one pair: a weight nearer than `band` to the present one is kept, leaving a pair never is.
    """
    worth, count = basket_worth(cash, held, prices), 0
    for i in range(len(held)):
        share = held[i] * prices[i] / worth if worth > 0 else worth - worth
        is_idle = weights[i] == 0 and held[i] == 0
        orders[i] = 0 if is_idle or is_kept(weights[i], share, band) else 1
        count += orders[i]
    return count


def rebalanced(
    cash, held, entry, weights, orders, opens, ticks, steps, rules, quantities, prices, fees, cuts
):  # fmt: skip
    """Return the cash once every wanted pair has traded towards its weight at the open; `held`, `entry` move.

    Sells come first, in the order of the pairs, so that their proceeds pay for the buys; a buy never spends
    more than the cash that is there, its own fee included. Each order fills at the taker price, rounded and
    charged as one of `market.kernel.step` is. `quantities` (signed), `prices` and `fees` get each pair's
    fill, 0 where there was none; `orders` gets the sides, `cuts` the code of a cap, where one cut; None says
    that the rules have no caps.

    :param orders: as of `wanted_orders`; a pair with 0 keeps what it holds
    :param ticks, steps: of each pair, in place of the one in `rules`
    """
    zero, worth = cash - cash, basket_worth(cash, held, opens)
    for i in range(len(held)):
        quantities[i], prices[i], fees[i] = zero, opens[i], zero
        if orders[i] != 0:
            orders[i] = 1 if weights[i] * worth > held[i] * opens[i] else -1
    for side in (-1, 1):
        for i in range(len(held)):
            if orders[i] != side:
                continue
            price = fill_price(opens[i], side, of_pair(rules, ticks[i], steps[i]))
            worth = cash + held[i] * price + _others(held, opens, i)
            quantity = quantity_towards(
                weights[i], worth, cash, held[i], price, steps[i], rules.min_notional, rules.fee_rate,
                rules.guard,
            )  # fmt: skip
            if quantity * side <= 0:  # the spread ate the difference between weight and holdings
                continue
            if cuts is not None:  # a test of its own: the compiler then drops all that follows from it
                if rules.max_order_share > 0 or rules.max_position > 0:
                    marked, own = basket_worth(cash, held, opens), of_pair(rules, ticks[i], steps[i])
                    quantity, cuts[i] = within_caps(quantity, price, held[i], marked, own)
                if quantity == 0:
                    continue
            fee = fee_of(quantity * price, rules.fee_rate, rules.fee_step, rules.guard)
            entry[i] = average_entry(entry[i], held[i], quantity, price)
            cash, held[i] = settle(cash, held[i], quantity, price, fee)
            quantities[i], prices[i], fees[i] = quantity, price, fee
    return cash


def of_pair(rules, tick, step):
    """Return the rules with one pair's tick and step."""
    return Rules(
        tick, step, rules.min_notional, rules.fee_rate, rules.fee_step, rules.half_spread, rules.slippage,
        rules.stop_loss, rules.take_profit, rules.trailing, rules.max_order_share, rules.max_position,
        rules.guard,
    )  # fmt: skip


def _others(held, prices, at):
    """Return what all pairs but one are worth."""
    worth = held[at] - held[at]
    for i in range(len(held)):
        if i != at:
            worth += held[i] * prices[i]
    return worth


def traded(quantities, prices):
    """Return the sum of the notionals that a rebalance filled, in quote currency."""
    total = quantities[0] - quantities[0]
    for i in range(len(quantities)):
        total += abs(quantities[i]) * prices[i]
    return total


def mean_growth(before, after):
    """Return by how much pairs held in equal parts have grown between two prices each, without costs."""
    total = before[0] - before[0]
    for i in range(len(before)):
        total += after[i] / before[i]
    return total / len(before)


def account_row(cash, held, entry, peak, prices, out, at):
    """Write an observation's 2k + 2 numbers about the account to `out`, from place `at` on:

    - of each pair its weight, and the unrealised return against its average entry (0 when none is held)
    - drawdown: equity / peak equity - 1, 0 or negative
    - cash share: cash / equity
    """
    worth, count = basket_worth(cash, held, prices), len(held)
    nothing = worth - worth
    is_alive = worth > 0 and peak > 0
    for i in range(count):
        is_held = is_alive and held[i] != 0
        out[at + 2 * i] = held[i] * prices[i] / worth if is_held else nothing
        out[at + 2 * i + 1] = prices[i] / entry[i] - 1 if is_held else nothing
    out[at + 2 * count] = worth / peak - 1 if is_alive else nothing - 1
    out[at + 2 * count + 1] = cash / worth if is_alive else nothing
