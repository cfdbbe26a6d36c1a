"""Reading the venue's answers: recorded ones, odd ones, malformed ones."""

import contextlib
import copy
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.exchanges import roostoo_answers as answers
from trading.exchanges.errors import BadAnswer

# Recorded on the venue's test account on 2026-09-30.
MARKET_ROW = json.loads(
    """{"Pair": "BTC/USD", "OrderID": 3403172, "Status": "FILLED", "Role": "TAKER",
 "ServerTimeUsage": 0.007641497, "CreateTimestamp": 1790777202079, "FinishTimestamp": 1790777202087,
 "Side": "BUY", "Type": "MARKET", "StopType": "GTC", "Price": 84596.01, "Quantity": 0.00236,
 "FilledQuantity": 0.00236, "FilledAverPrice": 84596.01, "CoinChange": 0.00236,
 "UnitChange": 199.64658359999999,
 "CommissionCoin": "USD", "CommissionChargeValue": 0.199646, "CommissionPercent": 0.001,
 "OrderWalletType": "SPOT", "OrderSource": "PUBLIC_API"}""",
    parse_float=Decimal,
)
WALLET = {"BTC": {"Free": 0, "Lock": 0}, "USD": {"Free": Decimal("49899.24"), "Lock": Decimal("99.68")}}
RESTING = {"Status": "PENDING", "Role": "MAKER", "FinishTimestamp": 0, "FilledAverPrice": 0, "CoinChange": 0,
           "UnitChange": 0, "CommissionChargeValue": 0, "CommissionCoin": "BTC", "Type": "LIMIT"}  # fmt: skip


def row(**changes):
    return copy.deepcopy(MARKET_ROW) | changes


def test_a_recorded_market_order_is_read_to_the_last_digit():
    report = answers.order_report(MARKET_ROW)
    assert (report.venue_order_id, report.status, report.role) == ("3403172", "filled", "TAKER")
    assert (report.filled, report.average_price) == (Decimal("0.00236"), Decimal("84596.01"))
    assert (report.fee, report.fee_coin) == (Decimal("0.199646"), "USD")
    assert (report.created_ms, report.finished_ms) == (1790777202079, 1790777202087)


@pytest.mark.parametrize(("status", "expected"), [("PENDING", "open"), ("CANCELED", "cancelled")])
def test_a_filled_quantity_without_coin_change_is_not_believed(status, expected):
    report = answers.order_report(row(**RESTING | {"Status": status, "FilledQuantity": Decimal("0.00236")}))
    assert (report.status, report.filled, report.average_price, report.fee) == (expected, 0, 0, 0)


def test_a_filled_maker_row_that_names_the_coin_was_still_paid_in_dollars():
    changed = {"CommissionCoin": "BTC", "CommissionPercent": Decimal("0.0005"), "Role": "MAKER"}
    report = answers.order_report(row(**changed))
    assert (report.fee, report.fee_coin) == (Decimal("0.099823"), "USD")


@pytest.mark.parametrize(
    "name", ["Status", "OrderID", "Quantity", "CreateTimestamp", "FilledAverPrice", "Pair"]
)
def test_an_order_row_that_lacks_what_matters_is_unknown(name):
    broken = row()
    del broken[name]
    with pytest.raises(BadAnswer):
        answers.order_reports({"OrderMatched": [MARKET_ROW, broken]})


def test_a_status_nobody_has_seen_is_unknown():
    with pytest.raises(BadAnswer, match="HALF"):
        answers.order_report(row(Status="HALF"))


@pytest.mark.parametrize("name", ["SpotWallet", "Wallet"])
def test_both_names_of_the_wallet_are_read(name):
    found = answers.balances({"Success": True, name: WALLET, "MarginWallet": {}}, allow_empty=False)
    assert found["USD"].total == Decimal("49998.92")
    assert found["BTC"].total == 0


