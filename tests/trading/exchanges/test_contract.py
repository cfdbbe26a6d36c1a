"""What every venue does, whichever it is: one suite for each adapter, on the sandbox."""

from decimal import Decimal

import pytest

from trading.exchanges.errors import OrderRejected, VenueClosed
from trading.exchanges.port import Proposal

from .conftest import PAIR, T0

# pytest-django makes a database only for tests that name one; `venue` asks for it too late.
pytestmark = pytest.mark.django_db

D = Decimal
QUANTITY = D("0.00236")


@pytest.fixture(params=["exchange", "paper"])
def venue(request):
    return request.getfixturevalue(request.param)


def market(side, quantity=QUANTITY, pair=PAIR):
    return Proposal(pair, side, "MARKET", quantity)


def limit(side, price, quantity=QUANTITY):
    return Proposal(PAIR, side, "LIMIT", quantity, D(price))


def test_the_clock_is_the_venues(venue):
    assert venue.server_ms() == T0
    assert T0 <= venue.now_ms() < T0 + 5000


def test_instruments_carry_the_venues_steps_and_fees(venue):
    rules = venue.instruments()[PAIR]
    assert (rules.base, rules.quote, rules.tick, rules.step) == ("BTC", "USD", D("0.01"), D("0.00001"))
    assert (rules.taker_fee, rules.maker_fee, rules.fee_step) == (D("0.001"), D("0.0005"), D("0.000001"))
    assert PAIR in venue.tradable()


def test_one_call_quotes_all_pairs_and_an_unknown_one_is_absent(venue):
    venue.instruments()
    quotes = venue.quotes([PAIR, "NO/USD"])
    assert set(quotes) == {PAIR}
    assert (quotes[PAIR].bid, quotes[PAIR].ask, quotes[PAIR].at_ms) == (D("84596.00"), D("84596.01"), T0)
    assert {PAIR, "ETH/USD"} <= set(venue.quotes())


def test_a_market_order_fills_at_the_touch_and_pays_its_fee(venue):
    report = venue.place(market("BUY"))
    assert (report.status, report.filled, report.average_price) == ("filled", QUANTITY, D("84596.01"))
    assert (report.fee, report.fee_coin, report.role) == (D("0.199646"), "USD", "TAKER")
    assert venue.balances()["BTC"].free == QUANTITY
    assert D("49800.15") <= venue.balances()["USD"].free <= D("49800.1537704")
    assert venue.report(report.venue_order_id) == report


def test_buying_and_selling_leaves_what_the_recorded_session_left(venue):
    venue.place(market("BUY"))
    sold = venue.place(market("SELL"))
    assert (sold.average_price, sold.fee) == (D("84596"), D("0.199646"))
    assert venue.balances()["BTC"].total == 0
    assert D("49999.60") <= venue.balances()["USD"].free <= D("49999.6006844")


def test_a_resting_limit_locks_money_and_fills_as_maker_at_its_price(venue, sandbox):
    resting = venue.place(limit("BUY", "84596"))
    assert (resting.status, resting.filled, resting.fee) == ("open", 0, 0)
    assert venue.balances()["USD"].locked > D("199.64")
    assert venue.reports(PAIR, open_only=True) == [venue.report(resting.venue_order_id)]
    sandbox.advance(1000)
    filled = venue.report(resting.venue_order_id)
    assert (filled.status, filled.average_price, filled.role) == ("filled", D("84596"), "MAKER")
    assert (filled.fee, filled.fee_coin) == (D("0.099823"), "USD")
    assert venue.balances()["USD"].locked == 0
    assert venue.reports(PAIR, open_only=True) == []


def test_a_resting_limit_can_be_cancelled_once(venue):
    resting = venue.place(limit("BUY", "80000"))
    assert venue.cancel(resting.venue_order_id) is True
    assert venue.cancel(resting.venue_order_id) is False
    report = venue.report(resting.venue_order_id)
    assert (report.status, report.filled, report.quantity) == ("cancelled", 0, QUANTITY)
    assert venue.balances()["USD"].free == 50_000


