"""A long download in stretches, each stored before the next is asked for."""

from dataclasses import dataclass

from market import archive
from market.models import Series

STRETCH_BARS = 20_000  # what a broken connection costs at most: 20 requests


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bars that start in [from_ms, to_ms): `bars` of them if none is absent, `bars_before` come earlier."""

    from_ms: int
    to_ms: int
    bars: int
    bars_before: int


def stretches(from_ms: int, to_ms: int, interval_ms: int) -> list[Stretch]:
    """Cut [from_ms, to_ms) into stretches, oldest first."""
    first = -(-from_ms // interval_ms) * interval_ms
    total = max(0, -(-(to_ms - first) // interval_ms))
    found = [Stretch(from_ms, to_ms, total, 0)] if total <= STRETCH_BARS else []
    for before in range(0, 0 if found else total, STRETCH_BARS):
        bars = min(STRETCH_BARS, total - before)
        start = first + before * interval_ms
        found.append(Stretch(start, min(to_ms, start + bars * interval_ms), bars, before))
    return found


def is_stored(series: Series, part: Stretch) -> bool:
    """Say whether the archive holds every bar of a stretch."""
    return part.bars > 0 and len(archive.load(series, part.from_ms, part.to_ms)) == part.bars
