"""Orders nobody answered: matched or proven absent, never sent again."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.trading.live.conftest import Live
from tests.trading.live.test_turns import Crash
from trading import orders, services, settle
from trading.exchanges.port import FILLED, OPEN, OrderReport, Proposal
from trading.models import Alert, Fill, LiveSession, Order, OrderStatus, Reconciliation, SessionStatus
from trading.models import OrderStatus as S

UNANSWERED = {"value": True, "paths": ["place_order"], "times": 1}


def test_an_accepted_order_whose_answer_was_lost_is_matched_and_not_sent_again(live):
    live.start("buy_and_hold")
    live.venue.faults(drop_after=UNANSWERED)
    live.turn()
    assert live.session.orders.get().status == S.UNCERTAIN
    live.bar()
    order = live.session.orders.get()
    assert order.status == S.FILLED
    assert [str(one["order_id"]) for one in live.venue_orders()] == [order.venue_order_id]
    assert live.books() == live.ledger()


def test_a_request_that_never_arrived_is_proven_absent_and_trading_goes_on(live, patience):
    live.start("buy_and_hold")
    live.venue.faults(drop_before=UNANSWERED)
    live.turn()
    assert live.session.orders.get().status == S.UNCERTAIN
    live.bar()
    assert live.session.orders.get().status == S.UNCERTAIN  # its bound on our clock is not over
    patience()
    live.bar(2)
    assert [o.status for o in live.session.orders.order_by("id")] == [S.ABSENT, S.FILLED]
    assert len(live.venue_orders()) == 1
    assert live.books() == live.ledger()


@pytest.mark.parametrize("fault", ["http_5xx_after", "http_5xx_before", "truncated_json", "malformed_json"])
def test_an_answer_that_cannot_be_understood_is_settled_by_asking(live, patience, fault):
    live.start("buy_and_hold")
    live.venue.faults(**{fault: UNANSWERED})
    live.turn()
    patience()
    live.bar(3)
    assert not live.session.orders.unsettled().exists()
    assert live.session.orders.filter(status=S.FILLED).count() == 1 == len(live.venue_orders())
    assert live.books() == live.ledger()


def test_an_accepted_order_answered_with_unknown_words_is_matched_and_not_sent_again(live, monkeypatch):
    """Counted as refused, it would be bought once more at the next bar."""
    live.start("buy_and_hold", capital=Decimal(10000))
    wire = live.exchange._wire
    real = wire._exchange

    def busy(method, path, *args, **options):
        answer = real(method, path, *args, **options)
        if not path.endswith("place_order"):
            return answer
        return {"Success": False, "ErrMsg": "system busy, please query the order later"}

    monkeypatch.setattr(wire, "_exchange", busy)
    live.turn()
    assert live.session.orders.get().status == S.UNCERTAIN
    live.bar(3)
    assert live.session.orders.get().status == S.FILLED
    assert live.books() == live.ledger()


def test_an_order_by_hand_that_was_adopted_is_not_taken_for_ours(live, patience):
    """The same coins must not be booked twice."""
    live.start("cash").turn()
    live.exchange.place(Proposal("BTC/USD", "BUY", "MARKET", Decimal("0.01")))
    live.seat.is_checked = False
    live.turn()
    assert live.books() == live.ledger()
    order = orders.plan(
        live.session, quantity=Decimal("0.01"), expected_price=Decimal(50_000), reason="test", fence=1,
        now_ms=live.exchange.now_ms(),
    )  # fmt: skip
    Order.objects.filter(pk=order.pk).update(status=S.UNCERTAIN, sent_ms=live.exchange.now_ms())
    patience()
    live.bar()
    assert live.session.orders.get().status == S.ABSENT
    assert live.books() == live.ledger()


def test_while_an_order_is_uncertain_nothing_more_is_planned_on_the_pair(live):
    live.start("random", settings={"turnover": 1.0})
    live.venue.faults(drop_before=UNANSWERED)
    live.turn()
    live.bar(3)
    assert live.session.orders.count() == 1
    assert live.session.decisions.count() == 1


def crash_before_sending(live, monkeypatch):
    monkeypatch.setattr(live.seat.exchange.exchange, "place", raises)


def raises(*_):
    raise Crash


def test_a_crash_between_committing_and_sending_is_proven_absent(live, monkeypatch, patience):
    live.start("buy_and_hold")
    crash_before_sending(live, monkeypatch)
    with pytest.raises(Crash):
        live.turn()
    monkeypatch.undo()
    assert live.session.orders.get().status == S.SENDING
    live.die()
    live.take().turn()
    patience()
    live.bar(2)
    assert [o.status for o in live.session.orders.order_by("id")] == [S.ABSENT, S.FILLED]
    assert live.books() == live.ledger()


def test_a_crash_right_after_sending_is_matched(live, monkeypatch):
    live.start("buy_and_hold")
    real = live.exchange.place

    def place_then_die(order):
        real(order)
        raise Crash

    monkeypatch.setattr(live.exchange, "place", place_then_die)
    with pytest.raises(Crash):
        live.turn()
    monkeypatch.undo()
    live.die()
    live.take().turn()
    assert live.session.orders.get().status == S.FILLED
    assert len(live.venue_orders()) == 1
    assert live.books() == live.ledger()


def test_a_crash_before_the_fill_was_booked_books_it_once(live, monkeypatch):
    live.start("buy_and_hold")
    monkeypatch.setattr(settle.books, "book", raises)
    with pytest.raises(Crash):
        live.turn()
    monkeypatch.undo()
    live.die()
    live.take().turn()
    live.turn()
    assert live.session.fills.count() == 1
    assert live.books() == live.ledger()


def test_an_absent_proof_that_was_wrong_is_corrected_when_the_order_shows_up(live):
    live.start("buy_and_hold")
    live.venue.faults(drop_before=UNANSWERED)
    live.turn()
    order = live.session.orders.get()
    orders.move(order, S.ABSENT)
    live.exchange.place(Proposal(order.pair, order.side, order.type, order.quantity))  # it took its time
    live.seat.is_checked = False
    live.turn()
    order.refresh_from_db()
    assert order.status == S.FILLED
    assert live.books() == live.ledger()


def test_an_order_by_hand_with_the_figures_of_one_proven_absent_long_ago_is_somebody_elses(live):
    live.start("cash").turn()
    now_ms = live.exchange.now_ms()
    absent = orders.plan(
        live.session, quantity=Decimal("0.5"), expected_price=Decimal(60000), reason="signal", fence=1,
        now_ms=now_ms,
    )  # fmt: skip
    orders.move(absent, S.SENDING, sent_ms=now_ms)
    orders.move(absent, S.UNCERTAIN)
    orders.move(absent, S.ABSENT)
    live.venue.advance(orders.DISTINCT_MS + 60_000)
    live.exchange.server_ms()
    live.exchange.place(Proposal("BTC/USD", "BUY", "MARKET", Decimal("0.5")))
    live.seat.is_checked = False
    live.turn()
    absent.refresh_from_db()
    assert (absent.status, live.session.held) == (S.ABSENT, 0)
    assert live.books() == live.ledger()


def test_somebody_elses_order_is_adopted_and_told(live):
    live.start("cash").bar()
    live.exchange.place(Proposal("BTC/USD", "BUY", "MARKET", Decimal("0.01")))
    live.seat.is_checked = False
    live.turn()
    assert live.books() == live.ledger()
    assert not Reconciliation.objects.first().equal
    assert "foreign order" in Alert.objects.get(key=f"books:{live.account.pk}").text
    live.seat.is_checked = False
    live.turn()
    assert Reconciliation.objects.first().equal


def test_somebody_elses_order_does_not_stop_the_proof_of_absence(live, patience):
    live.start("buy_and_hold")
    live.venue.faults(drop_before=UNANSWERED)
    live.turn()
    live.exchange.place(Proposal("BTC/USD", "BUY", "MARKET", Decimal("0.01")))
    patience()
    live.bar(2)
    assert live.session.orders.order_by("id").first().status == S.ABSENT
    assert live.books() == live.ledger()


def test_somebody_elses_order_on_another_pair_does_not_stop_the_proof_of_absence(live, patience):
    """Found by chaos seed 1077: the dollars were gone, and only this pair's orders were asked for."""
    live.start("buy_and_hold", capital=Decimal(20000))
    live.venue.faults(drop_before=UNANSWERED)
    live.turn()
    live.exchange.place(Proposal("ETH/USD", "BUY", "MARKET", Decimal("0.5")))
    patience()
    live.bar(2)
    assert live.session.orders.order_by("id").first().status == S.ABSENT
    assert live.books() == live.ledger()


