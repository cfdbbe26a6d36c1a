"""A session on an account at another venue: from the first decision to books equal to the venue's."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from tests.trading.live.conftest import Live
from tests.venues.server import start_venue
from trading import accounts, foreign, orders, reconciliation, services
from trading.exchanges.port import OPEN
from trading.models import Order, ParentOrder, ParentStatus, Reconciliation
from trading.models import OrderStatus as S

PLACE = {"binance": "/api/v3/order", "bybit": "/v5/order/create"}


class Elsewhere(Live):
    """`Live` on another venue: the market and its clock are the sandbox's, the orders are not."""

    def __init__(self, user, sandbox, account, server):
        super().__init__(user, sandbox, account)
        self.server = server

    def turn(self):
        self.exchange.server_ms()  # the clock is moved by hand: it must be read to be known
        return super().turn()

    def start(self, baseline="buy_and_hold", **options):
        return super().start(baseline, pair="BTC/USDT", **options)

    def ledger(self):
        return self.server.ledger.totals()

    def orders(self):
        return list(self.session.orders.order_by("id"))


@pytest.fixture(params=["binance", "bybit"])
def live(request, user, db, venue):
    with start_venue(request.param, venue) as server:
        account = accounts.create_account(
            owner=user, name="elsewhere", venue=f"ccxt:{request.param}", base_url=server.url,
            candles_url=venue.url, key=server.key, secret=server.secret, calls_per_minute=100_000,
        )  # fmt: skip
        yield Elsewhere(user, venue, account, server)


def patience():
    Order.objects.update(changed_at=timezone.now() - timedelta(seconds=30))


def test_a_session_buys_sells_and_its_books_are_the_venues_to_the_last_digit(live):
    live.start("random", settings={"turnover": 0.9, "seed": 3})
    live.bar(6)
    services.stop_session(session=live.session, flatten=True)
    live.bar(2)
    assert live.session.status == "stopped"
    assert {order.status for order in live.orders()} == {S.FILLED}
    assert len(live.orders()) >= 3
    assert live.books() == live.ledger()
    assert not live.account.ledger.filter(kind="adjustment").exists()
    assert Reconciliation.objects.filter(equal=True).exists()
    assert [order.client_id for order in live.server.ledger.orders] == [
        orders.client_id_of(order) for order in live.orders()
    ]


def test_an_accepted_order_whose_answer_was_lost_is_found_by_its_client_id(live):
    live.start("buy_and_hold")
    live.server.fail(PLACE[live.server.name], "drop after")
    live.turn()
    assert live.session.orders.get().status == S.UNCERTAIN
    live.turn()
    order = live.session.orders.get()
    assert order.status == S.FILLED
    assert len(live.server.ledger.orders) == 1
    assert live.books() == live.ledger()


def test_a_request_that_never_arrived_is_absent_only_when_it_can_come_no_more(live):
    live.start("buy_and_hold")
    live.server.fail(PLACE[live.server.name], "drop before")
    live.turn()
    live.turn()
    assert live.session.orders.get().status == S.UNCERTAIN
    live.venue.advance(20_000)
    live.turn()
    assert live.session.orders.get().status == S.UNCERTAIN  # its bound on our clock is not over
    patience()
    live.turn()
    assert live.session.orders.get().status == S.ABSENT
    live.bar()
    assert [order.status for order in live.orders()] == [S.ABSENT, S.FILLED]
    assert len(live.server.ledger.orders) == 1
    assert live.books() == live.ledger()


def test_a_process_that_died_while_sending_leaves_an_order_that_the_next_one_finds(live):
    live.start("buy_and_hold")
    place = live.exchange.place

    def dies(order):
        place(order)
        raise SystemExit

    live.exchange.place = dies
    with pytest.raises(SystemExit):
        live.turn()
    assert live.session.orders.get().status == S.SENDING
    live.exchange.place = place
    live.die()
    live.take().turn()
    assert live.session.orders.get().status == S.FILLED
    assert len(live.server.ledger.orders) == 1
    assert live.books() == live.ledger()


def test_a_resting_order_is_followed_requoted_and_booked_in_parts_of_money(live):
    live.start("buy_and_hold", settings={"style": "limit", "deadline_s": 90.0, "requote_s": 30.0})
    for _ in range(12):
        live.venue.advance(15_000)
        live.turn()
    assert live.session.held > 0
    assert live.books() == live.ledger()


def worked_off(live, turns):
    for _ in range(turns):
        live.venue.advance(12_000)
        live.turn()
    parent = ParentOrder.objects.get()
    assert (parent.status, parent.note) == (ParentStatus.DONE, "")
    assert not parent.children.filter(status=S.REJECTED).exists()
    assert live.books() == live.ledger()
    return parent


