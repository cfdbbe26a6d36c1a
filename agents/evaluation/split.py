"""Which bars a run may learn from, and which later ones judge it. By time, with a gap between them."""

from dataclasses import dataclass

from market.errors import BadInput

LEAST_VALID_BARS = 50


@dataclass(frozen=True, slots=True)
class Split:
    """Rows: [0, train_from) warm up, [train_from, train_to) teach, [valid_from, valid_to) judge."""

    train_from: int
    train_to: int
    valid_from: int
    valid_to: int


def split(bars: int, *, warmup: int, window: int, episode_bars: int, share: float, embargo: int) -> Split:
    """Return the split of a series of `bars` rows.

    The last `share` of the rows behind the warm-up judges. `embargo` rows before it belong to neither, so
    that no window of the judging part holds a bar that was learned from.

    :raises BadInput: when either part would be too short, saying how many bars are needed
    """
    usable = max(0, bars - warmup)
    valid = round(usable * share)
    train = usable - valid - embargo
    least = window + max(episode_bars, 1) + 1
    if train < least or valid < LEAST_VALID_BARS:
        needed = warmup + max(
            int((least + embargo) / (1 - share)) + 2, int(LEAST_VALID_BARS / share) + 2 if share else 0
        )
        raise BadInput(
            f"{bars} candles are too few: warm-up {warmup}, window {window}, episode {episode_bars}, "
            f"gap {embargo} and validation share {share:g} need about {needed}",
            "from",
        )
    return Split(warmup, warmup + train, bars - valid, bars)
