"""What a spot venue keeps: purses, orders, trades. Fees are taken out of what is received."""

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

UNIT = Decimal("0.00000001")
ZERO = Decimal(0)
AHEAD_MS = 60_000  # real venues: 1 s; here the clock may stand still while the real one goes on


class Refusal(Exception):
    """The venue says no; `word` is one of: step, tick, small, balance, symbol, price, duplicate."""

    def __init__(self, word):
        super().__init__(word)
        self.word = word


@dataclass
class Trade:
    trade_id: int
    order_id: int
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_coin: str
    is_maker: bool
    at_ms: int


@dataclass
class SpotOrder:
    order_id: int
    client_id: str
    pair: tuple[str, str]
    side: str  # BUY, SELL
    type: str  # MARKET, LIMIT
    quantity: Decimal
    price: Decimal | None
    created_ms: int
    status: str = "NEW"  # NEW, FILLED, CANCELED
    updated_ms: int = 0
    trades: list[Trade] = field(default_factory=list)

    @property
    def executed(self):
        return sum((one.quantity for one in self.trades), ZERO)

    @property
    def cost(self):
        return sum((one.quantity * one.price for one in self.trades), ZERO)


class SpotLedger:
    """Orders meet the touch of a market that somebody else moves.

    :param depth: base units at the touch; what a market order wants beyond that trades `tick` further.
    """

    step, tick, least = Decimal("0.00001"), Decimal("0.01"), Decimal(1)

    def __init__(self, purses, fee=Decimal("0.001"), depth=Decimal(1000)):
        self.free, self.locked = dict(purses), {}
        self.fee, self.depth = fee, depth
        self.orders: list[SpotOrder] = []
        self.trades: list[Trade] = []

    def place(self, pair, side, kind, quantity, price, client_id, touch, at_ms):
        self._check(quantity, price if kind == "LIMIT" else None, kind, client_id)
        best = touch[1] if side == "BUY" else touch[0]
        if not quantity * (price or best) > self.least:
            raise Refusal("small")
        order = SpotOrder(
            len(self.orders) + 1, client_id, pair, side, kind, quantity,
            price if kind == "LIMIT" else None, at_ms, updated_ms=at_ms,
        )  # fmt: skip
        reaches = kind == "MARKET" or (price >= best if side == "BUY" else price <= best)
        coin, needed = self._needs(order, best if reaches else price)
        if needed > self.free.get(coin, ZERO):
            raise Refusal("balance")
        self.orders.append(order)
        if reaches:
            self._fill_at_touch(order, best, at_ms)
        else:
            self._add(self.free, coin, -needed)
            self._add(self.locked, coin, needed)
        return order

    def sweep(self, touches, at_ms):
        """Fill what the market has reached."""
        for order in self.resting():
            bid, ask = touches.get(order.pair, (None, None))
            if bid is not None and (ask <= order.price if order.side == "BUY" else bid >= order.price):
                self._unlock(order)
                self._trade(order, order.price, order.quantity, at_ms, is_maker=True)

    def cancel(self, order, at_ms):
        if order is None or order.status != "NEW":
            return False
        self._unlock(order)
        order.status, order.updated_ms = "CANCELED", at_ms
        return True

    def resting(self):
        return [order for order in self.orders if order.status == "NEW"]

    def order(self, order_id="", client_id=""):
        alike = (
            one for one in self.orders if str(order_id) == str(one.order_id) or client_id == one.client_id
        )
        return next(alike, None)

    def totals(self):
        coins = {*self.free, *self.locked}
        found = {coin: self.free.get(coin, ZERO) + self.locked.get(coin, ZERO) for coin in coins}
        return {coin: amount for coin, amount in found.items() if amount}

    def _check(self, quantity, price, kind, client_id):
        if quantity <= 0 or quantity % self.step:
            raise Refusal("step")
        if kind == "LIMIT" and (price is None or price <= 0):
            raise Refusal("price")
        if price is not None and price % self.tick:
            raise Refusal("tick")
        if any(one.client_id == client_id for one in self.orders):
            raise Refusal("duplicate")

    def _needs(self, order, price):
        base, quote = order.pair
        return (quote, order.quantity * price) if order.side == "BUY" else (base, order.quantity)

    def _unlock(self, order):
        coin, locked = self._needs(order, order.price)
        self._add(self.locked, coin, -locked)
        self._add(self.free, coin, locked)

    def _fill_at_touch(self, order, best, at_ms):
        near = min(order.quantity, self.depth)
        further = best + self.tick if order.side == "BUY" else best - self.tick
        self._trade(order, best, near, at_ms)
        if order.quantity > near:
            self._trade(order, further, order.quantity - near, at_ms)

    def _trade(self, order, price, quantity, at_ms, is_maker=False):
        base, quote = order.pair
        gets, amount = (base, quantity) if order.side == "BUY" else (quote, quantity * price)
        fee = (amount * self.fee).quantize(UNIT, ROUND_DOWN)
        self._add(self.free, gets, amount - fee)
        gives, given = (quote, quantity * price) if gets == base else (base, quantity)
        self._add(self.free, gives, -given)
        trade = Trade(len(self.trades) + 1, order.order_id, price, quantity, fee, gets, is_maker, at_ms)
        self.trades.append(trade)
        order.trades.append(trade)
        order.status = "FILLED" if order.executed == order.quantity else "NEW"
        order.updated_ms = at_ms

    def _add(self, purse, coin, amount):
        purse[coin] = purse.get(coin, ZERO) + amount