def begin(one):
    """Let a session take its capital without trading yet."""
    services.pause_session(session=one.session)
    one.turn()
    services.resume_session(session=one.session)


def test_an_order_of_ours_in_flight_is_never_taken_for_somebody_elses(live, user, account, patience):
    one = live.start("buy_and_hold", capital=Decimal(20000))
    two = Live(user, live.venue, account).start("buy_and_hold", pair="ETH/USD", capital=Decimal(20000))
    begin(two)
    live.venue.faults(drop_before=UNANSWERED)
    one.turn()
    live.venue.faults(drop_after=UNANSWERED)
    two.bar()  # on the venue, and not known to us yet
    live.exchange.place(Proposal("BTC/USD", "BUY", "MARKET", Decimal("0.01")))
    patience()
    for _ in range(2):
        one.bar()
        two.turn()
    assert [o.status for o in Order.objects.order_by("session_id", "id")] == [
        S.ABSENT,
        S.FILLED,
        S.FILLED,
    ]
    notes = account.ledger.filter(kind="adjustment").values_list("note", flat=True)
    assert len(set(notes)) == 1
    assert live.books() == live.ledger()


def test_two_uncertain_orders_of_one_account_do_not_wait_for_each_other(live, user, account, patience):
    one = live.start("buy_and_hold", capital=Decimal(20000))
    two = Live(user, live.venue, account).start("buy_and_hold", pair="ETH/USD", capital=Decimal(20000))
    begin(two)
    live.venue.faults(drop_before={**UNANSWERED, "times": 2})
    one.turn()
    two.bar()
    assert [o.status for o in Order.objects.all()] == [S.UNCERTAIN, S.UNCERTAIN]
    patience()
    for _ in range(2):
        one.bar()
        two.turn()
    assert [o.status for o in Order.objects.order_by("session", "id")] == [S.ABSENT, S.FILLED] * 2
    assert live.books() == live.ledger()


