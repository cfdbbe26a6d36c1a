"""Old bars and new bars become one series: pure array work."""

from dataclasses import dataclass

import numpy as np

from market.candles import COLUMNS, Candles
from market.errors import BadInput


class Overlap(BadInput):
    """Bars that are already known come again with other values, and nobody said to replace them."""

    def __init__(self, bars: int, first_ms: int) -> None:
        when = np.datetime64(first_ms, "ms").astype("M8[s]").item()
        super().__init__(
            f"{bars} of these bars are in the archive with other values, first at {when:%Y-%m-%d %H:%M} UTC; "
            "nothing was changed: import again with replace to take the new values, or under another source",
            field="replace",
        )


@dataclass(frozen=True, slots=True)
class Combined:
    """The union of two sets of bars, and how many of the added ones were new, equal, or changed."""

    candles: Candles
    new: int
    duplicate: int
    replaced: int


def combine(known: Candles, added: Candles, *, replace: bool) -> Combined:
    """Return the union, sorted by time.

    :raises Overlap: when a bar is in both with different values and `replace` is off. Venues do revise
        candles, and a download may end with a bar that was still open: both are for a person to judge,
        because models were trained on the old values and name them by fingerprint.
    """
    if len(known) == 0:
        return Combined(added, len(added), 0, 0)
    at = np.searchsorted(known.open_ms, added.open_ms)
    inside = at < len(known)
    here = np.zeros(len(added), dtype=bool)
    here[inside] = known.open_ms[at[inside]] == added.open_ms[inside]
    differs = np.zeros(len(added), dtype=bool)
    for name in COLUMNS[1:]:
        differs[here] |= getattr(known, name)[at[here]] != getattr(added, name)[here]
    replaced = int(differs.sum())
    if replaced and not replace:
        raise Overlap(replaced, int(added.open_ms[differs.argmax()]))
    kept = np.ones(len(known), dtype=bool)
    kept[at[differs]] = False
    taken = ~here | differs
    order = np.argsort(np.concatenate([known.open_ms[kept], added.open_ms[taken]]), kind="stable")
    arrays = [np.concatenate([getattr(known, n)[kept], getattr(added, n)[taken]])[order] for n in COLUMNS]
    duplicate = int(here.sum()) - replaced
    return Combined(
        Candles(added.interval_ms, *arrays), len(added) - duplicate - replaced, duplicate, replaced
    )
