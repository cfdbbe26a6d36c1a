"""The recorded session on the real venue, replayed to the last digit."""

from decimal import Decimal

from tests.market.sandbox.conftest import T0

QUOTES = [("84596.00", "84596.01"), ("84595.99", "84596.00"), ("84480.00", "84480.01")]


def free_usd(venue):
    return Decimal(venue.account()["purses"]["USD"]["free"])


def shown_usd(venue):
    return venue.signed("GET", "/v3/balance")["SpotWallet"]["USD"]["Free"]


def test_the_recorded_spot_ledger_comes_out(moving):
    venue = moving(*QUOTES)
    bought = venue.order("BUY", "0.00236")["OrderDetail"]
    assert (bought["Price"], bought["CommissionChargeValue"]) == (Decimal("84596.01"), Decimal("0.199646"))
    assert free_usd(venue) == Decimal("49800.1537704")
    assert shown_usd(venue) == Decimal("49800.15")
    assert venue.order("SELL", "0.00236")["OrderDetail"]["CommissionChargeValue"] == Decimal("0.199646")
    assert free_usd(venue) == Decimal("49999.6006844")
    venue.order("BUY", "0.00236", "84596")
    venue.advance(1000)
    assert free_usd(venue) == Decimal("49799.8543014")
    venue.advance(1000)
    assert venue.order("SELL", "0.00236")["OrderDetail"]["CommissionChargeValue"] == Decimal("0.199372")
    assert free_usd(venue) == Decimal("49999.0277294")


def test_the_recorded_short_ledger_comes_out(moving):
    venue = moving(QUOTES[2], usd="49999.0277294")
    opened = venue.signed("POST", "/v6/short_open", pair="BTC/USD", collateral="100.00")
    assert opened == {
        "Success": True, "ID": 4055, "Pair": "BTC/USD", "OrderType": "MARKET", "EntryPrice": 84480,
        "ShortQty": Decimal("0.00118"), "Collateral": Decimal("99.68"), "OpenFee": Decimal("0.099686"),
        "Status": "OPEN", "CreateTimestamp": T0,
    }  # fmt: skip
    assert (free_usd(venue), shown_usd(venue)) == (Decimal("49899.2480434"), Decimal("49899.24"))
    closed = venue.send("POST", "/v6/short_close", signed=True, timestamp=T0, pair="BTC/USD")
    assert closed.text == (
        '{"Success":true,"ClosePrice":84480.01,"RealizedPNL":-0.000011799999993818347,"CloseFee":0.099686,'
        '"ReturnAmount":99.5803022,"ClosedQty":0.00118,"FullyClosed":true}'
    )
    assert (free_usd(venue), shown_usd(venue)) == (Decimal("49998.8283456"), Decimal("49998.82"))


def test_the_recorded_position_is_shown_as_recorded(moving):
    venue = moving(QUOTES[2])
    venue.signed("POST", "/v6/short_open", pair="BTC/USD", collateral="100.00")
    shown = venue.send("GET", "/v6/short_positions", signed=True, timestamp=T0)
    assert shown.text == (
        '{"Success":true,"Positions":[{"ID":4055,"Pair":"BTC/USD","EntryPrice":84480,"ShortQty":0.00118,'
        '"Collateral":99.68,"CurrentPrice":84480.01,"UnrealizedPNL":-0.000012,"UnrealizedPNLPct":-0.000001,'
        f'"PositionValue":99.679988,"CreateTimestamp":{T0},"PositionStatus":"OPEN"}}]}}'
    )


def test_the_recorded_market_order_is_answered_as_recorded(moving):
    venue = moving(QUOTES[0])
    made = {"pair": "BTC/USD", "side": "BUY", "type": "MARKET", "quantity": "0.00236", "timestamp": T0}
    assert venue.send("POST", "/v3/place_order", signed=True, **made).text == (
        '{"Success":true,"ErrMsg":"","OrderDetail":{"Pair":"BTC/USD","OrderID":3403172,"Status":"FILLED",'
        f'"Role":"TAKER","ServerTimeUsage":0.004,"CreateTimestamp":{T0},"FinishTimestamp":{T0},"Side":"BUY",'
        '"Type":"MARKET","StopType":"GTC","Price":84596.01,"Quantity":0.00236,"FilledQuantity":0.00236,'
        '"FilledAverPrice":84596.01,"CoinChange":0.00236,"UnitChange":199.64658359999999,'
        '"CommissionCoin":"USD","CommissionChargeValue":0.199646,"CommissionPercent":0.001,'
        '"OrderWalletType":"SPOT","OrderSource":"PUBLIC_API"}}'
    )


def test_the_recorded_maker_order_is_answered_as_recorded(moving):
    row = moving(QUOTES[0]).order("BUY", "0.00236", "84596")["OrderDetail"]
    assert (row["Status"], row["Role"], row["FinishTimestamp"], row["Price"]) == (
        "PENDING",
        "MAKER",
        0,
        84596,
    )
    assert (row["CommissionPercent"], row["CommissionCoin"]) == (Decimal("0.0005"), "BTC")
    unfilled = ("FilledQuantity", "FilledAverPrice", "CoinChange", "UnitChange", "CommissionChargeValue")
    assert [row[name] for name in unfilled] == [0] * 5
    assert len(row) == 21
