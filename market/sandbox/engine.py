"""The exchange itself: orders, fills, cancellations on exact ledgers. No I/O, no clock: time is passed in."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from market.sandbox import shorts, texts
from market.sandbox.books import Account, Order, fee_of, floor_to
from market.sandbox.feed import ASK_AT_MOST, BID_AT_LEAST, Feed, Quote
from market.sandbox.instruments import Pair
from market.sandbox.rules import Quirks, plain_decimal
from market.sandbox.texts import Refused

TAKER, MAKER = Decimal("0.001"), Decimal("0.0005")
FIRST_ORDER_ID, FIRST_POSITION_ID = 3_403_172, 4_055  # the recorded session's neighbourhood


class Engine:
    """Accounts, orders and positions of one exchange. `record` is told every change before it is answered."""

    def __init__(
        self,
        pairs: Mapping[str, Pair],
        feeds: Mapping[str, Feed],
        quirks: Quirks,
        record: Callable[[dict[str, Any]], None],
    ) -> None:
        self.pairs, self.feeds, self.quirks, self._record = pairs, feeds, quirks, record
        self.accounts: dict[str, Account] = {}
        self.orders: dict[int, Order] = {}
        self.resting: dict[int, Order] = {}
        self._order_ids: defaultdict[str, list[int]] = defaultdict(list)  # by account, oldest first
        self.next_order_id, self.next_position_id = FIRST_ORDER_ID, FIRST_POSITION_ID
        self._matched_ms = self._next_step_ms = 0

    def open_account(self, key: str, usd: Decimal, now_ms: int) -> Account:
        """Open an account with `usd`, or return the one that exists."""
        if key not in self.accounts:
            account = self.accounts[key] = Account(key)
            account.purse("USD").free = usd
            self.emit("account_opened", account, now_ms)
        return self.accounts[key]

    def emit(
        self, kind: str, account: Account, now_ms: int, order: Order | None = None, pair: str = ""
    ) -> None:
        """Tell `record` what happened and how it left all it touched: events replayed restore the books."""
        position = account.positions.get(pair)
        self._record({
            "kind": kind, "t_ms": now_ms, "account": account.key, "order": order and order.as_dict(),
            "purses": account.purses_as_dict(), "pair": pair, "position": position and position.as_dict(),
            "next_position_id": self.next_position_id,
        })  # fmt: skip

    def restore(self, event: Mapping[str, Any]) -> None:
        """Apply one recorded event."""
        account = self.accounts.setdefault(event["account"], Account(event["account"]))
        account.restore(event["purses"], event["pair"], event["position"])
        self.next_position_id = event["next_position_id"]
        self._matched_ms = event["t_ms"]
        if event["order"] is None:
            return
        order = Order.from_dict(event["order"])
        self.book(order)
        self.resting.pop(order.order_id, None)
        if order.status == "PENDING":
            self.resting[order.order_id] = order

    # --- matching

    def advance(self, now_ms: int) -> None:
        """Fill every resting order whose price was reached up to `now_ms`, in the order of time."""
        if now_ms < self._next_step_ms:
            return
        hits = []
        for order in self.resting.values():
            ticks = self.pairs[order.pair].ticks(order.price)
            feed, since = self.feeds[order.pair], max(order.created_ms, self._matched_ms)
            reached_ms = feed.first_touch(order.waits_for, ticks, since, now_ms)
            if reached_ms is not None:
                hits.append((reached_ms, order.order_id))
        for reached_ms, order_id in sorted(hits):
            self._fill_resting(self.resting.pop(order_id), reached_ms)
        self._matched_ms = now_ms
        self._next_step_ms = min(
            (self.feeds[name].next_step_ms(now_ms) for name in self._waited_on()), default=0
        )

    def _waited_on(self) -> set[str]:
        return {order.pair for order in self.resting.values()}

    def _fill_resting(self, order: Order, at_ms: int) -> None:
        account = self.accounts[order.account]
        account.unlock(order)
        if order.is_short:
            shorts.fill_open(self, account, order, at_ms)
            return
        self._fill(account, order, order.price, MAKER, at_ms)
        self.emit("order_filled", account, at_ms, order)

    def _fill(self, account: Account, order: Order, price: Decimal, rate: Decimal, at_ms: int) -> None:
        """Settle a whole order at `price`: coins move in full, USD pays the fee, floored to six decimals."""
        notional, coin, usd = price * order.quantity, account.purse(order.coin), account.purse("USD")
        order.fee, order.fee_rate = fee_of(notional, rate), rate
        if order.side == "BUY":
            coin.free += order.quantity
            usd.free -= notional + order.fee
        else:
            coin.free -= order.quantity
            usd.free += notional - order.fee
        order.fill(price, at_ms)
        if not self.quirks.commission_coin_stays:
            order.fee_coin = "USD"

    # --- spot

    def quote(self, pair: str, now_ms: int) -> Quote:
        """Return the touch in ticks.

        :raises Refused: when the pair has no price now.
        """
        feed = self.feeds.get(pair)
        quote = feed.quote(now_ms) if feed is not None else None
        if quote is None:
            raise Refused(texts.NO_QUOTE)
        return quote

    def place(self, account: Account, parameters: Mapping[str, str], now_ms: int) -> Order:
        """Accept or refuse `place_order`; a market or marketable order fills at once, whole, at the touch."""
        pair = self.pairs.get(parameters.get("pair", ""))
        if pair is None:
            raise Refused(texts.PAIR)
        side, kind = parameters.get("side", ""), parameters.get("type", "")
        if side not in ("BUY", "SELL"):
            raise Refused(texts.SIDE)
        if kind not in ("LIMIT", "MARKET"):
            raise Refused(texts.TYPE)
        quantity = stepped(
            parameters.get("quantity"), pair.amount_precision, texts.QUANTITY, texts.QUANTITY_STEP
        )
        quote = self.quote(pair.name, now_ms)
        touch = pair.price(quote.ask if side == "BUY" else quote.bid)
        if kind == "MARKET":
            price, marketable = touch, True
        else:
            price = stepped(parameters.get("price"), pair.price_precision, texts.PRICE, texts.PRICE_STEP)
            marketable = price >= touch if side == "BUY" else price <= touch
        self._check_minimum(pair, price * quantity)
        order = Order(self.next_order_id, account.key, pair.name, side, kind, price, quantity, now_ms)
        if marketable:
            as_maker = kind == "LIMIT" and self.quirks.marketable_limit_is_maker
            self._fill_at_once(
                account, order, price if as_maker else touch, MAKER if as_maker else TAKER, now_ms
            )
        else:
            self._rest(account, order, now_ms)
        self.book(order)
        self.emit("order_filled" if marketable else "order_placed", account, now_ms, order)
        return order

    def _check_minimum(self, pair: Pair, notional: Decimal) -> None:
        enough = notional > pair.mini_order if self.quirks.strict_minimum else notional >= pair.mini_order
        if not enough:
            raise Refused(texts.TOO_SMALL)

    def _fill_at_once(
        self, account: Account, order: Order, price: Decimal, rate: Decimal, now_ms: int
    ) -> None:
        notional = price * order.quantity
        needed = notional + fee_of(notional, rate) if order.side == "BUY" else order.quantity
        if account.purse("USD" if order.side == "BUY" else order.coin, add=False).free < needed:
            raise Refused(texts.BALANCE)
        order.role = "MAKER" if rate == MAKER else "TAKER"
        if order.kind == "MARKET":
            order.price = price
        self._fill(account, order, price, rate, now_ms)

    def _rest(self, account: Account, order: Order, now_ms: int) -> None:
        notional = order.price * order.quantity
        fee = fee_of(notional, MAKER) if self.quirks.lock_includes_fee else Decimal(0)
        buys = order.side == "BUY"
        order.lock_coin, order.locked = ("USD", notional + fee) if buys else (order.coin, order.quantity)
        if account.purse(order.lock_coin, add=False).free < order.locked:
            raise Refused(texts.BALANCE)
        order.waits_for = ASK_AT_MOST if buys else BID_AT_LEAST
        order.role, order.fee_rate, order.fee_coin = "MAKER", MAKER, order.coin if buys else "USD"
        self.hold(account, order)

    def hold(self, account: Account, order: Order) -> None:
        """Lock an order's money or coins and let it rest."""
        account.lock(order)
        self.resting[order.order_id] = order
        self._next_step_ms = 0

    def cancel(self, account: Account, parameters: Mapping[str, str], now_ms: int) -> list[int]:
        """Cancel by `order_id`, by `pair`, or everything; return the ids.

        :raises Refused: when nothing was cancelled, for whatever reason.
        """
        by_id, by_pair = parameters.get("order_id"), parameters.get("pair")
        if by_id is not None and by_pair is not None:
            raise Refused(texts.CANCEL_BOTH)
        canceled = [
            order
            for order in self.resting.values()
            if order.account == account.key
            and by_id in (None, str(order.order_id))
            and by_pair in (None, order.pair)
        ]
        for order in canceled:
            self.resting.pop(order.order_id)
            account.unlock(order)
            if order.is_short:
                account.purse("USD").free += order.fee
                order.fee = Decimal(0)
            order.status, order.finished_ms = "CANCELED", now_ms
            self.emit("order_canceled", account, now_ms, order)
        if not canceled:
            raise Refused(texts.NONE_CANCELED)
        return [order.order_id for order in canceled]

    def book(self, order: Order) -> None:
        """Enter an order, or what became of it, under its id."""
        if order.order_id not in self.orders:
            self._order_ids[order.account].append(order.order_id)
        self.orders[order.order_id] = order
        self.next_order_id = max(self.next_order_id, order.order_id + 1)

    def of_account(self, account: Account) -> Iterator[Order]:
        """Yield the account's orders, newest first."""
        return (self.orders[order_id] for order_id in reversed(self._order_ids[account.key]))


def stepped(value: str | None, precision: int, error: str, step_error: str) -> Decimal:
    """Return a positive number in plain notation with at most `precision` decimals.

    :raises Refused: with `error` when it is no such number, with `step_error` when it has more decimals.
    """
    number = plain_decimal(value)
    if number is None or number <= 0:
        raise Refused(error)
    if number != floor_to(number, precision):
        raise Refused(step_error)
    return number