def test_an_uncertain_order_of_an_ended_session_is_settled_by_the_next_one(live):
    live.start("buy_and_hold", capital=Decimal(1000))
    live.venue.faults(drop_after=UNANSWERED)
    live.turn()
    first = live.session
    LiveSession.objects.filter(pk=first.pk).update(status=SessionStatus.FAILED)
    live.die()
    live.start("buy_and_hold", capital=Decimal(2000)).bar()
    first.refresh_from_db()
    assert first.orders.get().status == S.FILLED
    assert first.held > 0
    assert live.session.fills.count() == 1
    assert live.books() == live.ledger()


def test_a_refused_order_keeps_the_venues_words(live):
    live.start("buy_and_hold")
    live.venue.faults(no_permission=True)
    live.turn()
    order = live.session.orders.get()
    assert order.status == S.REJECTED
    assert "permission" in order.answer
    live.venue.faults(clear=True)
    live.bar()
    assert live.session.orders.filter(status=S.FILLED).count() == 1


def test_throttling_means_never_sent(live):
    live.start("buy_and_hold")
    live.venue.faults(http_429={"value": True, "paths": ["place_order"], "times": 1})
    live.turn()
    assert live.session.orders.get().status == S.REFUSED
    live.bar()
    assert live.books() == live.ledger()


@pytest.mark.parametrize("before", OrderStatus.values)
@pytest.mark.parametrize("after", OrderStatus.values)
def test_only_the_moves_of_the_table_are_possible(before, after):
    order = Order(status=before)
    if OrderStatus(after) in orders.NEXT[before]:
        return
    with pytest.raises(orders.IllegalMove):
        orders.move(order, OrderStatus(after))


def test_finished_orders_cannot_move_but_for_a_late_fill():
    ends = {status for status, nexts in orders.NEXT.items() if nexts <= {S.FILLED}}
    assert ends == {S.FILLED, S.CANCELLED, S.REJECTED, S.REFUSED}
    assert orders.NEXT[S.ABSENT] == {S.FILLED, S.CANCELLED}  # of a cancelled one a part may have filled
    assert set(orders.NEXT) == set(OrderStatus)


def test_an_order_moves_once_even_when_two_try(live):
    live.start("buy_and_hold").bar()
    order = live.session.orders.get()
    Order.objects.filter(pk=order.pk).update(status=S.UNCERTAIN)
    one, two = Order.objects.get(pk=order.pk), Order.objects.get(pk=order.pk)
    assert orders.move(one, S.ABSENT)
    assert not orders.move(two, S.FILLED)


def test_a_part_that_two_processes_see_at_once_is_booked_once(live):
    live.start("buy_and_hold", capital=Decimal(10_000)).bar()
    seen = live.session.orders.get()
    row = Order.objects.create(
        client_ref="seen twice", session=live.session, account=live.account, pair=seen.pair, side="BUY",
        type="LIMIT", quantity=Decimal("0.02"), price=seen.expected_price, expected_price=seen.expected_price,
        reason="signal BUY", fence=1, planned_ms=seen.planned_ms, sent_ms=seen.planned_ms, status=S.UNCERTAIN,
    )  # fmt: skip
    ours, theirs = Order.objects.get(pk=row.pk), Order.objects.get(pk=row.pk)
    part = OrderReport(
        venue_order_id="777", pair=seen.pair, side="BUY", type="LIMIT", status=OPEN,
        quantity=Decimal("0.02"), filled=Decimal("0.01"), average_price=seen.expected_price,
        fee=Decimal("0.1"), fee_coin="USD", role="MAKER", created_ms=seen.planned_ms, finished_ms=0,
    )  # fmt: skip
    for order in (ours, theirs):
        settle.accept(order, part)
    assert [fill.quantity for fill in Fill.objects.filter(order=row)] == [Decimal("0.01")]
    rest = {"status": FILLED, "filled": Decimal("0.02"), "fee": Decimal("0.2")}
    whole = replace(part, finished_ms=seen.planned_ms, **rest)
    for order in (ours, theirs):
        settle.accept(order, whole)
    assert [fill.quantity for fill in Fill.objects.filter(order=row)] == [Decimal("0.01")] * 2
