"""Shorts of `/v6`: merging, partial closes, limits, money."""

from decimal import Decimal

import pytest

FLAT = ("100.00", "100.01")


def opened(venue, collateral, **more):
    return venue.signed("POST", "/v6/short_open", pair="BTC/USD", collateral=collateral, **more)


def closed(venue, **more):
    return venue.signed("POST", "/v6/short_close", pair="BTC/USD", **more)


def positions(venue):
    return venue.signed("GET", "/v6/short_positions")["Positions"]


def usd(venue):
    return {name: Decimal(value) for name, value in venue.account()["purses"]["USD"].items()}


def test_no_positions_is_an_empty_list(moving):
    assert moving(FLAT).signed("GET", "/v6/short_positions") == {"Success": True, "Positions": []}


def test_opening_locks_quantity_times_entry_floored_to_cents(moving):
    venue = moving(("84480.00", "84480.01"))
    assert opened(venue, 100)["Collateral"] == Decimal("99.68")
    assert usd(venue) == {
        "free": Decimal("49900.220314"),
        "pending_orders": 0,
        "short_collateral": Decimal("99.68"),
    }


def test_a_second_short_merges_by_quantity(moving):
    venue = moving(("100.00", "100.01"), ("200.00", "200.01"))
    first = opened(venue, 100)
    venue.advance(1000)
    second = opened(venue, 100)
    assert (second["ID"], second["OpenFee"], second["ShortQty"]) == (
        first["ID"],
        Decimal("0.1"),
        Decimal("0.5"),
    )
    (merged,) = positions(venue)
    assert (merged["ShortQty"], merged["Collateral"]) == (Decimal("1.5"), 200)
    assert merged["EntryPrice"] == pytest.approx(Decimal("133.3333333333"), abs=Decimal("1e-8"))


def test_a_partial_close_scales_collateral_and_keeps_the_entry(moving):
    venue = moving(("100.00", "100.01"), ("89.99", "90.00"))
    opened(venue, 100)
    venue.advance(1000)
    answer = closed(venue, close_qty="0.4")
    assert answer == {
        "Success": True, "ClosePrice": 90, "RealizedPNL": 4, "CloseFee": Decimal("0.036"),
        "ReturnAmount": Decimal("43.964"), "ClosedQty": Decimal("0.4"), "RemainingQty": Decimal("0.6"),
        "RemainingCollateral": 60,
    }  # fmt: skip
    assert (positions(venue)[0]["EntryPrice"], usd(venue)["short_collateral"]) == (100, 60)


@pytest.mark.parametrize(
    ("parameters", "quantity"),
    [
        ({"close_pct": 25}, "0.25"),
        ({"close_pct": 25, "close_qty": "0.5"}, "0.5"),
        ({"close_qty": 7}, "1"),
        ({}, "1"),
        ({"close_pct": "99.5"}, "1"),  # the leftover of half a dollar closes too
    ],
)
def test_how_much_is_closed(moving, parameters, quantity):
    venue = moving(FLAT)
    opened(venue, 100)
    answer = closed(venue, **parameters)
    assert (answer["ClosedQty"], answer.get("FullyClosed", False)) == (Decimal(quantity), quantity == "1")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"close_pct": 101}, "quantity error"),
        ({"close_qty": "0.000001"}, "quantity step size error"),
        ({"close_qty": "-1"}, "quantity error"),
    ],
)
def test_a_bad_close_is_refused(moving, parameters, words):
    venue = moving(FLAT)
    opened(venue, 100)
    assert closed(venue, **parameters)["ErrMsg"] == words


def test_a_loss_never_exceeds_the_collateral(moving):
    venue = moving(FLAT, ("299.99", "300.00"))
    opened(venue, 100)
    venue.advance(1000)
    assert positions(venue)[0]["UnrealizedPNL"] == -100
    assert "PositionValue" not in positions(venue)[0]
    answer = closed(venue)
    assert (answer["RealizedPNL"], answer["ReturnAmount"]) == (-100, Decimal("-0.3"))


@pytest.mark.parametrize(("price", "quotes"), [("110", ("110.00", "110.01")), ("90", ("90.00", "90.01"))])
def test_a_limit_short_triggers_in_the_direction_its_price_lies(moving, price, quotes):
    venue = moving(FLAT, FLAT, quotes)
    pending = opened(venue, 100, order_type="LIMIT", price=price)
    assert (pending["Status"], pending["OrderType"]) == ("PENDING", "LIMIT")
    venue.advance(1000)
    assert positions(venue) == []
    venue.advance(1000)
    assert positions(venue)[0]["EntryPrice"] == Decimal(price)
    assert usd(venue)["pending_orders"] == 0


def test_cancelling_a_waiting_short_gives_back_collateral_and_fee(moving):
    venue = moving(FLAT)
    pending = opened(venue, 100, order_type="LIMIT", price=110)
    assert usd(venue)["free"] == 50_000 - Decimal("99.99") - Decimal("0.099999")
    assert venue.signed("POST", "/v3/cancel_order", order_id=pending["ID"])["CanceledList"] == [pending["ID"]]
    assert usd(venue) == {"free": 50_000, "pending_orders": 0, "short_collateral": 0}


def test_shorts_are_seen_in_query_order(moving):
    venue = moving(FLAT)
    opened(venue, 100)
    closed(venue)
    rows = venue.signed("POST", "/v3/query_order")["OrderMatched"]
    assert [(row["Side"], row["Status"]) for row in rows] == [
        ("SHORT_CLOSE", "FILLED"),
        ("SHORT_OPEN", "FILLED"),
    ]
    assert all(len(row) == 21 for row in rows)
