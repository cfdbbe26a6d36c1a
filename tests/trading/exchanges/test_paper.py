"""Paper accounts over time and over several processes' hands."""

from decimal import Decimal

import pytest

from trading.exchanges.errors import BadAnswer, Unreachable, VenueClosed
from trading.exchanges.port import Proposal
from trading.exchanges.registry import connect
from trading.models import Account, PaperState

from .conftest import PAIR

D = Decimal


def buy(quantity="0.001", price=None):
    return Proposal(PAIR, "BUY", "LIMIT" if price else "MARKET", D(quantity), price and D(price))


def test_the_books_survive_the_adapter(paper):
    placed = paper.place(buy())
    again = connect(Account.objects.get(name="paper"))
    assert again.reports(PAIR) == [placed]
    assert again.balances() == paper.balances()


def test_reading_changes_nothing_in_the_database(paper):
    paper.place(buy())
    before = PaperState.objects.get().version
    paper.quotes([PAIR])
    paper.balances()
    paper.reports(None)
    assert PaperState.objects.get().version == before


def test_a_change_made_meanwhile_by_another_process_is_kept(paper, monkeypatch):
    other = connect(Account.objects.get(name="paper"))
    act, interfered = paper._row, []

    def row_read_just_before_the_other_writes():
        row = act()
        if not interfered:
            interfered.append(other.place(buy("0.002")))
        return row

    monkeypatch.setattr(paper, "_row", row_read_just_before_the_other_writes)
    paper.place(buy("0.003"))
    assert [report.quantity for report in other.reports(PAIR)] == [D("0.003"), D("0.002")]
    assert other.balances()["BTC"].free == D("0.005")


def test_without_prices_nothing_is_placed_and_what_rests_is_unknown(paper, sandbox):
    resting = paper.place(buy(price="80000"))
    sandbox.faults(drop_before=True)
    for ask in (lambda: paper.place(buy()), paper.balances, lambda: paper.cancel(resting.venue_order_id)):
        with pytest.raises(Unreachable):
            ask()
    sandbox.faults(clear=True)
    assert [report.status for report in paper.reports(None)] == ["open"]


def test_a_pair_without_a_quote_takes_no_order_and_a_short_on_it_cannot_be_marked(paper, sandbox):
    paper.open_short(PAIR, D(100))
    sandbox.faults(missing_pair=PAIR)
    with pytest.raises(VenueClosed):
        paper.place(buy())
    with pytest.raises(BadAnswer):
        paper.short_positions()


def test_a_resting_order_is_filled_by_the_quotes_that_are_read_for_another_pair(paper, sandbox):
    resting = paper.place(buy(price="84596"))
    sandbox.advance(1000)
    assert set(paper.quotes(["ETH/USD"])) == {"ETH/USD"}
    sandbox.advance(10_000)  # the price has gone up again
    assert paper.report(resting.venue_order_id).status == "filled"