def test_cancelling_what_has_filled_cancels_nothing(venue):
    assert venue.cancel(venue.place(market("BUY")).venue_order_id) is False


def test_a_limit_that_is_marketable_fills_at_the_touch_as_taker(venue):
    report = venue.place(limit("BUY", "85000"))
    assert (report.status, report.average_price, report.role) == ("filled", D("84596.01"), "TAKER")


def test_orders_come_newest_first_and_none_is_no_error(venue):
    assert venue.reports(PAIR) == []
    assert venue.report("1") is None
    placed = [venue.place(market("BUY", D("0.001") * n)).venue_order_id for n in (1, 2, 3)]
    assert [report.venue_order_id for report in venue.reports(PAIR)] == placed[::-1]
    assert [report.venue_order_id for report in venue.reports(None, limit=2)] == placed[:0:-1]
    assert venue.reports("ETH/USD") == []


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (market("BUY", D("0.000001")), "step"),
        (market("BUY", D("0.00001")), "small"),
        (market("BUY", D("5")), "balance"),
        (market("SELL"), "balance"),
        (limit("BUY", "84000.001"), "step"),
        (market("BUY", D(0)), "zero|quantity"),
        (Proposal(PAIR, "BUY", "LIMIT", QUANTITY), "price"),
    ],
)
def test_an_order_the_venue_will_not_have_is_rejected_in_words_and_changes_nothing(venue, order, words):
    with pytest.raises(OrderRejected, match=words):
        venue.place(order)
    assert venue.balances()["USD"].total == 50_000
    assert venue.reports(None) == []


def test_a_pair_that_may_not_trade_takes_no_order(venue, sandbox):
    sandbox.faults(can_trade=PAIR)
    assert PAIR not in venue.tradable()
    assert "ETH/USD" in venue.tradable()
    with pytest.raises(VenueClosed):
        venue.place(market("BUY"))


def test_a_short_locks_its_collateral_and_gives_it_back(venue, sandbox):
    sandbox.advance(2000)  # 84480.00 / 84480.01, as recorded
    opened = venue.open_short(PAIR, D("100"))
    assert (opened.quantity, opened.price, opened.status) == (D("0.00118"), D("84480"), "filled")
    assert (opened.collateral, opened.fee) == (D("99.68"), D("0.099686"))
    assert venue.balances()["USD"].locked == D("99.68")
    [position] = venue.short_positions()
    assert (position.pair, position.quantity, position.entry_price) == (PAIR, D("0.00118"), D("84480"))
    assert D("-0.000012") <= position.unrealised < 0
    closed = venue.close_short(PAIR)
    assert (closed.price, closed.fee, closed.is_closed) == (D("84480.01"), D("0.099686"), True)
    assert closed.returned == D("99.5803022")
    assert (venue.short_positions(), venue.balances()["USD"].locked) == ([], 0)


def test_a_second_short_merges_and_a_part_can_be_closed(venue):
    venue.open_short(PAIR, D("100"))
    venue.open_short(PAIR, D("200"))
    [position] = venue.short_positions()
    part = D("0.001")
    closed = venue.close_short(PAIR, part)
    [left] = venue.short_positions()
    assert (closed.quantity, closed.is_closed) == (part, False)
    assert left.quantity == position.quantity - part
    assert left.collateral == closed.collateral == venue.balances()["USD"].locked


def test_shorts_are_refused_in_words(venue):
    with pytest.raises(OrderRejected, match="collateral"):
        venue.open_short(PAIR, D("0.5"))
    with pytest.raises(OrderRejected, match="no open short"):
        venue.close_short(PAIR)
    with pytest.raises(OrderRejected):
        venue.open_short("NO/USD", D("100"))
