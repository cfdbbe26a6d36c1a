"""Merging, loading, and what a failure at any step leaves behind."""

import errno
import os

import numpy as np
import pytest
from django.db import DatabaseError
from hypothesis import given, settings
from hypothesis import strategies as st

from market import archive
from market.archive import files, store
from market.archive.combine import combine
from market.candles import COLUMNS, Candles
from market.errors import BadInput, Conflict
from market.models import Gap, Partition, Series

pytestmark = pytest.mark.django_db
MINUTE = 60_000
END_OF_JANUARY = 1_706_745_600_000 - 5 * MINUTE  # five minutes before 2024-02-01


def bars(indexes, start=END_OF_JANUARY, salt=0.0):
    indexes = np.asarray(sorted(indexes), dtype=np.int64)
    close = 100 + np.sin(indexes * 12.9898) + salt
    opens = close - 0.1
    return Candles(
        MINUTE, start + indexes * MINUTE, opens, close + 0.2, opens - 0.2, close, indexes.astype(float)
    )


@pytest.fixture
def series():
    return Series.objects.create(source="test", pair="BTC/USD", interval_ms=MINUTE)


def same(first, second):
    return all(np.array_equal(getattr(first, n), getattr(second, n)) for n in COLUMNS)


def state(series):
    series.refresh_from_db()
    folder = archive.root() / str(series.pk)
    return (
        series.as_dict(),
        list(series.partitions.values_list("month", "path", "rows", "fingerprint")),
        list(series.gaps.values_list("from_ms", "to_ms", "missing")),
        sorted(p.name for p in folder.glob("*")) if folder.is_dir() else [],
    )


def test_what_was_merged_is_loaded_bit_for_bit(series):
    candles = bars(range(10))
    assert archive.merge(series, candles) == archive.MergeResult(new=10, duplicate=0)
    assert same(archive.load(series), candles)


def test_bars_are_kept_in_one_file_per_utc_month(series):
    archive.merge(series, bars(range(10)))
    assert [(f"{p.month:%Y-%m}", p.rows) for p in series.partitions.all()] == [("2024-01", 5), ("2024-02", 5)]


def test_the_row_says_what_the_files_cover(series):
    candles = bars([0, 1, 2, 5, 9])
    archive.merge(series, candles)
    series.refresh_from_db()
    assert (series.rows, series.first_ms, series.last_ms) == (5, candles.open_ms[0], candles.open_ms[-1])
    assert series.fingerprint == archive.fingerprint(candles)


