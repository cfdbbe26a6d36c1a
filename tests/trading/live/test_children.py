"""Later children of a parent order pass what a first order passes, as price and caps are by then."""

from dataclasses import replace
from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import OrderFactory, SessionFactory
from tests.trading.live.conftest import after, check, states
from trading import acting, legs, services, sessions, styles, working
from trading.models import ExposureCap, Order, OrderStatus, ParentOrder, RiskProfile

SPLIT = {"style": "split", "children": 3, "over_s": 150}


def turn_on(live, seconds, *, spread=0.0, age_ms=0):
    """Take a turn on the venue's price, its ask so much higher and so old."""
    live.venue.advance(seconds * 1000)
    quote = live.exchange.quotes()["BTC/USD"]
    quote = replace(quote, ask=quote.ask * (1 + D(str(spread))))
    sessions.step(live.seat, quote=quote, now_ms=quote.at_ms + age_ms)
    live.session.refresh_from_db()


@pytest.mark.parametrize(
    ("limits", "market_is", "why"),
    [
        ({"max_spread": 0.001}, {"spread": 0.05}, "is above 0.1 %"),
        ({"entry_stale_s": 3.0}, {"age_ms": 20_000}, "the price is 20.0 s old, entries need 3 s"),
        ({"price_collar": 0.01}, {"spread": 0.05}, "away from the last close, 1 % is allowed"),
    ],
)
def test_a_child_waits_while_the_guards_forbid_an_entry(market, limits, market_is, why):
    live = market(settings=SPLIT, risk={"max_spread": 0.0, "price_collar": 0.0, **limits})
    live.turn()
    turn_on(live, 51, **market_is)
    assert len(states(live)) == 1
    assert why in ParentOrder.objects.get().note
    after(live, 31)
    assert len(states(live)) == 2
    assert ParentOrder.objects.get().note == ""
    after(live, 50, turns=2)
    assert ParentOrder.objects.get().status == "done"
    check(live)


def test_what_needs_a_person_by_now_waits_for_one_as_one_order(market):
    live = market(settings=SPLIT)
    live.turn()
    assert len(states(live)) == 1
    RiskProfile.objects.update(approval_above=100.0)
    for _ in range(4):
        after(live, 50)
    made = live.session.orders.order_by("id")[1:]
    assert [order.status for order in made] == [OrderStatus.WAITING]
    first = ParentOrder.objects.earliest("pk")
    assert (first.status, "needs a person's approval" in first.note) == ("ended", True)
    services.approve_order(order=made[0], by=live.user)
    after(live, 1)
    assert sum(order.quantity for order in live.session.orders.all()) == first.quantity
    assert {order.status for order in live.session.orders.all()} == {OrderStatus.FILLED}
    check(live)


def test_its_own_children_do_not_use_up_the_trades_of_a_day(market):
    live = market(settings=SPLIT, risk={"max_trades_per_day": 1})
    live.turn()
    for _ in range(4):
        after(live, 50)
    assert len(states(live)) == 3
    assert ParentOrder.objects.get().status == "done"


def test_what_the_guards_never_let_through_is_given_up_with_the_reason(market):
    live = market(settings={"style": "limit", "deadline_s": 50}, risk={"max_spread": 0.001})
    live.turn()
    for _ in range(4):
        turn_on(live, 55, spread=0.05)
    assert states(live) == [("LIMIT", OrderStatus.CANCELLED)], "no market order at that spread"
    first = ParentOrder.objects.earliest("pk")
    assert first.status == "ended"
    assert first.note.startswith("its time is over: the spread of 4.")


@pytest.mark.parametrize("is_capped", [True, False])
def test_a_split_into_a_rising_market_stays_below_the_limits(market, is_capped):
    live = market((30, 60_000), (90, 75_000), settings={"style": "split", "children": 4, "over_s": 200},
                  risk={} if is_capped else {"max_position": 10_000.0})  # fmt: skip
    services.set_cap(owner=live.user, max_total=D(10_000 if is_capped else 1_000_000))
    live.turn()
    first = ParentOrder.objects.get()
    if is_capped:
        assert first.quantity * 50_010 <= 10_000
    for _ in range(5):
        after(live, 50, turns=2)
    paid, held = D(0), D(0)
    for fill in live.session.fills.order_by("id"):
        held, paid = held + fill.quantity, paid + fill.quantity * fill.price
        assert held * fill.price <= 10_000
    assert paid < 10_000
    first.refresh_from_db()
    assert "others hold" in first.note if is_capped else "maximum value" in first.note
    check(live)


def test_children_that_leave_are_not_held_back(market, monkeypatch):
    live = market(settings=SPLIT, risk={"max_spread": 0.001, "price_collar": 0.01, "entry_stale_s": 3.0})
    live.turn()
    for _ in range(4):
        after(live, 50)
    assert live.session.held > 0
    monkeypatch.setattr(live.seat.decider.policy, "wish", lambda values, held: 0.0)
    after(live, 60)
    services.set_cap(owner=live.user, max_total=D(1))
    for _ in range(4):
        turn_on(live, 50, spread=0.05, age_ms=20_000)
    assert live.session.held == 0


