"""The shape of every answer."""

from decimal import Decimal

import pytest

from market.sandbox.instruments import added_row, decimals_of
from tests.market.sandbox.conftest import BOOK, T0
from tests.sandbox_server import start_sandbox

EMPTY = {"Free": 0, "Lock": 0, "PendingOrders": 0, "ShortCollateral": 0}


def test_server_time_has_no_success_flag(venue):
    assert venue.get("/v3/serverTime") == {"ServerTime": T0}


def test_answers_are_json_called_plain_text(venue):
    assert venue.send("GET", "/v3/exchangeInfo").headers["content-type"] == "text/plain; charset=utf-8"


def test_exchange_info_lists_the_eighty_eight_pairs_of_autumn_2026(venue):
    info = venue.get("/v3/exchangeInfo")
    assert (info["IsRunning"], info["InitialWallet"], len(info["TradePairs"])) == (True, {"USD": 50000}, 88)
    assert info["TradePairs"]["BTC/USD"] == {
        "Coin": "BTC", "CoinFullName": "Bitcoin", "Unit": "USD", "UnitFullName": "US Dollar",
        "CanTrade": True, "PricePrecision": 2, "AmountPrecision": 5, "MiniOrder": 1, "AssetType": "crypto",
    }  # fmt: skip


def test_a_pair_the_venue_lacks_is_listed_with_sensible_steps():
    with start_sandbox(feed="synthetic:1@SIM/USD") as venue:
        assert venue.get("/v3/exchangeInfo")["TradePairs"]["SIM/USD"]["Coin"] == "SIM"
        assert venue.order("BUY", "0.0123", pair="SIM/USD")["Success"] is True


@pytest.mark.parametrize(
    ("price", "price_decimals", "amount_decimals"),
    [(60_000, 2, 5), (110, 3, 5), (99, 4, 4), (1.5, 5, 3), (0.05, 7, 1), (0.00001, 8, 0)],
)
def test_added_pairs_have_six_digits_of_price_and_a_step_of_about_a_cent(
    price, price_decimals, amount_decimals
):
    row = added_row("SIM/USD", price, decimals_of(price))
    assert (row["PricePrecision"], row["AmountPrecision"]) == (price_decimals, amount_decimals)


def test_the_ticker_holds_every_quoted_pair_and_its_tiny_prices(venue):
    answer = venue.send("GET", "/v3/ticker", timestamp=T0)
    assert answer.text == (
        f'{{"Success":true,"ErrMsg":"","ServerTime":{T0},"Data":{{"BTC/USD":{{"MaxBid":84596,"MinAsk":84596.01,'
        '"LastPrice":84596.01,"Change":0,"CoinTradeValue":0,"UnitTradeValue":0},"PEPE/USD":{"MaxBid":6.51e-06,'
        '"MinAsk":6.53e-06,"LastPrice":6.52e-06,"Change":0,"CoinTradeValue":0,"UnitTradeValue":0}}}'
    )


def test_the_ticker_of_one_pair_holds_only_it(venue):
    assert list(venue.get("/v3/ticker", timestamp=T0, pair="BTC/USD")["Data"]) == ["BTC/USD"]


def test_a_listed_pair_without_quotes_is_missing_from_the_ticker(venue):
    assert venue.get("/v3/ticker", timestamp=T0, pair="TON/USD")["Data"] == {}


def test_an_unknown_pair_is_refused_by_the_ticker(venue):
    assert venue.get("/v3/ticker", timestamp=T0, pair="NOPE/USD")["Success"] is False


def test_the_ticker_tells_change_and_volume_of_the_last_day():
    with start_sandbox() as venue:
        row = venue.get("/v3/ticker", timestamp=venue.now_ms())["Data"]["BTC/USD"]
    assert -0.5 < row["Change"] < 0.5
    assert row["Change"] == round(row["Change"], 4)
    assert 0 < row["CoinTradeValue"] * row["MaxBid"] / row["UnitTradeValue"] < 2


def test_a_fresh_wallet_holds_only_usd(venue):
    answer = venue.signed("GET", "/v3/balance")
    assert answer == {
        "Success": True,
        "ErrMsg": "",
        "SpotWallet": {"USD": EMPTY | {"Free": 50000}},
        "MarginWallet": {},
    }


def test_a_coin_once_traded_stays_listed_with_zeros(venue):
    venue.order("BUY", "0.001")
    venue.order("SELL", "0.001")
    assert venue.signed("GET", "/v3/balance")["SpotWallet"]["BTC"] == EMPTY


def test_locks_are_split_between_orders_and_shorts(venue):
    venue.order("BUY", "0.001", "80000")
    venue.signed("POST", "/v6/short_open", pair="BTC/USD", collateral=100)
    usd = venue.signed("GET", "/v3/balance")["SpotWallet"]["USD"]
    assert (usd["PendingOrders"], usd["ShortCollateral"]) == (Decimal("80.04"), Decimal("99.82"))
    assert usd["Lock"] == usd["PendingOrders"] + usd["ShortCollateral"]


