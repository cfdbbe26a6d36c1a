"""The bench of intents counts from the prices that close a bar, and tells what the runner did."""

import gc

import pytest

from benchmarks import bench_intents
from benchmarks.bench_intents import HOUR, Watch, figures


@pytest.fixture
def seen():
    """Two sessions over three bars; the first bar is of the start, on the last only one has decided."""
    seen = Watch()
    seen.ticks = [(bar * HOUR + 30, 10.0 * bar) for bar in range(1, 6)]
    seen.ticks.insert(2, (2 * HOUR + 60, 25.0))  # a second look at the same bar
    seen.decided |= {HOUR: [20.5, 20.6], 2 * HOUR: [30.01, 30.3], 3 * HOUR: [40.2, 40.25], 4 * HOUR: [50.1]}
    seen.intents = [(HOUR, 20.5), (2 * HOUR, 30.01), (2 * HOUR, 30.25), (3 * HOUR, 40.1), (4 * HOUR, 50.1)]
    seen.pauses = [0.002, 0.003]
    return seen


def test_each_intent_counts_from_the_first_prices_behind_its_bar(seen):
    found = figures(seen, {HOUR}, 2)
    assert (found["closes"], found["intents"], found["intents_per_close"]) == (2, 3, 1.5)
    assert found["intent_ms_p50"] == pytest.approx(100)
    assert found["intent_ms_max"] == pytest.approx(250)
    assert found["first_ms_max"] == pytest.approx(100)
    assert found["last_ms_p50"] == pytest.approx((250 + 100) / 2)
    assert found["decided_ms_max"] == pytest.approx(300)
    assert (found["gc_ms_max"], found["gc_ms"]) == pytest.approx((3, 5))


def test_without_an_intent_there_are_no_figures_of_one(seen):
    seen.intents = []
    found = figures(seen, set(), 2)
    assert (found["closes"], found["intents"]) == (3, 0)
    assert "intent_ms_p50" not in found


def test_what_is_watched_is_as_before_afterwards():
    from trading import deciding, orders
    from trading.runner.desk import Desk

    before, callbacks = (Desk._take, orders.send, deciding.decide), list(gc.callbacks)
    with bench_intents.watched() as seen:
        gc.collect()
        assert seen.pauses
        assert deciding.decide is not before[2]
    assert (Desk._take, orders.send, deciding.decide) == before
    assert gc.callbacks == callbacks
