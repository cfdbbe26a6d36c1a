"""The bars that closed while nobody looked at a session: between two drivers, in an outage, under load.

None of them is decided on, because a decision would come too late. But they count: a time stop counts
closes whether somebody watched them or not, and equity is marked at every close that is on record.
"""

from decimal import Decimal

from trading import states
from trading.bars import stored_bars
from trading.models import EquityPoint, LiveSession

BATCH = 500  # rows a statement
LARGEST_REST = 100  # a position is more than so many rests that are too small to be sold


def catch_up(session: LiveSession, bars: str, until_ms: int) -> None:
    """Take in the bars between the session's newest one and that which starts at `until_ms`; marks unsaved.

    :param bars: name of where the session's bars come from

    What settled meanwhile is in the books already: a close before the fill that opened the position is not
    counted, and one before the newest fill, when the books were others, is not marked.
    """
    step = session.interval_ms
    first_ms = session.last_bar_ms + step
    if not session.last_bar_ms or first_ms >= until_ms:
        return
    fills = _fills_since(session, first_ms)
    if session.held != 0:
        opened_ms = _opened(session, fills)
        # By the clock: after a long outage the history fetched anew does not reach back to every bar.
        session.bars_held += max(until_ms - max(first_ms, opened_ms - opened_ms % step), 0) // step
    newest_ms = fills[0][0] if fills else first_ms
    _mark(session, bars, newest_ms - newest_ms % step, until_ms)


def was_open(session: LiveSession, at_ms: int) -> bool:
    """Say whether the session's position was open at a time; it may have opened just now, behind it."""
    fills = _fills_since(session, at_ms)
    before = session.held - sum((quantity for _, quantity in fills), Decimal(0))
    # A rest too small to be sold is no position, and any order is far larger than that.
    return before * session.held > 0 and abs(before) > abs(session.held) / LARGEST_REST


def _fills_since(session: LiveSession, from_ms: int) -> list[tuple[int, Decimal]]:
    rows = session.fills.filter(filled_ms__gte=from_ms).order_by("-id")
    return list(rows.values_list("filled_ms", "quantity"))


def _opened(session: LiveSession, fills: list[tuple[int, Decimal]]) -> int:
    """Return when one of the fills, newest first, opened the position; 0: before all of them."""
    held = session.held
    for filled_ms, quantity in fills:
        held -= quantity
        if held * session.held <= 0:
            return filled_ms
    # A rest too small to be sold is no position: what is bought on top of it is counted from its own fill.
    return fills[-1][0] if fills and session.bars_held == 0 else 0


def _mark(session: LiveSession, bars: str, first_ms: int, until_ms: int) -> None:
    found = stored_bars(bars, session.pair, session.interval_ms, first_ms, until_ms - 1)
    points = []
    for open_ms, close in zip(found.open_ms.tolist(), found.close.tolist(), strict=True):
        marked = states.marked(session, open_ms + session.interval_ms, Decimal(repr(close)))
        session.peak_equity = max(session.peak_equity, marked["equity"])
        points.append(EquityPoint(**marked | {"session": session}))
    EquityPoint.objects.bulk_create(points, ignore_conflicts=True, batch_size=BATCH)