@pytest.mark.parametrize(
    ("quirks", "names"),
    [({"wallet": True}, {"SpotWallet", "Wallet"}), ({"wallet": True, "spot_wallet": False}, {"Wallet"})],
)
def test_old_wallet_names_can_be_switched_on(quirks, names):
    with start_sandbox(feed=BOOK, quirks=quirks) as venue:
        assert set(venue.signed("GET", "/v3/balance")) == {"Success", "ErrMsg", "MarginWallet"} | names


def test_the_lock_split_can_be_switched_off():
    with start_sandbox(feed=BOOK, quirks={"split_lock": False}) as venue:
        assert venue.signed("GET", "/v3/balance")["SpotWallet"]["USD"] == {"Free": 50000, "Lock": 0}


def test_pending_count_counts_by_pair(venue):
    for price in ("80000", "81000"):
        venue.order("BUY", "0.001", price)
    venue.order("BUY", "1000000", "0.00000600", pair="PEPE/USD")
    answer = venue.signed("GET", "/v3/pending_count")
    assert answer == {
        "Success": True,
        "ErrMsg": "",
        "TotalPending": 3,
        "OrderPairs": {"BTC/USD": 2, "PEPE/USD": 1},
    }


def test_query_shows_newest_first_and_pages(venue):
    made = [venue.order("BUY", "0.001")["OrderDetail"]["OrderID"] for _ in range(4)]
    rows = venue.signed("POST", "/v3/query_order", pair="BTC/USD")["OrderMatched"]
    assert [row["OrderID"] for row in rows] == made[::-1]
    paged = venue.signed("POST", "/v3/query_order", offset=1, limit=2)["OrderMatched"]
    assert [row["OrderID"] for row in paged] == [made[2], made[1]]


def test_query_returns_a_hundred_rows_unless_told_otherwise(venue):
    for _ in range(101):
        venue.order("BUY", "0.00002")
    assert len(venue.signed("POST", "/v3/query_order")["OrderMatched"]) == 100


def test_query_by_id_gives_the_row_with_all_twenty_one_keys(venue):
    placed = venue.order("BUY", "0.001")["OrderDetail"]
    rows = venue.signed("POST", "/v3/query_order", order_id=placed["OrderID"])["OrderMatched"]
    assert rows == [placed]
    assert len(placed) == 21


def test_pending_only_knows_upper_case_alone(venue):
    venue.order("BUY", "0.001")
    venue.order("BUY", "0.001", "80000")
    counts = [
        len(venue.signed("POST", "/v3/query_order", pending_only=word)["OrderMatched"])
        for word in ("TRUE", "true")
    ]
    assert counts == [1, 2]


@pytest.mark.parametrize(("quirk", "shown"), [(True, Decimal("0.001")), (False, 0)])
def test_query_rows_of_unfilled_orders_show_the_whole_quantity_as_filled(quirk, shown):
    with start_sandbox(feed=BOOK, quirks={"filled_quantity": quirk}) as venue:
        venue.order("BUY", "0.001", "80000")
        venue.signed("POST", "/v3/cancel_order")
        row = venue.signed("POST", "/v3/query_order")["OrderMatched"][0]
    assert (row["Status"], row["FilledQuantity"], row["CoinChange"]) == ("CANCELED", shown, 0)


def test_cancel_gives_the_money_back_and_names_the_ids(venue):
    ids = [
        venue.order("BUY", "0.001", price)["OrderDetail"]["OrderID"] for price in ("80000", "81000", "82000")
    ]
    assert venue.signed("POST", "/v3/cancel_order", order_id=ids[0])["CanceledList"] == ids[:1]
    assert venue.signed("POST", "/v3/cancel_order", pair="BTC/USD")["CanceledList"] == ids[1:]
    assert venue.account()["purses"]["USD"] == {
        "free": "50000.000000",
        "pending_orders": "0.000000",
        "short_collateral": "0",
    }


def test_unknown_paths_are_not_found(venue):
    assert venue.send("GET", "/v3/nothing").status_code == 404
    assert venue.send("GET", "/v3/place_order").status_code == 404


def test_numbers_are_bare_and_short(venue):
    assert '"MinAsk":84596.01,' in venue.send("GET", "/v3/ticker", timestamp=T0).text


def test_accounts_do_not_see_each_other():
    with start_sandbox(feed=BOOK, accounts=["other:its-secret:100"]) as venue:
        placed = venue.order("BUY", "0.001", "80000")["OrderDetail"]["OrderID"]
        other = {"signed": True, "key": "other", "secret": "its-secret", "timestamp": T0}
        assert venue.send("GET", "/v3/balance", **other).json()["SpotWallet"]["USD"]["Free"] == 100
        assert venue.send("POST", "/v3/query_order", **other).json()["ErrMsg"] == "no order matched"
        assert venue.send("POST", "/v3/cancel_order", order_id=placed, **other).json()["Success"] is False


def test_the_state_never_shows_a_secret(venue):
    assert venue.secret not in str(venue.state())
