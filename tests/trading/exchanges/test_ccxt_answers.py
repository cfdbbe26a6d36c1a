"""What ccxt's dicts become: money to the last digit, whatever coin a fee is taken out of."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.exchanges.ccxt_answers import order_report
from trading.exchanges.ccxt_venue import parts_of, with_trades
from trading.exchanges.errors import BadAnswer

D = Decimal
MS = 1_790_777_200_000
prices = st.integers(1, 10**9).map(lambda cents: D(cents) / 100)
quantities = st.integers(1, 10**8).map(lambda steps: D(steps) / 10**5)
shares = st.integers(0, 20).map(lambda tenths: D(tenths) / 10**4)


def row(side, trades, *, number="1", quantity=None, status="closed", at_ms=MS):
    filled = sum((one["amount"] for one in trades), D(0))
    cost = sum((one["amount"] * one["price"] for one in trades), D(0))
    wanted = str(filled if quantity is None else quantity)
    return {"id": number, "symbol": "BTC/USDT", "side": side, "type": "limit", "status": status,
            "timestamp": at_ms, "amount": wanted, "filled": str(filled),
            "cost": str(cost), "price": "1", "lastUpdateTimestamp": at_ms + 5, "info": {}}  # fmt: skip


def trade(amount, price, fee="0", coin="USDT", order="1", at_ms=MS):
    return {"amount": amount, "price": price, "fee": {"cost": str(fee), "currency": coin}, "order": order,
            "takerOrMaker": "maker", "timestamp": at_ms}  # fmt: skip


@given(
    side=st.sampled_from(["buy", "sell"]),
    parts=st.lists(st.tuples(quantities, prices), min_size=1, max_size=5),
    share=shares,
    coin=st.sampled_from(["BTC", "USDT", "BNB"]),
)
def test_cash_and_coins_move_by_exactly_what_the_venue_moved(side, parts, share, coin):
    fee_of = {"BTC": lambda q, p: q * share, "USDT": lambda q, p: q * p * share, "BNB": lambda q, p: share}[
        coin
    ]
    trades = [trade(q, p, fee_of(q, p), coin) for q, p in parts]
    report = order_report(row(side, trades), trades)
    sign = 1 if side == "buy" else -1
    fees = sum((fee_of(q, p) for q, p in parts), D(0))
    base = sign * sum((q for q, _ in parts), D(0)) - (fees if coin == "BTC" else 0)
    cash = -sign * sum((q * p for q, p in parts), D(0)) - (fees if coin == "USDT" else 0)
    assert sign * report.filled == base
    assert abs(-sign * report.filled * report.average_price - report.fee - cash) <= D("1e-12")
    assert report.fee >= -D("1e-12")
    assert (report.fee_coin, report.role) == ("USDT", "MAKER")


def test_trades_that_are_not_all_listed_yet_are_unknown():
    trades = [trade(D(1), D(100)), trade(D(2), D(100))]
    with pytest.raises(BadAnswer, match="not all trades"):
        order_report(row("buy", trades), trades[:1])


@pytest.mark.parametrize(("status", "quantity", "expected"), [
    ("closed", D(1), "filled"), ("closed", D(2), "cancelled"), ("canceled", D(2), "cancelled"),
    ("expired", D(2), "cancelled"), ("open", D(2), "open"),
])  # fmt: skip
def test_an_order_that_ended_early_is_no_filled_one(status, quantity, expected):
    trades = [trade(D(1), D(100))]
    report = order_report(row("buy", trades, status=status, quantity=quantity), trades)
    assert (report.status, report.finished_ms > 0) == (expected, expected != "open")


ABSURD = [{"status": "strange"}, {"timestamp": None}, {"amount": "NaN"}, {"id": None}, {"filled": "1e99"},
          {"side": None}]  # fmt: skip


@pytest.mark.parametrize("changes", ABSURD)
def test_what_is_missing_or_absurd_is_unknown_not_zero(changes):
    with pytest.raises(BadAnswer):
        order_report(row("buy", []) | changes, [])


def test_orders_go_back_as_far_as_the_listed_trades_tell():
    old, new = trade(D(1), D(100), order="1"), trade(D(1), D(100), order="2", at_ms=MS + 10)
    rows = [row("buy", [old], number="1"), row("buy", [new], number="2", at_ms=MS + 10)]
    whole = with_trades(rows, [old, new], is_whole=True)
    assert [report.venue_order_id for report in whole] == ["BTC/USDT:2", "BTC/USDT:1"]
    part = with_trades(rows, [trade(D(5), D(1), order="0", at_ms=MS + 5), new], is_whole=False)
    assert [report.venue_order_id for report in part] == ["BTC/USDT:2"]


def test_an_id_names_its_pair():
    assert parts_of("BTC/USDT:17") == ("BTC/USDT", "17")
    assert parts_of("17") == ("", "17")
