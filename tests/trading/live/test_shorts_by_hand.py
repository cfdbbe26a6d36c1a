"""Shorts that somebody opens or closes by hand beside a session's own."""

from decimal import Decimal

from tests.trading.live.test_shorts import books_agree, filled, flips, short, short_at, unanswered
from trading import services
from trading.models import Alert, Reconciliation, SessionStatus
from trading.models import OrderStatus as S


def by_hand(live, path, **given):
    answer = live.venue.signed("POST", f"/v6/{path}", pair="BTC/USD", **given)
    assert answer["Success"], answer
    return answer


def compare(live):
    live.seat.is_checked = False
    live.turn()


def test_a_short_opened_by_hand_is_adopted_and_is_no_sessions_position(live):
    flips(live, capital=Decimal(20_000))
    live.turn()
    by_hand(live, "short_open", collateral=500)
    compare(live)
    assert live.session.shorted == 0
    assert books_agree(live)
    assert "adopted" in Reconciliation.objects.first().differences[0]["done"]
    compare(live)
    assert Reconciliation.objects.first().equal


def test_a_short_merged_with_one_by_hand_keeps_the_books_and_the_others_part(live):
    flips(live, capital=Decimal(20_000))
    live.turn()
    by_hand(live, "short_open", collateral=500)
    live.venue.advance(45_000)
    live.turn()
    live.bar(2)  # turned short into the same position, then long again
    assert "SHORT_CLOSE" in filled(live)
    mine = short_at(live)
    assert mine is not None
    assert live.session.shorted == 0
    merged = live.account.holdings.get(coin="BTC/USD short")
    assert merged.quantity == Decimal(mine["quantity"])
    compare(live)
    assert Reconciliation.objects.first().equal
    assert abs(live.books()["USD"] - live.ledger()["USD"]) < Decimal("1e-8")


def test_a_short_opened_by_hand_just_before_our_unseen_one_is_booked_first(live):
    flips(live, capital=Decimal(20_000))
    live.turn()
    live.venue.advance(50_000)
    by_hand(live, "short_open", collateral=500)
    live.venue.faults(drop_after=unanswered("short_open"))
    live.venue.advance(10_000)
    live.turn()
    live.turn()
    assert live.session.orders.get(side="SHORT_OPEN").status == S.FILLED
    mine = short_at(live)
    assert live.session.shorted < Decimal(mine["quantity"])
    live.bar()
    compare(live)
    assert not live.account.ledger.filter(note="the venue's figure").exists()
    assert abs(live.books()["USD"] - live.ledger()["USD"]) < Decimal("1e-8")


def test_a_sessions_short_closed_by_hand_is_closed_in_its_books(live):
    short(live)
    shorted = live.session.shorted
    by_hand(live, "short_close")
    compare(live)
    assert (live.session.shorted, live.session.held + shorted > 0) == (0, True)
    order = live.session.orders.get(reason="placed by hand")
    assert (order.side, order.fills.get().quantity) == ("SHORT_CLOSE", shorted)
    assert Alert.objects.filter(key=f"books:{live.account.pk}").exists()
    assert books_agree(live)
    compare(live)
    assert Reconciliation.objects.first().equal


def test_a_short_that_was_there_before_is_neither_closed_nor_counted(live):
    by_hand(live, "short_open", collateral=5000)
    flips(live, capital=Decimal(20_000))
    live.turn()
    live.bar(2)
    services.flatten_session(session=live.session, by=live.user)
    live.turn()
    assert live.turn().status == SessionStatus.STOPPED
    assert (live.session.held, live.session.shorted) == (0, 0)
    assert short_at(live) is not None
    assert live.books()["BTC/USD short"] == Decimal(short_at(live)["quantity"])
    opened = live.account.ledger.get(kind="opening", coin="USD").amount  # shown to the cent
    assert 0 <= live.ledger()["USD"] - live.books()["USD"] < Decimal("0.02")
    assert opened < 50_000
