"""What every venue does, whichever it is: one suite for each adapter, on the sandbox."""

from dataclasses import dataclass
from decimal import Decimal
from itertools import count

import pytest

from trading.exchanges.errors import OrderRejected, VenueClosed
from trading.exchanges.port import Proposal

from .conftest import PAIR, T0

# pytest-django makes a database only for tests that name one; `venue` asks for it too late.
pytestmark = pytest.mark.django_db

D = Decimal
QUANTITY = D("0.00236")


@dataclass(frozen=True)
class Terms:
    """What a venue charges, and out of what: a fee in coins is taken out of a purchase."""

    taker: Decimal
    maker: Decimal
    step: Decimal
    in_coins: bool
    has_shorts: bool

    def bought(self, quantity):
        fee = (quantity * self.taker).quantize(self.step, "ROUND_DOWN")
        return quantity - fee if self.in_coins else quantity


ROOSTOOS = Terms(D("0.001"), D("0.0005"), D("0.000001"), in_coins=False, has_shorts=True)
OTHERS = Terms(D("0.001"), D("0.001"), D("0.00000001"), in_coins=True, has_shorts=False)
TERMS = {"ccxt_binance": OTHERS, "ccxt_bybit": OTHERS}
NUMBERS = count(1)


@pytest.fixture(params=["exchange", "paper", "ccxt_binance", "ccxt_bybit"])
def venue(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def terms(request, venue):
    return TERMS.get(request.node.callspec.params["venue"], ROOSTOOS)


@pytest.fixture
def shorting(venue, terms):
    if not terms.has_shorts:
        pytest.skip("this venue's shorts are not supported")
    return venue


def market(side, quantity=QUANTITY, pair=PAIR):
    return Proposal(pair, side, "MARKET", quantity, client_id=f"tb{next(NUMBERS)}")


def limit(side, price, quantity=QUANTITY):
    return Proposal(PAIR, side, "LIMIT", quantity, D(price), client_id=f"tb{next(NUMBERS)}")


def test_the_clock_is_the_venues(venue):
    assert venue.server_ms() == T0
    assert T0 <= venue.now_ms() < T0 + 5000


def test_instruments_carry_the_venues_steps_and_fees(venue, terms):
    rules = venue.instruments()[PAIR]
    assert (rules.base, rules.quote, rules.tick, rules.step) == ("BTC", "USD", D("0.01"), D("0.00001"))
    assert (rules.taker_fee, rules.maker_fee, rules.fee_step) == (terms.taker, terms.maker, terms.step)
    assert PAIR in venue.tradable()


def test_one_call_quotes_all_pairs_and_an_unknown_one_is_absent(venue):
    venue.instruments()
    quotes = venue.quotes([PAIR, "NO/USD"])
    assert set(quotes) == {PAIR}
    assert (quotes[PAIR].bid, quotes[PAIR].ask) == (D("84596.00"), D("84596.01"))
    assert T0 <= quotes[PAIR].at_ms < T0 + 5000
    assert {PAIR, "ETH/USD"} <= set(venue.quotes())


def test_a_market_order_fills_at_the_touch_and_pays_its_fee(venue, terms):
    report, bought = venue.place(market("BUY")), terms.bought(QUANTITY)
    assert (report.status, report.filled, report.average_price) == ("filled", bought, D("84596.01"))
    assert (report.fee_coin, report.role) == ("USD", "TAKER")
    assert D("0.1996") < report.fee <= D("0.199647")
    assert venue.balances()["BTC"].free == bought
    left = 50_000 - report.filled * report.average_price - report.fee
    assert left - D("0.01") < venue.balances()["USD"].free <= left
    assert venue.report(report.venue_order_id) == report


def test_cash_and_coins_move_by_exactly_what_the_reports_say(venue, terms):
    bought = venue.place(market("BUY"))
    sold = venue.place(market("SELL", bought.filled - bought.filled % D("0.00001")))
    assert sold.average_price == D("84596")
    assert venue.balances()["BTC"].total == bought.filled - sold.filled
    left = 50_000 - bought.filled * bought.average_price + sold.filled * sold.average_price
    left -= bought.fee + sold.fee
    assert left - D("0.01") < venue.balances()["USD"].free <= left


def test_buying_and_selling_leaves_what_the_recorded_session_left(exchange):
    bought, sold = exchange.place(market("BUY")), exchange.place(market("SELL"))
    assert (bought.fee, sold.average_price, sold.fee) == (D("0.199646"), D("84596"), D("0.199646"))
    assert exchange.balances()["BTC"].total == 0
    assert D("49999.60") <= exchange.balances()["USD"].free <= D("49999.6006844")


def test_a_resting_limit_locks_money_and_fills_as_maker_at_its_price(venue, terms, sandbox):
    resting = venue.place(limit("BUY", "84596"))
    assert (resting.status, resting.filled, resting.fee) == ("open", 0, 0)
    assert venue.balances()["USD"].locked >= D("199.64")
    assert venue.reports(PAIR, open_only=True) == [venue.report(resting.venue_order_id)]
    sandbox.advance(1000)
    filled = venue.report(resting.venue_order_id)
    assert (filled.status, filled.average_price, filled.role) == ("filled", D("84596"), "MAKER")
    assert filled.fee_coin == "USD"
    assert 0 <= D("199.64656") * terms.maker - filled.fee < D("0.0009")  # fees are floored, in coins or cash
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
        (market("BUY", D("0.00001")), "small|NOTIONAL|lower limit"),
        (market("BUY", D("5")), "balance"),
        (market("SELL"), "balance"),
        (limit("BUY", "84000.001"), "step"),
        (market("BUY", D(0)), "zero|quantity"),
        (Proposal(PAIR, "BUY", "LIMIT", QUANTITY, client_id="tb0"), "price"),
    ],
)
def test_an_order_the_venue_will_not_have_is_rejected_in_words_and_changes_nothing(venue, order, words):
    with pytest.raises(OrderRejected, match=words):
        venue.place(order)
    assert venue.balances()["USD"].total == 50_000
    assert venue.reports(None) == []


