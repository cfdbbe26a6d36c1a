"""The newest rows of a growing series, shown without a copy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trading.trail import SPARE, Trail


@given(keep=st.integers(1, 5), first=st.integers(0, 12), more=st.integers(0, 3 * SPARE))
def test_it_shows_the_newest_rows_and_never_changes_what_it_has_shown(keep, first, more):
    series = np.arange(2.0 * (first + more)).reshape(-1, 2)
    trail, shown = Trail(keep, 2), []
    trail.extend(series[:first])
    for row in series[first:]:
        shown.append((trail.rows, trail.rows.copy()))
        if row[0] % 6 == 0:
            trail.append(row)
        elif row[0] % 6 == 2:
            trail.append_numbers(*row.tolist())
        else:
            trail.place()[:] = -1.0  # a row that is given up in the end
            trail.place()[:] = row
            trail.take()
    assert np.array_equal(trail.rows, series[max(first + more - keep, 0) :])
    assert len(trail) == len(trail.rows)
    assert all(np.array_equal(view, copy) for view, copy in shown)


def test_rows_may_be_single_numbers():
    trail = Trail(3)
    trail.extend(np.array([1.0, 2.0, 3.0, 4.0]))
    trail.append(5.0)
    trail.append_numbers(6.0)
    assert trail.rows.tolist() == [4.0, 5.0, 6.0]