@pytest.mark.parametrize(
    "answer",
    [
        {"Success": True},
        {"SpotWallet": {}},
        {"SpotWallet": {"BTC": {"Free": 1, "Lock": 0}}},
        {"SpotWallet": {"USD": {"Free": 1}}},
        {"SpotWallet": {"USD": {"Free": "many", "Lock": 0}}},
        {"SpotWallet": []},
    ],
)
def test_an_empty_or_partial_wallet_is_unknown_and_not_flat(answer):
    with pytest.raises(BadAnswer):
        answers.balances(answer, allow_empty=False)


def test_an_empty_wallet_can_be_allowed():
    assert answers.balances({"SpotWallet": {}}, allow_empty=True) == {}


def ticker(**rows):
    return {"Success": True, "ServerTime": 1580762734517, "Data": rows}


GOOD = {"MaxBid": Decimal("9318.45"), "MinAsk": Decimal("9319.42"), "LastPrice": Decimal("9319.35"),
        "Change": Decimal("-0.0132"), "CoinTradeValue": 1, "UnitTradeValue": 2}  # fmt: skip


@pytest.mark.parametrize(
    "bad", [{}, {"MaxBid": 0}, {"MaxBid": Decimal("9400")}, {"LastPrice": None}, {"MinAsk": "x"}]
)
def test_a_pair_without_a_usable_quote_is_absent_and_the_others_are_not(bad):
    broken = {**GOOD, **bad} if bad else {}
    assert set(answers.quotes(ticker(A=GOOD, B=broken), None)) == {"A"}
    assert answers.quotes(ticker(A=GOOD, B=broken), ["B", "C"]) == {}


@pytest.mark.parametrize("answer", [ticker(), {"Data": {"A": GOOD}}, {"ServerTime": 1, "Data": None}])
def test_a_ticker_without_pairs_or_time_is_unknown(answer):
    with pytest.raises(BadAnswer):
        answers.quotes(answer, None)


def test_missing_fields_of_a_short_answer_are_zero_where_the_venue_leaves_zeros_out():
    closed = answers.short_closed("BTC/USD", {"Success": True, "ClosePrice": 2, "ClosedQty": 1})
    assert (closed.realised, closed.fee, closed.collateral, closed.is_closed) == (0, 0, 0, False)


def test_a_closed_venue_or_pair_takes_no_orders():
    pairs = {
        name: {"Coin": name[:3], "Unit": "USD", "CanTrade": name == "AAA/USD", "PricePrecision": 2,
               "AmountPrecision": 5, "MiniOrder": 1}
        for name in ("AAA/USD", "BBB/USD")
    }  # fmt: skip
    rules, tradable = answers.instruments({"IsRunning": True, "TradePairs": pairs})
    assert (rules["BBB/USD"].tick, rules["BBB/USD"].step) == (Decimal("0.01"), Decimal("0.00001"))
    assert tradable == {"AAA/USD"}
    assert answers.instruments({"IsRunning": False, "TradePairs": pairs})[1] == frozenset()


@given(st.decimals(min_value="1e-12", max_value="1e12", places=12))
def test_a_number_is_sent_in_plain_notation_and_loses_nothing(value):
    text = answers.plain(value)
    assert "e" not in text.lower()
    assert Decimal(text) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.decimals(allow_nan=False),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*MARKET_ROW, "OrderMatched", "SpotWallet", "Data", "USD"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_the_venue_sends_is_read_or_refused_but_never_crashes(answer):
    answer = (
        answer if isinstance(answer, dict) else {"OrderMatched": answer, "SpotWallet": answer, "Data": answer}
    )
    for read in (
        answers.order_reports,
        answers.instruments,
        answers.short_positions,
        answers.short_opened,
        lambda found: answers.quotes(found, None),
        lambda found: answers.balances(found, allow_empty=False),
    ):
        with contextlib.suppress(BadAnswer):
            read(answer)