@pytest.mark.parametrize(
    "style", [{"style": "limit", "deadline_s": 20.0}, {"style": "split", "children": 3, "over_s": 30.0}]
)
def test_a_wish_is_traded_once_although_the_fee_is_taken_out_of_the_coins(live, style):
    """What the fee took was sent again, between two steps, and so was the last part: refused each time."""
    live.start("buy_and_hold", settings=style, risk={"max_exposure": 0.5})
    parent = worked_off(live, 5)
    filled = parent.children.filter(status=S.FILLED)
    assert sum(one.quantity for one in filled) == parent.quantity
    assert live.session.held == parent.quantity * Decimal("0.999")


def test_what_is_left_of_a_wish_after_a_part_is_a_quantity_that_the_venue_takes(live):
    live.start("buy_and_hold", settings={"style": "limit", "deadline_s": 20.0}, risk={"max_exposure": 0.5})
    live.turn()
    ledger, placed = live.server.ledger, live.server.ledger.orders[-1]
    ledger._unlock(placed)
    ledger._trade(placed, placed.price, Decimal("0.12345"), live.server.now_ms(), is_maker=True)
    placed.status = "CANCELED"
    parent = worked_off(live, 4)
    assert parent.children.get(status=S.FILLED).quantity % ledger.step == 0
    fee = 1 - live.session.held / parent.quantity
    assert 0 < fee <= Decimal("0.001")


def test_a_position_sold_by_hand_on_the_venue_is_adopted(live):
    live.start("buy_and_hold")
    live.turn()
    held = live.session.held
    bid, ask, _ = live.server.market()["BTC", "USDT"]
    whole = held - held % Decimal("0.00001")
    live.server.ledger.place(
        ("BTC", "USDT"), "SELL", "MARKET", whole, None, "by-hand", (bid, ask), live.server.now_ms()
    )
    live.seat.is_checked = False
    live.turn()
    assert live.session.held == held - whole
    assert live.books() == live.ledger()


def sell_half_by_hand(live, whole):
    """Sell a part of a limit order; the rest of it is cancelled."""
    bid, ask, _ = live.server.market()["BTC", "USDT"]
    ledger, now_ms = live.server.ledger, live.server.now_ms()
    order = ledger.place(("BTC", "USDT"), "SELL", "LIMIT", whole, 2 * bid, "by-hand", (bid, ask), now_ms)
    ledger._unlock(order)
    half = (whole / 2).quantize(ledger.step)
    ledger._trade(order, bid, half, now_ms)
    order.status = "CANCELED"
    return half


def test_what_an_order_by_hand_sold_before_it_was_cancelled_is_adopted(live):
    """Not only those that filled wholly."""
    live.start("buy_and_hold")
    live.turn()
    held = live.session.held
    half = sell_half_by_hand(live, held - held % Decimal("0.00001"))
    for _ in range(2):
        live.seat.is_checked = False
        live.turn()
    assert live.session.held == held - half
    sold, left = f"{half.normalize():f} BTC", f"{live.session.held.normalize():f} BTC are left"
    said = f"somebody sold {sold} of this position outside the session: {left}"
    assert live.session.orders.first().answer == said
    assert live.session.fills.count() == 2
    assert live.books() == live.ledger()


@pytest.mark.parametrize("status", [S.CANCELLED, S.ABSENT])
def test_a_part_that_one_of_our_ended_orders_has_traded_is_booked_once(live, status):
    live.start("cash").turn()
    half = traded_in_part(live, status)
    for _ in range(2):
        live.seat.is_checked = False
        live.turn()
    assert -live.session.fills.get().quantity == half
    assert live.session.orders.get().status == S.CANCELLED
    assert live.books() == live.ledger()


def traded_in_part(live, status):
    """Return what one of our orders has sold on the venue, of which our row says that it ended unfilled."""
    now_ms, whole = live.server.now_ms(), Decimal("0.1")
    live.server.ledger.free["BTC"] = whole
    live.seat.is_checked = False
    live.turn()  # coins that were paid in
    half = sell_half_by_hand(live, whole)
    placed = live.server.ledger.orders[-1]
    row = orders.plan(
        live.session, quantity=-whole, expected_price=Decimal(50_000), reason="test", fence=1, now_ms=now_ms
    )
    number = f"BTC/USDT:{placed.order_id}" if status == S.CANCELLED else ""
    Order.objects.filter(pk=row.pk).update(status=status, venue_order_id=number, type="LIMIT", sent_ms=now_ms)
    return half


def test_the_account_answers_a_test_of_its_connection(live):
    result = accounts.check_account(account=live.account)
    assert result.ok
    assert "50,000" in result.sentence
    services.reconcile_account(account=live.account)


