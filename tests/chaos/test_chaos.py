"""A short run of the harness, and the harness itself: what would a proof be worth that cannot fail?"""

import json
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from tests import factories
from tests.chaos import audit
from tests.chaos.inject import chaos_points
from tests.chaos.plan import ACTS, COMBINATIONS, FAULTS, plan_of
from tests.chaos.world import ROOT
from tests.trading.live.conftest import account, live, venue
from trading import services
from trading.execution import Execution
from trading.models import Fill, Holding, LiveSession, Order, OrderStatus, ParentOrder, SessionStatus

__all__ = ["account", "live", "venue"]
PAIRS = ("BTC/USD",)


@pytest.mark.cluster
def test_no_order_is_lost_doubled_or_invented_whatever_dies(tmp_path):
    worlds = tmp_path / "worlds"
    command = [sys.executable, "-m", "tests.chaos", "--runs", "2", "--seed", "11", "--folder", str(worlds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    *runs, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (runs, done.stderr)
    assert [run["violations"] for run in runs] == [[], []]
    assert summary["lost"] == summary["doubled"] == summary["invented"] == 0 < summary["orders"]
    assert not list(worlds.iterdir())


def test_a_seed_is_its_plan_and_neighbours_differ():
    assert plan_of(7) == plan_of(7)
    assert plan_of(7) != plan_of(8)


def test_about_a_third_of_the_sessions_rests_limit_orders_and_a_sixth_splits():
    styles = Counter(one.execution["style"] for seed in range(300) for one in plan_of(seed).sessions)
    assert 0.28 < styles["limit"] / 900 < 0.38
    assert 0.13 < styles["split"] / 900 < 0.20
    assert all(Execution.from_dict(one.execution) for seed in range(50) for one in plan_of(seed).sessions)


def test_a_stretch_of_seeds_meets_every_combination_of_fault_and_act():
    seeds = range(500, 500 + len(COMBINATIONS) // 3 + 1)
    met = {(one.fault, one.act) for seed in seeds for one in plan_of(seed).episodes}
    assert met == {(fault, act) for fault in FAULTS for act in ACTS}


@pytest.mark.parametrize("label", sorted(chaos_points.POINTS))
def test_every_labelled_point_is_a_function_of_the_product(label):
    assert callable(chaos_points.resolve(label))


def test_a_point_acts_on_the_wished_passage_only(tmp_path, monkeypatch):
    struck = []
    monkeypatch.setattr(chaos_points.signal, "pthread_kill", lambda thread, number: struck.append(number))
    (tmp_path / "booked.2").write_text(chaos_points.SUSPEND)
    at_the_point = chaos_points.wrapped(lambda: None, "booked", chaos_points.AFTER)
    monkeypatch.setenv("CHAOS_POINTS", str(tmp_path))
    for _ in range(4):
        at_the_point()
    assert struck == [chaos_points.signal.SIGSTOP]


# --- the auditor: it accepts true books, and finds each broken promise


@pytest.fixture
def ended(live):
    """A session that has traded, sold and stopped."""
    live.start("random", settings={"turnover": 0.9, "seed": 3})
    live.bar(8)
    services.flatten_session(session=live.session, by=live.user)
    live.turn()
    assert live.turn().status == SessionStatus.STOPPED
    return live


def found(live, **changed):
    theirs = live.venue.account()
    return audit.audit(live.account, {**theirs, **changed}, PAIRS)


def test_true_books_pass(ended):
    assert found(ended) == []


def first_order(live):
    return live.session.orders.filter(status=OrderStatus.FILLED).order_by("id").first()


def lose_an_order(live):
    order = first_order(live)
    Order.objects.filter(pk=order.pk).update(venue_order_id="")


def invent_an_order(live):
    order = first_order(live)
    Order.objects.filter(pk=order.pk).update(venue_order_id="999999999")


def leave_one_in_doubt(live):
    Order.objects.filter(pk=first_order(live).pk).update(status=OrderStatus.UNCERTAIN)


def book_too_much(live):
    Fill.objects.filter(order=first_order(live)).update(quantity=Decimal("0.00001"))


def mistake_the_cash(live):
    Holding.objects.filter(coin="USD").update(quantity=Decimal("1.000000000001"))


def adjust(live):
    live.account.ledger.filter(kind="fee").update(kind="adjustment", note="the venue's figure")


def let_a_stale_driver_send(live):
    Order.objects.filter(pk=first_order(live).pk).update(fence=10**6)


def mistake_the_session(live):
    LiveSession.objects.update(cash=Decimal(1))


MISTAKES = [
    (lose_an_order, "lost"), (invent_an_order, "invented"), (leave_one_in_doubt, "still uncertain"),
    (book_too_much, "booked"), (mistake_the_cash, "USD: our books say"), (adjust, "an adjustment"),
    (let_a_stale_driver_send, "a replaced driver"), (mistake_the_session, "its fills say"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "words"), MISTAKES)
def test_the_auditor_finds(ended, mistake, words):
    mistake(ended)
    assert words in "; ".join(found(ended))


def test_the_auditor_finds_a_doubled_order(ended):
    theirs = ended.venue.account()
    again = {**theirs["orders"][0], "order_id": 999_999_999}
    wrong = "; ".join(found(ended, orders=[*theirs["orders"], again]))
    assert "1 order(s) doubled" in wrong
    assert "1 order(s) lost" in wrong


def test_an_order_of_ours_as_large_as_one_by_hand_is_ours(ended, monkeypatch):
    """A child of a split order happened to be as large: it is not an order by hand that nobody adopted."""
    chance = first_order(ended)
    monkeypatch.setattr(audit, "HAND", {chance.quantity})
    same = [row for row in ended.venue.account()["orders"] if Decimal(row["quantity"]) == chance.quantity]
    assert same
    assert found(ended) == []
    twice = [*ended.venue.account()["orders"], {**same[0], "order_id": 999_999_999}]
    assert any("999999999 was not adopted" in wrong for wrong in found(ended, orders=twice))


def test_the_auditor_finds_two_orders_of_one_decision(ended):
    ended.session.orders.exclude(decision=None).update(decision=ended.session.decisions.first())
    assert "orders" in "; ".join(audit.decisions(ended.account))


def test_the_auditor_finds_a_session_that_was_started_twice(ended):
    ended.die()
    ended.start("cash")
    assert "sessions were started, 1 were asked for" in "; ".join(found(ended))


def test_the_auditor_finds_two_sessions_on_one_pair_at_once(ended):
    other = factories.SessionFactory(owner=ended.user, account=ended.account, pair=ended.session.pair)
    theirs = ended.venue.account()
    assert "2 sessions were started" in "; ".join(audit.audit(ended.account, theirs, PAIRS))
    assert "at the same time" not in "; ".join(audit.audit(ended.account, theirs, PAIRS, again=1))
    LiveSession.objects.filter(pk=ended.session.pk).update(turn_at=other.created_at + timedelta(seconds=1))
    assert "at the same time" in "; ".join(audit.audit(ended.account, theirs, PAIRS, again=1))


# --- of wishes that rest or are split


@pytest.fixture
def styled(live, request):
    """A session of a style that has traded, sold and stopped."""
    times = {"limit": {"deadline_s": 90, "requote_s": 5}, "split": {"children": 3, "over_s": 50}}
    style = request.param
    live.start("random", settings={"turnover": 0.9, "seed": 3, "style": style, **times[style]})
    for _ in range(6):
        live.bar()
        for _ in range(3):
            live.venue.advance(15_000)
            live.turn()
    services.flatten_session(session=live.session, by=live.user)
    live.turn()
    assert live.turn().status == SessionStatus.STOPPED
    assert live.session.parents.filter(children__fills__isnull=False).exists()
    return live


BOTH = pytest.mark.parametrize("styled", ["limit", "split"], indirect=True)


@BOTH
def test_true_books_of_wishes_that_take_several_orders_pass(styled):
    assert found(styled) == []


def leave_an_order_resting(live):
    live.start("buy_and_hold", settings={"style": "limit", "deadline_s": 600}).turn()
    assert live.session.orders.resting().exists()
    LiveSession.objects.filter(pk=live.session.pk).update(status=SessionStatus.STOPPED)


def test_the_auditor_finds_what_an_ended_session_has_left_behind(live):
    leave_an_order_resting(live)
    ParentOrder.objects.update(status="working")
    wrong = "; ".join(found(live))
    assert "of an ended session rests at the venue" in wrong
    assert "of an ended session is at work" in wrong


@BOTH
def test_the_auditor_finds_a_wish_that_traded_too_much_or_the_wrong_way(styled):
    styled.session.parents.update(quantity=Decimal("0.00001"), side="SELL")
    wrong = "; ".join(found(styled))
    assert "asked for 0.00001" in wrong
    assert "(SELL) has orders of the other side" in wrong


@BOTH
def test_the_auditor_finds_two_parents_of_one_decision_and_an_order_beside_one(styled):
    orders = styled.session.orders.exclude(parent=None)
    Order.objects.filter(pk=orders.first().pk).update(parent=None)
    styled.session.parents.update(decision=orders.first().decision)
    wrong = "; ".join(audit.decisions(styled.account))
    assert "parent orders" in wrong
    styled.session.orders.update(decision=orders.first().decision, parent=None)
    assert "beside its parent order" in "; ".join(audit.decisions(styled.account))


# --- and the same of shorts


@pytest.fixture
def short(live):
    """A session that has turned twice and stopped with a short open, beside one by hand."""
    live.start(
        "random_long_short", settings={"turnover": 1.0, "share": 0.5, "seed": 3}, capital=Decimal(20000)
    )
    live.turn()
    live.bar(3)
    live.venue.signed("POST", "/v6/short_open", pair="BTC/USD", collateral="123.45")
    live.seat.is_checked = False
    live.turn()
    services.stop_session(session=live.session, by=live.user)
    assert live.turn().status == SessionStatus.STOPPED
    assert live.session.shorted > 0
    return live


def test_true_books_of_shorts_pass(short):
    assert found(short) == []


def mistake_the_short(live):
    Holding.objects.filter(coin="BTC/USD short").update(quantity=Decimal("0.5"))


def mistake_its_entry(live):
    Holding.objects.filter(coin="BTC/USD short").update(entry_price=Decimal(1))


def mistake_the_sessions_part(live):
    LiveSession.objects.update(shorted=Decimal(1))


def mistake_a_collateral(live):
    Order.objects.filter(side="SHORT_OPEN").update(collateral=Decimal(5))


def open_before_the_close_is_proven(live):
    opened = live.session.orders.filter(side="SHORT_OPEN", decision__isnull=False).first()
    Order.objects.filter(decision=opened.decision, side="SELL").update(status=OrderStatus.ABSENT)


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (mistake_the_short, "short: our books say 0.5"), (mistake_its_entry, "short: our books say 1"),
        (mistake_the_sessions_part, "short, its fills"), (mistake_a_collateral, "the venue says"),
        (open_before_the_close_is_proven, "turned by"),
    ],
)  # fmt: skip
def test_the_auditor_finds_with_shorts(short, mistake, words):
    mistake(short)
    assert words in "; ".join(found(short))


def test_the_auditor_finds_a_doubled_short(short):
    theirs = short.venue.account()
    shorts = [one for one in theirs["orders"] if one["side"] == "SHORT_OPEN"]
    twice = next(one for one in shorts if not audit._is_by_hand(one))
    wrong = "; ".join(found(short, orders=[*theirs["orders"], {**twice, "order_id": 999_999_999}]))
    assert "1 order(s) doubled" in wrong
    assert "1 order(s) lost" in wrong
