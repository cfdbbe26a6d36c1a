"""Split orders: their children sum to them, and a death or a fault between two of them is gone on from."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.trading.live.conftest import MINUTE, after, check
from tests.trading.live.test_working import UNANSWERED
from trading.models import Order, ParentOrder


def test_split_children_sum_to_the_parent_and_are_spread_over_its_time(market):
    live = market(settings={"style": "split", "children": 4, "over_s": 100})
    live.turn()
    assert live.session.fills.count() == 1
    for seconds, count in ((10, 1), (16, 2), (25, 3), (25, 4), (30, 4)):
        after(live, seconds)
        assert live.session.fills.count() == count
    parent = ParentOrder.objects.get()
    assert parent.status == "done"
    assert sum(fill.quantity for fill in live.session.fills.all()) == parent.quantity
    check(live)


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "http_429"])
def test_a_child_that_goes_astray_is_settled_and_the_split_goes_on(market, fault):
    live = market(settings={"style": "split", "children": 3, "over_s": 60})
    live.turn()
    live.venue.faults(**{fault: UNANSWERED})
    after(live, 21)
    Order.objects.update(changed_at=timezone.now() - timedelta(seconds=30))
    for _ in range(6):
        after(live, 11)
    parent = ParentOrder.objects.get()
    assert parent.status == "done"
    assert sum(fill.quantity for fill in live.session.fills.all()) == parent.quantity
    check(live)


def test_a_death_between_children_is_gone_on_from(market):
    live = market(settings={"style": "split", "children": 3, "over_s": 60})
    live.turn()
    live.die()
    live.take()
    for _ in range(5):
        after(live, 15)
    assert live.session.fills.count() == 3
    assert ParentOrder.objects.get().status == "done"
    check(live)


def test_a_split_too_late_is_given_up(market):
    live = market(settings={"style": "split", "children": 3, "over_s": 60})
    live.turn()
    live.die()
    live.venue.advance(60 * MINUTE)
    live.take().turn()
    assert live.session.fills.count() == 1
    assert ParentOrder.objects.order_by("id").first().status == "ended"