@pytest.mark.parametrize("venue", ["exchange", "paper"], indirect=True)
def test_a_pair_that_may_not_trade_takes_no_order(venue, sandbox):
    sandbox.faults(can_trade=PAIR)
    assert PAIR not in venue.tradable()
    assert "ETH/USD" in venue.tradable()
    with pytest.raises(VenueClosed):
        venue.place(market("BUY"))


def test_a_short_locks_its_collateral_and_gives_it_back(shorting, sandbox):
    sandbox.advance(2000)  # 84480.00 / 84480.01, as recorded
    opened = shorting.open_short(PAIR, D("100"))
    assert (opened.quantity, opened.price, opened.status) == (D("0.00118"), D("84480"), "filled")
    assert (opened.collateral, opened.fee) == (D("99.68"), D("0.099686"))
    assert shorting.balances()["USD"].locked == D("99.68")
    [position] = shorting.short_positions()
    assert (position.pair, position.quantity, position.entry_price) == (PAIR, D("0.00118"), D("84480"))
    assert D("-0.000012") <= position.unrealised < 0
    closed = shorting.close_short(PAIR)
    assert (closed.price, closed.fee, closed.is_closed) == (D("84480.01"), D("0.099686"), True)
    assert closed.returned == D("99.5803022")
    assert (shorting.short_positions(), shorting.balances()["USD"].locked) == ([], 0)


def test_a_second_short_merges_and_a_part_can_be_closed(shorting):
    shorting.open_short(PAIR, D("100"))
    shorting.open_short(PAIR, D("200"))
    [position] = shorting.short_positions()
    part = D("0.001")
    closed = shorting.close_short(PAIR, part)
    [left] = shorting.short_positions()
    assert (closed.quantity, closed.is_closed) == (part, False)
    assert left.quantity == position.quantity - part
    assert left.collateral == closed.collateral == shorting.balances()["USD"].locked


def test_shorts_are_refused_in_words(shorting):
    with pytest.raises(OrderRejected, match="collateral"):
        shorting.open_short(PAIR, D("0.5"))
    with pytest.raises(OrderRejected, match="no open short"):
        shorting.close_short(PAIR)
    with pytest.raises(OrderRejected):
        shorting.open_short("NO/USD", D("100"))


@pytest.mark.parametrize("venue", ["ccxt_binance", "ccxt_bybit"], indirect=True)
def test_a_venue_without_shorts_says_so(venue):
    order = market("SHORT_OPEN")
    calls = (
        lambda: venue.open_short(PAIR, D("100")),
        lambda: venue.close_short(PAIR),
        lambda: venue.place(order),
    )
    for refused in calls:
        with pytest.raises(OrderRejected, match="shorts are not supported"):
            refused()


def test_a_short_is_placed_by_collateral_and_found_in_the_list_of_orders(shorting):
    order = Proposal(PAIR, "SHORT_OPEN", "MARKET", D("0.00118"), collateral=D(100))
    report = shorting.place(order)
    assert (report.status, report.filled, report.average_price) == ("filled", D("0.00118"), D("84596"))
    row = shorting.reports(PAIR)[0]
    assert report.venue_order_id in ("", row.venue_order_id)
    assert (row.side, row.type, row.filled, row.fee) == ("SHORT_OPEN", "MARKET", report.filled, report.fee)
    assert (row.average_price, row.status) == (report.average_price, "filled")
    wallet = shorting.balances()["USD"]
    assert wallet.collateral == wallet.locked == D("99.82")
    assert shorting.short_positions()[0].quantity == report.filled


def test_a_short_is_closed_by_quantity_and_a_small_rest_goes_with_it(shorting):
    shorting.place(Proposal(PAIR, "SHORT_OPEN", "MARKET", D("0.00118"), collateral=D(100)))
    report = shorting.place(Proposal(PAIR, "SHORT_CLOSE", "MARKET", D("0.00117")))
    assert (report.filled, report.average_price) == (D("0.00118"), D("84596.01"))
    row = shorting.reports(PAIR)[0]
    assert (row.side, row.filled, row.fee) == ("SHORT_CLOSE", D("0.00118"), report.fee)
    assert shorting.short_positions() == []
    assert shorting.balances()["USD"].collateral == 0


def test_a_short_asks_once_more_before_it_leaves(shorting):
    def stop():
        raise RuntimeError("not any more")

    order = Proposal(PAIR, "SHORT_OPEN", "MARKET", D("0.00118"), collateral=D(100), before_send=stop)
    with pytest.raises(RuntimeError, match="not any more"):
        shorting.place(order)
    assert shorting.short_positions() == []
