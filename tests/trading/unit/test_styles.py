"""What a working order does next, and how a quantity is split."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import BadInput
from market.kernel.instrument import Instrument
from trading import styles
from trading.exchanges.port import Quote
from trading.execution import Execution

RULES = Instrument(
    "BTC/USD", "BTC", "USD", D("0.01"), D("0.00001"), D(1), D("0.001"), D("0.0005"), D("0.000001")
)
STEP = D("0.00001")


def quote(bid, ask=None):
    bid = D(str(bid))
    ask = bid + 1 if ask is None else D(str(ask))
    return Quote("BTC/USD", bid, ask, bid, 0)


def parent(style="limit", buys=True, left="0.1", slices=(), sent=0):
    parts = tuple(D(part) for part in slices)
    return styles.Parent(style, buys, D(left), parts, sent, planned_ms=0, until_ms=60_000, late_ms=180_000)


def resting(price, placed_ms=0, looked_ms=0):
    return styles.Resting(D(str(price)), placed_ms, looked_ms)


def act(wish, child=None, seen=None, now_ms=0):
    return styles.next_act(wish, child, seen or quote(50_000), RULES, now_ms, 30_000)


def test_a_limit_order_is_placed_at_its_own_sides_touch():
    assert act(parent()).price == D(50_000)
    assert act(parent(buys=False)).price == D(50_001)


@given(st.integers(1, 10**7), st.integers(0, 50))
def test_a_limit_price_never_reaches_the_other_side(ticks, spread):
    seen = quote(D(ticks) / 100, D(ticks + spread) / 100)
    assert styles.passive_price(False, seen, RULES) > seen.bid
    if seen.ask > RULES.tick:
        assert styles.passive_price(True, seen, RULES) < seen.ask


def test_it_rests_while_nothing_moves_and_is_looked_at_now_and_then():
    assert act(parent(), resting(50_000), now_ms=10_000).kind == styles.WAIT
    assert act(parent(), resting(50_000), now_ms=20_000).kind == styles.LOOK
    assert act(parent(), resting(50_000, looked_ms=15_000), now_ms=20_000).kind == styles.WAIT


def test_it_is_looked_at_once_the_other_side_reaches_it():
    assert act(parent(), resting(50_000), quote(49_990, 50_000), 1000).kind == styles.LOOK
    assert act(parent(buys=False), resting(50_001), quote(50_001, 50_002), 1000).kind == styles.LOOK


def test_it_follows_a_touch_that_runs_away_but_not_too_often():
    assert act(parent(), resting(50_000), quote(50_010), 10_000).kind == styles.WAIT
    assert act(parent(), resting(50_000), quote(50_010), 30_000).kind == styles.CANCEL
    assert act(parent(), resting(50_000, looked_ms=30_000), quote(49_999.5), 31_000).kind == styles.WAIT


def test_after_the_deadline_it_is_cancelled_and_the_rest_goes_to_market():
    assert act(parent(), resting(50_000), now_ms=60_000).kind == styles.CANCEL
    assert styles.next_act(parent(), resting(50_000), None, RULES, 60_000, 30_000).kind == styles.CANCEL
    rest = act(parent(left="0.04"), now_ms=60_001)
    assert (rest.kind, rest.quantity, rest.price) == (styles.PLACE, D("0.04"), None)


def test_nothing_new_is_sent_while_the_price_is_unknown():
    assert styles.next_act(parent(), None, None, RULES, 70_000, 30_000).kind == styles.WAIT


def test_it_ends_when_nothing_is_left_or_it_is_too_late():
    assert act(parent(left="0.00001")).why == "done"
    assert act(parent(), now_ms=180_001).kind == styles.END


def test_the_children_of_a_split_are_spread_over_its_time():
    slices = ["0.03", "0.03001", "0.03999"]
    assert act(parent("split", slices=slices)).quantity == D("0.03")
    waits = parent("split", left="0.07", slices=slices, sent=1)
    assert act(waits, now_ms=19_999).kind == styles.WAIT
    assert act(waits, now_ms=20_000).quantity == D("0.03001")
    last = act(parent("split", left="0.04", slices=slices, sent=2), now_ms=59_000)
    assert (last.quantity, last.price) == (D("0.04"), None)


@given(
    units=st.integers(2, 10**6),
    count=st.integers(2, 50),
    least=st.integers(0, 2000),
    used=st.sets(st.integers(1, 5000), max_size=60),
)
def test_split_quantities_sum_to_the_parent_and_each_can_be_sent_and_told_apart(units, count, least, used):
    taken = frozenset(unit * STEP for unit in used)
    parts = styles.slices_of(units * STEP, count, step=STEP, least=least * STEP, taken=taken)
    assert sum(parts) == units * STEP
    assert len(parts) <= count
    if len(parts) > 1:
        assert all(part > least * STEP and part % STEP == 0 for part in parts)
        assert len(set(parts)) == len(parts)
        assert not taken & set(parts)


def test_a_split_is_nearly_equal():
    parts = styles.slices_of(D("0.1"), 4, step=STEP, least=D("0.00002"), taken=frozenset())
    assert len(parts) == 4
    assert max(parts) - min(parts) <= 6 * STEP


@given(st.integers(0, 10**9), st.integers(1, 10**7))
def test_what_is_affordable_can_be_paid_with_its_fee(cents, price):
    cash, ask = D(cents) / 100, D(price) / 100
    quantity = styles.affordable(cash, ask, D("0.002"), RULES)
    assert quantity * ask * (1 + D(RULES.taker_fee)) <= cash


@pytest.mark.parametrize(
    "wrong",
    [{"style": "iceberg"}, {"deadline_s": 0}, {"children": 2.5}, {"requote_s": "x"}, {"over_s": True}],
)
def test_settings_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(BadInput) as refused:
        Execution.from_dict({"seed": 1, **wrong})
    assert refused.value.field == next(iter(wrong))