cents = st.integers(1, 2_000_000).map(lambda n: D(n) / 100)


@given(
    held=st.integers(0, 10_000_000), cash=cents, wanted=st.integers(1, 10_000_000), price=st.integers(2, 90),
    rests=st.booleans(), most=st.none() | cents, total=st.none() | cents, others=cents,
    share=st.sampled_from([0.1, 0.5, 1.0]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def never_above_any_limit(live, parent, sent, held, cash, wanted, price, rests, most, total, others, share):
    sent.clear()
    Order.objects.exclude(status=OrderStatus.FILLED).delete()
    seat, session = live.seat, live.session
    session.held, session.cash, seat.held_ms = D(held) / 100_000, cash, 0
    session.risk.max_position, session.risk.max_order_share = float(most or 0), share
    ExposureCap.objects.all().delete()
    if total is not None:
        ExposureCap.objects.create(owner=live.user, max_total=total, currency="USD")
    live.other.held, live.other.price = D(1), others
    live.other.save(update_fields=["held", "price"])
    quote = replace(live.quote, bid=D(price) * 1000, ask=D(price) * 1000 + 10, last=D(price) * 1000)
    paying = quote.bid if rests else quote.ask
    act = styles.Act(styles.PLACE, D(wanted) / 100_000, paying if rests else None)
    working._place(seat, parent, act, quote, quote.at_ms)
    equity = session.cash + session.held * quote.mid
    for order in sent:
        worth = (session.held + order.quantity) * paying
        assert worth <= equity * D(str(session.risk.max_leverage))
        assert order.quantity * paying <= equity * D(str(share))
        assert most is None or worth <= most
        assert total is None or worth + others <= total


def test_no_child_is_ever_above_any_limit(market, monkeypatch):
    live = market(settings=SPLIT, risk={"price_collar": 0.0, "max_spread": 0.0})
    live.turn()
    sent = []
    monkeypatch.setattr(working, "carry_out", lambda seat, order, quote: sent.append(order))
    monkeypatch.setattr(working, "save_marks", lambda session: None)
    live.quote, live.session = live.exchange.quotes()["BTC/USD"], live.seat.session
    live.other = SessionFactory(owner=live.user, account=live.account, pair="BTC/USD", status="paused")
    live.other.price_ms = 1
    parent = ParentOrder.objects.get()
    never_above_any_limit(live, parent, sent)


def test_a_whole_number_may_come_as_4_0(live):
    live.start("buy_and_hold", settings={**SPLIT, "children": 3.0})
    live.bar()
    for _ in range(4):
        after(live, 50)
    assert len(states(live)) == 3


def _asks(market, monkeypatch, approval_above=100.0):
    """Return a session whose split order has come to need a person's approval."""
    live = market(settings=SPLIT)
    live.turn()
    RiskProfile.objects.update(approval_above=approval_above)
    return live


def test_an_approval_that_comes_to_nothing_ends_the_wish_with_its_reason(market, monkeypatch):
    live = _asks(market, monkeypatch)
    monkeypatch.setattr(legs, "distinct", lambda session, leg, *_: replace(leg, quantity=D(0)))
    after(live, 51)
    parent = ParentOrder.objects.earliest("pk")
    assert len(states(live)) == 1
    assert (parent.status, parent.note) == ("done", acting.ALIKE)


def test_an_approval_behind_another_order_of_the_pair_is_asked_for_later(market, monkeypatch):
    live = _asks(market, monkeypatch)
    other = SessionFactory(owner=live.user, account=live.account, pair="ETH/USD", status="stopped", held=0)
    late = OrderFactory(session=other, status="waiting", venue_order_id="")
    after(live, 51)
    assert ParentOrder.objects.earliest("pk").status == "working"
    late.delete()
    after(live, 1)
    assert [order.status for order in live.session.orders.order_by("id")][1:] == [OrderStatus.WAITING]
    assert ParentOrder.objects.earliest("pk").status == "ended"


def test_what_needs_nobody_once_it_is_told_from_others_is_sent(market, monkeypatch):
    """It was planned as an ordinary order, which nobody sent."""
    live = _asks(market, monkeypatch)
    parent = ParentOrder.objects.get()
    RiskProfile.objects.update(approval_above=float(parent.left * 50_010) - 0.1)
    real = legs.distinct

    def lowered(session, leg, *rest):
        return (
            replace(leg, quantity=leg.quantity - D("0.00001"))
            if leg.quantity > D("0.3")
            else real(session, leg, *rest)
        )

    monkeypatch.setattr(legs, "distinct", lowered)
    for _ in range(4):
        after(live, 50)
    assert {status for _, status in states(live)} == {OrderStatus.FILLED}
    assert ParentOrder.objects.earliest("pk").status == "done"
    check(live)
