"""When and at what price orders fill."""

from decimal import Decimal

from tests.market.sandbox.conftest import T0
from tests.sandbox_server import START_MS, start_sandbox


def row(venue, order_id):
    return venue.signed("POST", "/v3/query_order", order_id=order_id)["OrderMatched"][0]


def test_a_resting_buy_fills_at_its_limit_when_the_ask_reaches_it(moving):
    venue = moving(("100.00", "100.01"), ("99.98", "99.99"), ("98.00", "98.01"))
    placed = venue.order("BUY", "1", "99.99")["OrderDetail"]["OrderID"]
    venue.advance(999)
    assert row(venue, placed)["Status"] == "PENDING"
    venue.advance(1)
    filled = row(venue, placed)
    assert (filled["Status"], filled["Role"], filled["FinishTimestamp"]) == ("FILLED", "MAKER", T0 + 1000)
    assert (filled["FilledAverPrice"], filled["CommissionChargeValue"]) == (
        Decimal("99.99"),
        Decimal("0.049995"),
    )


def test_a_price_step_inside_an_advance_is_not_missed(moving):
    venue = moving(("100.00", "100.01"), ("89.00", "89.01"), ("100.00", "100.01"))
    placed = venue.order("BUY", "1", "90")["OrderDetail"]["OrderID"]
    venue.advance(60_000)
    assert row(venue, placed)["FinishTimestamp"] == T0 + 1000


def test_a_sell_one_tick_above_a_static_book_does_not_fill(moving):
    venue = moving(("100.00", "100.01"), ("100.00", "100.01"), ("100.00", "100.02"))
    venue.order("BUY", "1")
    placed = venue.order("SELL", "1", "100.01")["OrderDetail"]["OrderID"]
    venue.advance(58 * 60_000)
    assert row(venue, placed)["Status"] == "PENDING"


def test_a_resting_sell_fills_when_the_bid_reaches_it(moving):
    venue = moving(("100.00", "100.01"), ("101.00", "101.01"))
    venue.order("BUY", "1")
    venue.order("SELL", "1", "101")
    assert venue.account()["purses"]["BTC"]["pending_orders"] == "1"
    venue.advance(1000)
    purses = venue.account()["purses"]
    assert purses["BTC"] == {"free": "0", "pending_orders": "0", "short_collateral": "0"}
    assert Decimal(purses["USD"]["free"]) == 50_000 - Decimal("100.01") - Decimal("0.10001") + 101 - Decimal(
        "0.0505"
    )


def test_orders_fill_in_the_order_of_time(moving):
    venue = moving(("100.00", "100.01"), ("99.00", "99.01"), ("98.00", "98.01"))
    low = venue.order("BUY", "1", "98.50")["OrderDetail"]["OrderID"]
    high = venue.order("BUY", "1", "99.50")["OrderDetail"]["OrderID"]
    venue.advance(5000)
    filled = [
        event["order"]["order_id"] for event in venue.state()["journal"] if event["kind"] == "order_filled"
    ]
    assert filled == [high, low]


def test_a_marketable_limit_fills_at_the_touch_as_taker(moving):
    filled = moving(("100.00", "100.01")).order("BUY", "1", "105")["OrderDetail"]
    assert (filled["Status"], filled["Role"], filled["Price"]) == ("FILLED", "TAKER", 105)
    assert (filled["FilledAverPrice"], filled["CommissionPercent"]) == (Decimal("100.01"), Decimal("0.001"))


def test_a_marketable_limit_can_be_made_a_maker_at_its_limit(moving):
    venue = moving(("100.00", "100.01"), quirks={"marketable_limit_is_maker": True})
    filled = venue.order("BUY", "1", "105")["OrderDetail"]
    assert (filled["Role"], filled["FilledAverPrice"], filled["CommissionPercent"]) == (
        "MAKER",
        105,
        Decimal("0.0005"),
    )


def test_the_price_of_a_market_order_is_ignored(moving):
    answer = moving(("100.00", "100.01")).signed(
        "POST", "/v3/place_order", pair="BTC/USD", side="BUY", type="MARKET", quantity=1, price=5
    )
    assert answer["OrderDetail"]["FilledAverPrice"] == Decimal("100.01")


def test_a_buy_needs_its_fee_in_cash(moving):
    assert moving(("99.99", "100.00"), usd="100.09").order("BUY", "1")["ErrMsg"] == "insufficient balance"
    assert moving(("99.99", "100.00"), usd="100.1").order("BUY", "1")["Success"] is True


def test_a_cancel_that_lost_the_race_to_a_fill_looks_like_an_error(moving):
    venue = moving(("100.00", "100.01"), ("98.00", "98.01"))
    placed = venue.order("BUY", "1", "99")["OrderDetail"]["OrderID"]
    venue.advance(1000)
    assert venue.signed("POST", "/v3/cancel_order", order_id=placed)["ErrMsg"] == "no order canceled"


def test_a_filled_maker_buy_may_keep_naming_the_coin_as_commission(moving):
    for stays, coin in ((False, "USD"), (True, "BTC")):
        venue = moving(("100.00", "100.01"), ("98.00", "98.01"), quirks={"commission_coin_stays": stays})
        placed = venue.order("BUY", "1", "99")["OrderDetail"]["OrderID"]
        venue.advance(1000)
        assert row(venue, placed)["CommissionCoin"] == coin


def test_a_replayed_bar_fills_an_order_at_its_low():
    with start_sandbox(feed="synthetic:3@BTC/USD") as venue:
        venue.advance(60_000)
        bars = venue.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime=START_MS, limit=1)
        low = Decimal(bars[0][3])
    with start_sandbox(feed="synthetic:3@BTC/USD") as venue:
        reached = venue.order("BUY", "0.01", f"{low + Decimal('0.01'):.2f}")["OrderDetail"]["OrderID"]
        missed = venue.order("BUY", "0.01", f"{low:.2f}")["OrderDetail"]["OrderID"]
        venue.advance(59_999)
        assert (row(venue, reached)["Status"], row(venue, missed)["Status"]) == ("FILLED", "PENDING")
