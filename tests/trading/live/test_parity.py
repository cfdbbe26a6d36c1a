"""A live session replayed through the backtest's features."""

from market.models import LiveBar
from trading.models import Decision
from trading.numbers import is_same_answer
from trading.parity import verify


def test_every_live_decision_is_repeated_bit_for_bit_even_across_a_restart(live):
    live.start("sma_crossover").bar(4)
    live.die()
    live.take().bar(4)
    found = verify(live.session)
    assert found.decisions == 8
    assert found.is_equal, found.mismatches
    assert live.session.decisions.values("warm_from_ms").distinct().count() == 2


def test_a_changed_bar_is_named_with_its_first_feature(live):
    live.start("sma_crossover").bar(3)
    bar = LiveBar.objects.get(open_ms=live.session.last_bar_ms)
    LiveBar.objects.filter(pk=bar.pk).update(close=bar.close * 1.01)
    [mismatch] = verify(live.session).mismatches
    assert mismatch.bar_ms == bar.open_ms
    assert "sma" in mismatch.what


def test_a_changed_action_is_named(live):
    live.start("buy_and_hold").bar(2)
    Decision.objects.filter(session=live.session, action="BUY").update(action="SELL")
    assert ["SELL live, BUY replayed" in m.what for m in verify(live.session).mismatches] == [True]


def test_a_network_whose_sums_are_rounded_otherwise_says_the_same_and_a_changed_probability_does_not():
    live = {"votes": [{"vote": "BUY", "weight": 1.0, "probabilities": [0.25, 0.75]}], "quorum": 1}
    again = {
        "votes": [{"vote": "BUY", "weight": 1.0, "probabilities": [0.25 + 3e-8, 0.75 - 3e-8]}],
        "quorum": 1,
    }
    assert is_same_answer(live, again)
    for changed in (
        {**live, "quorum": 2},
        {"votes": live["votes"]},
        {**live, "votes": [{**live["votes"][0], "vote": "SELL"}]},
        {**live, "votes": [{**live["votes"][0], "probabilities": [0.25001, 0.74999]}]},
        {**live, "votes": live["votes"] * 2},
    ):
        assert not is_same_answer(live, changed)
    assert not is_same_answer([0.5], [None])


def test_a_changed_probability_is_named(live):
    live.start("momentum").bar(3)
    changed = live.session.decisions.latest("bar_ms")
    changed.probabilities = [0.5, 0.25, 0.25]
    changed.save()
    assert [mismatch.bar_ms for mismatch in verify(live.session).mismatches] == [changed.bar_ms]