def test_a_resting_order_that_the_venue_has_forgotten_is_cancelled_by_its_two_ids(live):
    live.start("buy_and_hold", settings={"style": "limit", "deadline_s": 600.0})
    live.turn()
    order = live.session.orders.get()
    assert order.status == S.OPEN
    live.exchange.cancel(order.venue_order_id)
    live.server.ledger.orders.clear()
    services.stop_session(session=live.session)
    live.venue.advance(20_000)
    live.turn()
    assert live.session.orders.get().status == S.OPEN  # its bound on our clock is not over
    patience()
    live.turn()
    assert live.session.orders.get().status == S.CANCELLED
    live.turn()
    assert live.session.status == "stopped"


class ByHand:
    """A limit order that somebody has placed at the venue, and that trades in parts."""

    def __init__(self, live, whole, side="SELL"):
        self.ledger, self.live = live.server.ledger, live
        bid, ask, _ = live.server.market()["BTC", "USDT"]
        self.price, self.touch = (bid if side == "SELL" else ask), (bid, ask)
        far = 2 * bid if side == "SELL" else (bid / 2).quantize(self.ledger.tick)
        self.order = self.ledger.place(
            ("BTC", "USDT"), side, "LIMIT", whole, far, "by-hand", self.touch, live.server.now_ms()
        )
        self.ledger._unlock(self.order)

    def trade(self, quantity, *, price=None):
        self.ledger._trade(self.order, price or self.price, quantity, self.live.server.now_ms())


def compared(live):
    live.seat.is_checked = False
    return live.turn()


def test_coins_of_ones_own_sold_by_hand_in_parts_take_nothing_from_a_session(live):
    """The first part was entered as a correction, the whole order then once more."""
    live.start("buy_and_hold", capital=Decimal(10_000)).turn()
    held, own = live.session.held, Decimal("0.1")
    live.server.ledger.free["BTC"] += own
    live.venue.advance(2 * reconciliation.LAGS_MS)  # nothing trades any more
    compared(live)  # coins that were paid in
    order = ByHand(live, own)
    for part, price in (("0.03", None), ("0.05", order.price + 7), ("0.02", None)):
        order.trade(Decimal(part), price=price)
        assert compared(live).held == held
        assert live.books() == live.ledger()
    assert live.session.fills.count() == 1
    rows = live.account.ledger.filter(note__startswith="foreign order", coin="BTC")
    assert [row.amount for row in rows] == [Decimal("-0.03"), Decimal("-0.05"), Decimal("-0.02")]
    compared(live)
    assert Reconciliation.objects.first().equal


def test_a_position_sold_by_hand_in_parts_is_closed_part_by_part(live):
    live.start("buy_and_hold").turn()
    held = live.session.held
    whole = held - held % Decimal("0.00001")
    order, half = ByHand(live, whole), (whole / 2).quantize(Decimal("0.00001"))
    for part, left in ((half, held - half), (whole - half, held - whole)):
        order.trade(part, price=order.price - 3 * (part == half))
        assert compared(live).held == left
        assert live.books() == live.ledger()
    row = Order.objects.get(reason="placed by hand")
    assert (row.quantity, row.venue_order_id) == (whole, f"BTC/USDT:{order.order.order_id}")
    assert [-fill.quantity for fill in row.fills.all()] == [half, whole - half]
    assert live.session.cash == live.books()["USDT"]
    assert compared(live).held == held - whole


def test_an_order_by_hand_of_which_a_part_was_taken_over_is_not_taken_for_ours(live):
    live.start("cash").turn()
    order = ByHand(live, Decimal("0.1"), "BUY")
    order.trade(Decimal("0.04"))
    compared(live)
    [report] = live.exchange.reports("BTC/USDT")
    assert (report.status, report.filled) == (OPEN, live.books()["BTC"])
    assert foreign.not_booked(live.account, [report]) == []
    assert foreign.unknown(live.account, [report]) == []


@pytest.mark.parametrize("status", [S.CANCELLED, S.ABSENT])
def test_what_one_of_our_ended_orders_goes_on_to_trade_is_booked_part_by_part(live, status):
    live.start("cash").turn()
    half = traded_in_part(live, status)
    placed = live.server.ledger.orders[-1]
    placed.status = "NEW"  # it is open there
    for booked in (half, half):
        compared(live)
        assert -sum(fill.quantity for fill in live.session.fills.all()) == booked
    live.server.ledger._trade(placed, placed.price, placed.quantity - half, live.server.now_ms())
    compared(live)
    assert [-fill.quantity for fill in live.session.fills.all()] == [half, placed.quantity - half]
    assert live.session.orders.get().status == S.FILLED
    assert live.books() == live.ledger()
