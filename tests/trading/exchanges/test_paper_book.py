"""The paper books: nothing made, nothing lost, whatever is done to them."""

import json
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from market.kernel.instrument import Instrument
from trading.exchanges import paper_shorts
from trading.exchanges.errors import OrderRejected
from trading.exchanges.paper_book import KEPT_ORDERS, PaperBook
from trading.exchanges.port import Proposal, Quote

D = Decimal
PAIR = "BTC/USD"
RULES = Instrument(PAIR, "BTC", "USD", D("0.01"), D("0.00001"), D(1), D("0.001"), D("0.0005"), D("0.000001"))
OPENING = D(50_000)

cents = st.integers(4_000_000, 6_000_000).map(lambda n: D(n) / 100)
quantities = st.integers(1, 200_000).map(lambda n: D(n) * RULES.step)
sides = st.sampled_from(["BUY", "SELL"])
acts = st.one_of(
    st.tuples(st.just("market"), sides, quantities),
    st.tuples(st.just("limit"), sides, quantities, cents),
    st.tuples(st.just("quote"), cents),
    st.tuples(st.just("cancel"), st.integers(1, 30)),
    st.tuples(st.just("short"), st.integers(1, 30_000).map(D)),
    st.tuples(st.just("cover"), quantities),
)


def quote_of(bid):
    return Quote(PAIR, bid, bid + RULES.tick, bid, 1)


def do(book, act, quote):
    """Do one act and return the quote that holds afterwards; refusals are part of life."""
    try:
        match act:
            case ("market", side, quantity):
                book.place(Proposal(PAIR, side, "MARKET", quantity), RULES, quote, 1)
            case ("limit", side, quantity, price):
                book.place(Proposal(PAIR, side, "LIMIT", quantity, price), RULES, quote, 1)
            case ("quote", bid):
                quote = quote_of(bid)
                book.sweep({PAIR: RULES}, {PAIR: quote}, 2)
            case ("cancel", number):
                book.cancel(str(number), {PAIR: RULES}, 2)
            case ("short", collateral):
                paper_shorts.open_short(book, RULES, collateral, quote, 1)
            case ("cover", quantity):
                paper_shorts.close_short(book, RULES, quantity, quote, 1)
    except OrderRejected:
        pass
    return quote


def signed(report):
    return report.filled if report.side == "BUY" else -report.filled


@settings(max_examples=80, deadline=None)
@given(st.lists(acts.filter(lambda act: act[0] not in ("short", "cover")), max_size=40))
def test_spot_books_are_the_opening_money_and_the_fills_to_the_last_digit(done):
    book, quote = PaperBook.opened("USD", OPENING), quote_of(D(50_000))
    for act in done:
        quote = do(book, act, quote)
        assert all(balance.free >= 0 and balance.locked >= 0 for balance in book.balances.values())
    spent = sum((signed(report) * report.average_price + report.fee for report in book.orders), D(0))
    bought = sum((signed(report) for report in book.orders), D(0))
    assert book.balances["USD"].total == OPENING - spent
    assert (book.balances["BTC"].total if "BTC" in book.balances else 0) == bought


@settings(max_examples=60, deadline=None)
@given(st.lists(acts, max_size=40))
def test_what_is_locked_is_what_waits_and_the_books_survive_a_restart(done):
    book, quote = PaperBook.opened("USD", OPENING), quote_of(D(50_000))
    for act in done:
        quote = do(book, act, quote)
        book = PaperBook.from_dict(json.loads(json.dumps(book.as_dict())))
    for number in range(1, book.next_id):
        book.cancel(str(number), {PAIR: RULES}, 3)
    collateral = sum((short.collateral for short in book.shorts.values()), D(0))
    assert book.balances["USD"].locked == collateral
    assert book.balances["USD"].free >= 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cents, st.integers(1, 20_000).map(D)), min_size=1, max_size=5), cents)
def test_a_short_never_loses_more_than_its_collateral_and_its_fees(openings, last):
    book = PaperBook.opened("USD", D(200_000))
    fees = sum(
        paper_shorts.open_short(book, RULES, collateral, quote_of(bid), 1).fee for bid, collateral in openings
    )
    locked = book.balances["USD"].locked
    closed = paper_shorts.close_short(book, RULES, None, quote_of(last * 9), 2)
    assert closed.realised >= -locked
    assert book.balances["USD"].total == D(200_000) + closed.realised - fees - closed.fee
    assert book.shorts == {}


def test_only_the_newest_settled_orders_are_remembered_but_every_open_one():
    book = PaperBook.opened("USD", D(10**9))
    quote = quote_of(D(50_000))
    book.place(Proposal(PAIR, "BUY", "LIMIT", D("0.001"), D(40_000)), RULES, quote, 1)
    for _ in range(KEPT_ORDERS + 5):
        book.place(Proposal(PAIR, "BUY", "MARKET", D("0.001")), RULES, quote, 1)
    assert len(book.orders) == KEPT_ORDERS + 1
    assert book.orders[0].status == "open"
