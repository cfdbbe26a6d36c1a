"""Which bars a run may learn from, which later ones judge it, and which stay sealed. By time, with gaps."""

from dataclasses import dataclass

from market.errors import BadInput

LEAST_VALID_BARS = 50


@dataclass(frozen=True, slots=True)
class Split:
    """Rows: [0, train_from) warm up, [train_from, train_to) teach, [valid_from, valid_to) judge.

    [test_from, test_to) is the sealed test part; it is empty where none was asked for.
    """

    train_from: int
    train_to: int
    valid_from: int
    valid_to: int
    test_from: int
    test_to: int


def judging(bars: int, *, warmup: int, share: float, embargo: int, test_share: float = 0.0) -> int:
    """Return how many rows at the end of `bars` judge or are sealed, the embargo between the two included."""
    return sum(_parts(bars, warmup, share, test_share)) + (embargo if test_share else 0)


def _parts(bars: int, warmup: int, share: float, test_share: float) -> tuple[int, int]:
    usable = max(0, bars - warmup)
    return round(usable * share), round(usable * test_share)


def split(
    bars: int,
    *,
    warmup: int,
    window: int,
    episode_bars: int,
    share: float,
    embargo: int,
    test_share: float = 0.0,
) -> Split:
    """Return the split of a series of `bars` rows.

    Of the rows behind the warm-up the last `test_share` is the test part, and `share` before it judges. In
    front of either, `embargo` rows belong to nobody, so that no window of a later part holds a bar of an
    earlier one.

    :raises BadInput: when the embargo is shorter than an observation reaches back, or a part too short,
        saying how many bars are needed
    """
    reach = warmup + window - 1
    if embargo < reach:
        raise BadInput(
            f"embargo_bars: a gap of {embargo} bars is too small: features and window reach {reach} bars "
            "back, so that later parts would see earlier ones; make it at least that, or leave it out",
            "embargo_bars",
        )
    valid, test = _parts(bars, warmup, share, test_share)
    gaps = embargo * (2 if test_share else 1)
    train = max(0, bars - warmup) - valid - test - gaps
    least = window + max(episode_bars, 1) + 1
    if train < least or valid < LEAST_VALID_BARS or (test_share and test < LEAST_VALID_BARS):
        needed = warmup + max(
            int((least + gaps) / (1 - share - test_share)) + 3,
            *(int(LEAST_VALID_BARS / part) + 2 if part else 0 for part in (share, test_share)),
        )
        sealed = f", test share {test_share:g}" if test_share else ""
        raise BadInput(
            f"{bars} candles are too few: warm-up {warmup}, window {window}, episode {episode_bars}, "
            f"gap {embargo}{sealed} and validation share {share:g} need about {needed}",
            "from",
        )
    test_from = bars - test
    valid_to = test_from - (embargo if test_share else 0)
    return Split(warmup, warmup + train, valid_to - valid, valid_to, test_from, bars)
