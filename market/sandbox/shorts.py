"""Short selling of `/v6`: 1x, isolated per pair, sized by USD collateral."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from market.sandbox import texts
from market.sandbox.books import ZERO, Account, Order, Position, fee_of, floor_to
from market.sandbox.feed import BID_AT_LEAST, BID_AT_MOST
from market.sandbox.rules import plain_decimal
from market.sandbox.texts import Refused

if TYPE_CHECKING:
    from market.sandbox.engine import Engine

FEE = Decimal("0.001")  # each way, market and limit alike
MINIMUM = Decimal(1)  # USD
ENTRY_DECIMALS = 12  # a merged entry is a quotient: kept to this many places


@dataclass(frozen=True, slots=True)
class Closed:
    """What closing a short gave, in USD."""

    price: Decimal
    entry: Decimal
    quantity: Decimal
    fee: Decimal
    released: Decimal  # collateral
    returned: Decimal
    remaining: Position | None
    is_capped: bool  # the loss reached the collateral

    @property
    def profit_shown(self) -> float | Decimal:
        """The realised profit as the venue's own float arithmetic gives it."""
        if self.is_capped:
            return self.returned - self.released + self.fee
        return float(self.quantity) * (float(self.entry) - float(self.price))


def collateral_of(order: Order) -> Decimal:
    """Return the collateral an opening order locks: quantity times entry, floored to cents."""
    return floor_to(order.quantity * order.price, 2)


def open_short(engine: "Engine", account: Account, parameters: Mapping[str, str], now_ms: int) -> Order:
    """Accept or refuse `short_open`; a market short fills at MaxBid at once, a LIMIT rests at its price."""
    pair = engine.pairs.get(parameters.get("pair", ""))
    if pair is None:
        raise Refused(texts.PAIR)
    if not engine.quirks.shorts:
        raise Refused(texts.SHORTS_OFF)
    collateral = plain_decimal(parameters.get("collateral"))
    if collateral is None or collateral < MINIMUM:
        raise Refused(texts.MIN_COLLATERAL)
    bid = pair.price(engine.quote(pair.name, now_ms).bid)
    is_limit = parameters.get("order_type") == "LIMIT"
    entry = _limit_price(parameters, pair.price_precision) if is_limit else bid
    quantity = floor_to(collateral / entry, pair.amount_precision)
    if quantity == 0:
        raise Refused(texts.QUANTITY)
    kind = "LIMIT" if is_limit else "MARKET"
    order = Order(engine.next_order_id, account.key, pair.name, "SHORT_OPEN", kind, entry, quantity, now_ms,
                  fee=fee_of(quantity * entry, FEE), fee_rate=FEE)  # fmt: skip
    order.locked = collateral_of(order)
    usd = account.purse("USD")
    if usd.free < order.locked + order.fee:
        raise Refused(texts.BALANCE)
    engine.book(order)
    usd.free -= order.fee  # taken when the request is accepted, also for one that waits
    if not is_limit:
        fill_open(engine, account, order, now_ms)
        return order
    order.role, order.waits_for = "MAKER", BID_AT_LEAST if entry >= bid else BID_AT_MOST
    engine.hold(account, order)
    engine.emit("order_placed", account, now_ms, order)
    return order


def _limit_price(parameters: Mapping[str, str], precision: int) -> Decimal:
    if not parameters.get("price"):
        raise Refused(texts.LIMIT_PRICE)
    price = plain_decimal(parameters["price"])
    if price is None or price <= 0:
        raise Refused(texts.PRICE)
    if price != floor_to(price, precision):
        raise Refused(texts.PRICE_STEP)
    return price


def fill_open(engine: "Engine", account: Account, order: Order, at_ms: int) -> None:
    """Turn a short order (its money free again) into a position, or merge it into the one on its pair."""
    collateral, entry = collateral_of(order), order.price
    usd, position = account.purse("USD"), account.positions.get(order.pair)
    usd.free -= collateral
    usd.collateral += collateral
    order.fill(entry, at_ms)
    if position is None:
        position = Position(engine.next_position_id, order.pair, entry, order.quantity, collateral, at_ms)
        account.positions[order.pair] = position
        engine.next_position_id += 1
    else:
        quantity = position.quantity + order.quantity
        weighted = (position.entry * position.quantity + entry * order.quantity) / quantity
        position.entry = round(weighted, ENTRY_DECIMALS).normalize()
        position.quantity, position.collateral = quantity, position.collateral + collateral
    engine.emit("short_opened", account, at_ms, order, order.pair)


def close_short(engine: "Engine", account: Account, parameters: Mapping[str, str], now_ms: int) -> Closed:
    """Close all or part of a short at MinAsk; excess is cut, a leftover below the minimum is closed too."""
    pair = engine.pairs.get(parameters.get("pair", ""))
    if pair is None:
        raise Refused(texts.PAIR)
    position = account.positions.get(pair.name)
    if position is None:
        raise Refused(texts.NO_SHORT)
    price = pair.price(engine.quote(pair.name, now_ms).ask)
    quantity = min(position.quantity, _asked(position.quantity, parameters, pair.amount_precision))
    left = position.quantity - quantity
    if left * price < MINIMUM:
        quantity, left = position.quantity, ZERO
    kept = floor_to(position.collateral * left / position.quantity, 2)
    released = position.collateral - kept
    profit = quantity * (position.entry - price)
    is_capped = profit < -released  # a short never loses more than its collateral
    profit = max(profit, -released)
    fee = fee_of(quantity * price, FEE)
    usd = account.purse("USD")
    usd.collateral -= released
    usd.free += released + profit - fee
    position.quantity, position.collateral = left, kept
    if left == 0:
        del account.positions[pair.name]
    order = Order(engine.next_order_id, account.key, pair.name, "SHORT_CLOSE", "MARKET", price, quantity,
                  now_ms, fee=fee, fee_rate=FEE)  # fmt: skip
    order.fill(price, now_ms)
    engine.book(order)
    engine.emit("short_closed", account, now_ms, order, pair.name)
    remaining = position if left else None
    return Closed(
        price, position.entry, quantity, fee, released, released + profit - fee, remaining, is_capped
    )


def _asked(held: Decimal, parameters: Mapping[str, str], precision: int) -> Decimal:
    """Return the quantity to close: `close_qty`, else `close_pct` of what is held, else all."""
    if parameters.get("close_qty"):
        quantity = plain_decimal(parameters["close_qty"])
        if quantity is None or quantity <= 0:
            raise Refused(texts.QUANTITY)
        if quantity != floor_to(quantity, precision):
            raise Refused(texts.QUANTITY_STEP)
        return quantity
    if not parameters.get("close_pct"):
        return held
    percent = plain_decimal(parameters["close_pct"])
    if percent is None or not 0 < percent <= 100:
        raise Refused(texts.QUANTITY)
    quantity = floor_to(held * percent / 100, precision)
    if quantity == 0:
        raise Refused(texts.QUANTITY)
    return quantity