def test_gaps_are_recorded_across_months_and_closed_when_filled(series):
    archive.merge(series, bars([0, 1, 2, 5, 9]))
    assert list(series.gaps.values_list("missing", flat=True)) == [2, 3]
    archive.merge(series, bars([3, 4, 7]))
    holes = [((g.from_ms - END_OF_JANUARY) // MINUTE, g.missing) for g in series.gaps.all()]
    assert holes == [(6, 1), (8, 1)]


@pytest.mark.parametrize(("first", "last"), [(0, 10), (3, 7), (5, 6), (0, 5), (5, 10), (4, 4), (20, 30)])
def test_a_part_is_loaded_by_its_bounds(series, first, last):
    candles = bars(range(10))
    archive.merge(series, candles)
    part = archive.load(series, END_OF_JANUARY + first * MINUTE, END_OF_JANUARY + last * MINUTE)
    assert same(part, candles[first:last])


def test_an_empty_series_loads_as_no_bars(series):
    assert len(archive.load(series)) == 0


def test_merging_again_finds_duplicates_and_changes_nothing(series):
    archive.merge(series, bars(range(10)))
    before = state(series)
    assert archive.merge(series, bars(range(3, 8))) == archive.MergeResult(new=0, duplicate=5)
    assert state(series) == before


def test_other_values_for_known_bars_are_refused_in_one_sentence(series):
    archive.merge(series, bars(range(10)))
    before = state(series)
    with pytest.raises(archive.Overlap, match="3 of these bars are in the archive with other values"):
        archive.merge(series, bars(range(7, 10), salt=1))
    assert state(series) == before


def test_other_values_win_when_replacing_is_asked_for(series):
    archive.merge(series, bars(range(10)))
    result = archive.merge(series, bars(range(8, 12), salt=1), replace=True)
    assert result == archive.MergeResult(new=2, duplicate=0, replaced=2)
    assert archive.load(series).close[8] == bars([8], salt=1).close[0]


def test_bars_of_another_interval_are_refused(series):
    candles = bars(range(3))
    with pytest.raises(BadInput, match="interval"):
        archive.merge(series, Candles(300_000, *(getattr(candles, n) for n in COLUMNS)))


def test_a_replaced_file_is_removed_after_the_commit(series, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        archive.merge(series, bars(range(5)))
        archive.merge(series, bars(range(10)))
    assert len(state(series)[3]) == Partition.objects.count() == 2


def break_write(monkeypatch, at):
    real, calls = files.write, []

    def write(path, candles):
        calls.append(path)
        if len(calls) > at:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, candles)

    monkeypatch.setattr(files, "write", write)


def break_call(monkeypatch, module, name, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(module, name, fail)


NO_SPACE = OSError(errno.ENOSPC, "No space left on device")
FAILURES = {
    "first file": lambda m: break_write(m, 0),
    "second file": lambda m: break_write(m, 1),
    "fsync": lambda m: break_call(m, os, "fsync", NO_SPACE),
    "rename": lambda m: break_call(m, os, "replace", NO_SPACE),
    "folder": lambda m: break_call(m, files, "sync_folder", NO_SPACE),
    "gap search": lambda m: break_call(m, store, "gaps", MemoryError()),
    "partition rows": lambda m: break_call(m, store, "store_partitions", DatabaseError("locked")),
    "gap rows": lambda m: break_call(m, store, "store_gaps", DatabaseError("locked")),
}


@pytest.mark.parametrize("step", FAILURES)
def test_a_failure_at_any_step_changes_nothing(series, monkeypatch, step):
    archive.merge(series, bars([1, 3, 6]))
    before, loaded = state(series), archive.load(series)
    with monkeypatch.context() as patch:
        FAILURES[step](patch)
        with pytest.raises((OSError, MemoryError, DatabaseError)):
            archive.merge(series, bars(range(10)))
    assert state(series) == before
    assert same(archive.load(series), loaded)
    assert archive.merge(series, bars(range(10))).new == 7


def test_a_writer_that_was_overtaken_starts_over_and_loses_nothing(series, monkeypatch):
    real, raced = store._write, []

    def write_after_somebody_else(plan):
        if not raced:
            raced.append(True)
            archive.merge(Series.objects.get(pk=series.pk), bars([0, 1]))
        real(plan)

    monkeypatch.setattr(store, "_write", write_after_somebody_else)
    assert archive.merge(series, bars([1, 2])) == archive.MergeResult(new=1, duplicate=1)
    assert same(archive.load(series), bars([0, 1, 2]))


def test_merging_into_a_deleted_series_is_a_conflict(series):
    Series.objects.all().delete()
    with pytest.raises(Conflict, match="was deleted meanwhile"):
        archive.merge(series, bars(range(3)))


def test_orphans_are_removed_once_they_are_old(series):
    archive.merge(series, bars(range(3)))
    orphan = archive.root() / str(series.pk) / "2024-01-left-behind.parquet"
    orphan.write_bytes(b"half")
    assert archive.remove_orphans(series) == 0
    assert archive.remove_orphans(series, age_s=-1) == 1
    assert len(archive.load(series)) == 3


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"PAR1 half PAR1"])
def test_a_lost_file_is_said_so_and_healed_by_the_same_import(series, content):
    archive.merge(series, bars(range(3)))
    fingerprint, path = series.fingerprint, archive.root() / series.partitions.get().path
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match="missing from the disk or damaged"):
        archive.load(series)
    assert archive.merge(series, bars(range(3))).new == 3
    assert len(archive.load(series)) == 3
    assert series.fingerprint == fingerprint


def test_plain_parquet_files_are_read_with_their_interval(tmp_path):
    files.write(tmp_path / "bars.parquet", bars(range(5)))
    assert archive.read_parquet(tmp_path / "bars.parquet").interval_ms == MINUTE


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    (tmp_path / "bars.parquet").write_text("hello")
    with pytest.raises(archive.ParquetError, match="not a readable Parquet file"):
        archive.read_parquet(tmp_path / "bars.parquet")


indexes = st.sets(st.integers(0, 60), max_size=40)


@given(known=indexes, added=indexes)
@settings(max_examples=60, deadline=None)
def test_combining_twice_adds_nothing_the_second_time(known, added):
    once = combine(bars(known), bars(added), replace=False).candles
    again = combine(once, bars(added), replace=False)
    assert (again.new, again.duplicate) == (0, len(added))
    assert same(again.candles, once)
    assert same(once, bars(known | added))


@given(parts=st.lists(indexes, min_size=1, max_size=4), seed=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_merging_does_not_matter(parts, seed):
    def merged(order):
        result = bars(())
        for part in order:
            result = combine(result, bars(part), replace=False).candles
        return result

    shuffled = list(parts)
    seed.shuffle(shuffled)
    assert archive.fingerprint(merged(parts)) == archive.fingerprint(merged(shuffled))


@given(rows=st.sets(st.integers(0, 60), min_size=1, max_size=40), column=st.sampled_from(COLUMNS[1:]))
@settings(max_examples=40, deadline=None)
def test_the_fingerprint_changes_with_every_number(rows, column):
    candles = bars(rows)
    changed = {name: getattr(candles, name).copy() for name in COLUMNS}
    changed[column][0] = np.nextafter(changed[column][0], np.inf)
    assert archive.fingerprint(Candles(MINUTE, **changed)) != archive.fingerprint(candles)


def test_gap_rows_survive_a_series_with_thousands_of_them(series):
    archive.merge(series, bars(range(0, 6000, 2)))
    assert Gap.objects.filter(series=series).count() == 2999
