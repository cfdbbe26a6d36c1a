"""The study of presets: it chooses before it opens the test part, and tests all on the same bars."""

import numpy as np
import pytest

from agents.evaluation.data import split_for
from benchmarks import bench_study
from benchmarks.bench_study import learn_one, open_one, rule_one, run
from benchmarks.candidates import Study, study_of
from market.archive import files, read_parquet
from market.candles import MS, Candles
from market.errors import BadInput
from tests.agents.markets import changed_after, walk

SMALL = {"ppo": {"n_envs": 8, "n_steps": 64, "batch_size": 128, "epochs": 2}, "episode_bars": 100}
STUDY = Study("default-1h", ("walk",), 1, 2_048, {"preset": SMALL, "price": {**SMALL, "features": "price"}})


@pytest.fixture
def path(tmp_path):
    return stored(tmp_path / "walk.parquet", hours())


def hours(bars=4_000):
    minutes = walk(bars, volatility=0.01)
    fields = ("open", "high", "low", "close", "volume")
    return Candles(MS["1h"], minutes.open_ms[0] + np.arange(bars) * MS["1h"],
                   *(getattr(minutes, name) for name in fields))  # fmt: skip


def stored(path, candles):
    files.write(path, candles)
    return path


def job(path, name="preset"):
    return STUDY, name, str(path), 0, 1, STUDY.steps, 0


@pytest.mark.parametrize("interval", ["1m", "5m", "1h"])
def test_every_candidate_is_a_spec_that_can_be_trained(interval):
    study = study_of(interval)
    assert "preset" in study.changes
    specs = {name: bench_study._spec(study, name, study.steps, 0) for name in study.changes}
    assert {spec.interval for spec in specs.values()} == {interval}
    assert len({spec.model_dump_json() for spec in specs.values()}) == len(specs)


def test_what_lies_in_the_test_part_changes_nothing_before_it_is_opened(path, tmp_path):
    first = split_for(4_000, bench_study._spec(STUDY, "preset", STUDY.steps, 0)).test_from
    poisoned = stored(tmp_path / "poisoned.parquet", changed_after(read_parquet(path), first - 1))
    one, other = learn_one(job(path)), learn_one(job(poisoned))
    assert one["score"] == other["score"]
    assert one["days"] == other["days"]
    for name, array in one["weights"].items():
        assert np.array_equal(array, other["weights"][name])


def test_all_are_tested_on_the_same_bars_that_none_has_seen(path):
    opened = ["preset", "price"]
    tested = [open_one((STUDY, opened, learn_one(job(path, name)))) for name in opened]
    held = rule_one((STUDY, opened, "buy_and_hold", str(path), 0, 1))
    cash = rule_one((STUDY, opened, "cash", str(path), 0, 1))
    assert {frozenset(row["days"]) for row in [*tested, held]} == {frozenset(cash["days"])}
    specs = [bench_study._spec(STUDY, name, STUDY.steps, 0) for name in opened]
    ends = [read_parquet(path).open_ms[split_for(4_000, spec).valid_to - 1] for spec in specs]
    assert min(cash["days"]) >= max(ends) // 86_400_000
    assert set(cash["days"].values()) == {0.0}
    assert held["exposure"] > 0.9


def test_the_best_on_the_validation_part_is_tested_beside_the_preset(path, monkeypatch):
    monkeypatch.setattr(bench_study, "study_of", lambda interval: STUDY)
    monkeypatch.setattr(bench_study, "each", lambda function, jobs, processes: map(function, jobs))
    found = run(interval="1h", data=str(path.parent), seeds=2)
    best = max(found["validation"], key=lambda row: row["score"])["candidate"]
    assert found["chosen"] == best
    assert [row["candidate"] for row in found["test"]] == [*bench_study.RULES, *sorted({best, "preset"})]
    cash, held = found["test"][:2]
    assert (cash["bp_per_day"], cash["interval_bp_per_day"]) == (0.0, [0.0, 0.0])
    assert held["less_hold_bp_per_day"] == 0.0
    assert found["runs"] == 4


def test_the_shipped_preset_is_tested_too_where_its_former_self_won(path, monkeypatch):
    former = Study(STUDY.preset, STUDY.files, 1, STUDY.steps, STUDY.changes, before="price")
    monkeypatch.setattr(bench_study, "study_of", lambda interval: former)
    monkeypatch.setattr(bench_study, "each", lambda function, jobs, processes: map(function, jobs))
    judged = bench_study._validation
    monkeypatch.setattr(
        bench_study,
        "_validation",
        lambda name, learned: {**judged(name, learned), "score": float(name == "price")},
    )
    found = run(interval="1h", data=str(path.parent), seeds=1)
    assert found["chosen"] == "price"
    assert [row["candidate"] for row in found["test"]] == [*bench_study.RULES, "preset", "price"]


def test_without_candles_the_study_says_so(tmp_path):
    assert "not on this machine" in run(interval="5m", data=str(tmp_path))["skipped"]


@pytest.mark.parametrize("wrong", [{"interval": "2m"}, {"candidates": "preset,folklore"}])
def test_what_there_is_not_is_refused(wrong):
    with pytest.raises(BadInput, match=r"there (are studies of|is no candidate)"):
        run(**wrong)
