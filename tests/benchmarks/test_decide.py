"""The bench of decisions runs on the code as it is, and counts what it says it counts."""

from benchmarks import bench_decide


def test_every_bar_is_thought_about_once(db):
    candles = bench_decide.market(bench_decide.WARM + 3)
    assert (bench_decide.decide_us(bench_decide.policy(candles), candles) > 0).all()


def test_no_order_takes_longer_to_its_intent_than_its_round(db):
    intents, rounds = bench_decide.intents_ms(3, 2)
    assert len(rounds) == 2
    assert 0 < len(intents) <= 6
    assert max(intents) < max(rounds)
