"""Each feature matrix is computed once, and a damaged file is never believed."""

import os

import numpy as np
import pytest

from market.features import PRESETS, cache, cached, compute

from .markets import random_walk

CORE, WALK = PRESETS["core"], random_walk(400, seed=6)
TRUTH = compute(WALK, CORE)


def files(folder):
    return sorted((folder / "features").iterdir())


def test_a_second_call_reads_what_the_first_one_wrote(private_var_dir):
    assert np.array_equal(cached("a", WALK, CORE), TRUTH, equal_nan=True)
    assert len(files(private_var_dir)) == 1
    other_bars = random_walk(400, seed=7)  # same name and times: only a read can give the first one's rows
    assert np.array_equal(cached("a", other_bars, CORE), TRUTH, equal_nan=True)


def test_series_sets_and_stretches_have_their_own_files(private_var_dir):
    cached("a", WALK, CORE)
    cached("b", WALK, CORE)
    cached("a", WALK, PRESETS["price"])
    cached("a", WALK[:300], CORE)
    cached("a", WALK[50:350], CORE)
    assert len(files(private_var_dir)) == 5


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_file_is_computed_again(private_var_dir, damage):
    cached("a", WALK, CORE)
    (file,) = files(private_var_dir)
    content = bytearray(file.read_bytes())
    content[5_000] ^= 1
    file.write_bytes({"flip": content, "cut": content[:-9], "empty": b""}[damage])
    assert np.array_equal(cached("a", WALK, CORE), TRUTH, equal_nan=True)
    assert np.array_equal(cached("a", random_walk(400, seed=7), CORE), TRUTH, equal_nan=True)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(private_var_dir):
    (private_var_dir / "features").write_text("a file where the folder should be")
    assert np.array_equal(cached("a", WALK, CORE), TRUTH, equal_nan=True)


def test_the_least_recently_used_files_go_first(private_var_dir, monkeypatch):
    for age, name in enumerate("abc"):
        cached(name, WALK, CORE)
        for file in files(private_var_dir):
            os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 100 * (age + 1)))
    oldest = min(files(private_var_dir), key=lambda file: file.stat().st_mtime)
    monkeypatch.setattr(cache, "MAX_BYTES", 3 * oldest.stat().st_size)
    cached("d", WALK, CORE)
    assert len(files(private_var_dir)) == 3
    assert oldest not in files(private_var_dir)


def test_too_few_bars_give_rows_that_are_all_unknown():
    rows = cached("short", WALK[:20], CORE)
    assert rows.shape == (20, len(CORE))
    assert np.isnan(rows).all()
    assert cached("none", WALK[:0], CORE).shape == (0, len(CORE))
