"""Is a row a candle? Every rule at once over all rows; words only for the rows that break one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from market.candles import MS, Candles, interval_name
from market.errors import BadInput
from market.sources.files.rows import NO_TIME, PRICES, Rows

KEPT_REJECTS = 1000
SPIKE = 1.5


@dataclass(frozen=True, slots=True)
class Checked:
    """The rows that are candles, sorted and without repetition, and what became of the others."""

    candles: Candles
    duplicates: int
    rejected: int
    rejects: list[tuple[int, str]]  # (line, reason), the first 1000
    notes: list[str]


def interval_of(rows: Rows, asked: str | None) -> int:
    """Return the interval in ms: the most common time step, checked against what was asked for.

    :raises BadInput: when it cannot be told, or the file holds another one.
    """
    if asked is not None and asked not in MS:
        raise BadInput(f"{asked!r} is not an interval; use one of {', '.join(MS)}", field="interval")
    apart = np.diff(np.sort(rows.time_ms[rows.time_ms != NO_TIME]))
    apart = apart[apart > 0]
    if len(apart) == 0:
        if asked is None:
            raise BadInput("one bar does not tell its interval; name it, for example 1m", field="interval")
        return MS[asked]
    steps, counts = np.unique(apart, return_counts=True)
    found = int(steps[counts.argmax()])
    if asked is None:
        if found not in MS.values():
            raise BadInput(
                f"the bars are mostly {found} ms apart, which is no known interval; name one",
                field="interval",
            )
        return found
    coarser = found > MS[asked] and counts[steps % found == 0].sum() >= 0.99 * counts.sum()
    if found < MS[asked] or (coarser and found in MS.values()):
        raise BadInput(f"the file holds {interval_name(found)} bars, not {asked}", field="interval")
    return MS[asked]


def check(rows: Rows, interval_ms: int) -> Checked:
    """Split rows into candles and rejects."""
    rules = _rules(rows, interval_ms)
    broken = np.zeros(len(rows.time_ms), dtype=np.int8)
    for number, (mask, _) in enumerate(rules, start=1):
        broken[mask & (broken == 0)] = number
    bad = np.flatnonzero(broken)
    lines = rows.lines(bad) if len(bad) else bad
    first = np.argsort(lines, kind="stable")[:KEPT_REJECTS]
    rejects = [
        (int(lines[k]), rows.unreadable.get(int(bad[k])) or rules[broken[bad[k]] - 1][1](int(bad[k])))
        for k in first
    ]
    rejects = sorted([*rejects, *rows.broken])[:KEPT_REJECTS]
    notes = _notes_on_empty(rules, broken)
    candles, duplicates = _sorted_once(rows, np.flatnonzero(broken == 0), interval_ms, notes)
    notes += _notes_on_spikes(candles)
    return Checked(candles, duplicates, len(bad) + len(rows.broken), rejects, notes)


def _rules(rows: Rows, interval_ms: int) -> list[tuple[np.ndarray, Callable[[int], str]]]:
    prices = [getattr(rows, name) for name in PRICES]
    finite = [np.isfinite(values) for values in (*prices, rows.volume)]
    labelled = list(zip((*PRICES, "volume"), (*prices, rows.volume), finite, strict=True))
    top, bottom = np.maximum(rows.open, rows.close), np.minimum(rows.open, rows.close)

    def not_a_number(i: int) -> str:
        name, values, _ = next(column for column in labelled if not column[2][i])
        return f"{name} is {'missing' if np.isnan(values[i]) else 'infinite'}"

    def not_positive(i: int) -> str:
        name = next(n for n, v in zip(PRICES, prices, strict=True) if v[i] <= 0)
        return f"{name} is {getattr(rows, name)[i]:g}; prices must be above zero"

    def unaligned(i: int) -> str:
        when = np.datetime64(int(rows.time_ms[i]), "ms").item()
        return f"time {when:%Y-%m-%d %H:%M:%S.%f} does not start a {interval_name(interval_ms)} bar"

    return [
        (rows.time_ms == NO_TIME, lambda i: "the time is missing or not a time"),
        (np.logical_and.reduce([np.isnan(v) for v in (*prices, rows.volume)]), lambda i: EMPTY),
        (~np.logical_and.reduce(finite), not_a_number),
        (np.minimum.reduce(prices) <= 0, not_positive),
        (rows.high < rows.low, lambda i: f"high {rows.high[i]:g} is below low {rows.low[i]:g}"),
        (rows.high < top, lambda i: f"high {rows.high[i]:g} is below open or close {top[i]:g}"),
        (rows.low > bottom, lambda i: f"low {rows.low[i]:g} is above open or close {bottom[i]:g}"),
        (rows.volume < 0, lambda i: f"volume {rows.volume[i]:g} is negative"),
        (rows.time_ms % interval_ms != 0, unaligned),
    ]


EMPTY = "no values: a bar without trades"


def _notes_on_empty(rules: list[tuple[np.ndarray, Callable[[int], str]]], broken: np.ndarray) -> list[str]:
    empty = int((broken == 2).sum())
    return [f"{empty} bars without any value were left out; they show as gaps"] if empty else []


def _sorted_once(rows: Rows, good: np.ndarray, interval_ms: int, notes: list[str]) -> tuple[Candles, int]:
    """Sort by time; of rows that come twice keep the later export's: it stands at the newer bars' end."""
    times = rows.time_ms[good]
    newest_first = len(times) > 1 and times[0] > times[-1]
    if newest_first:
        notes.append("rows came newest first and were put in order")
    elif (np.diff(times) < 0).any():
        notes.append("rows came out of order and were sorted")
    if not (np.diff(times) > 0).all():
        good = good[::-1] if newest_first else good  # now the preferred of two equal times stands last
        good = good[np.argsort(rows.time_ms[good], kind="stable")]
    times = rows.time_ms[good]
    last = np.append(times[1:] != times[:-1], True)[: len(times)]
    duplicates = len(times) - int(last.sum())
    if duplicates:
        notes.append(_note_on_duplicates(rows, good, last, "top" if newest_first else "bottom"))
    kept = good[last]
    arrays = [
        np.ascontiguousarray(getattr(rows, name)[kept], dtype=np.float64) for name in (*PRICES, "volume")
    ]
    arrays[-1] = arrays[-1] + 0.0  # no negative zero: equal bars must have equal fingerprints
    return Candles(interval_ms, rows.time_ms[kept], *arrays), duplicates


def _note_on_duplicates(rows: Rows, order: np.ndarray, last: np.ndarray, end: str) -> str:
    dropped = np.flatnonzero(~last)
    twins = order[dropped], order[dropped + 1]
    apart = np.max(
        [np.abs(getattr(rows, n)[twins[0]] / getattr(rows, n)[twins[1]] - 1) for n in PRICES], axis=0
    )
    return (
        f"{len(dropped)} rows repeat a time that another row has; the one nearer the {end} of the file "
        f"was kept ({int((apart > 0).sum())} differ in price, by {apart.max() * 100:.2g} % at most)"
    )


def _notes_on_spikes(candles: Candles) -> list[str]:
    """Name bars that reach 1.5 times beyond both neighbours and their own close. They are kept: consistent
    rows are the venue's word, and a crash looks just like an error."""
    if len(candles) < 3:
        return []
    high, low, close = candles.high, candles.low, candles.close
    beyond = np.concatenate([[0], high[:-1]]), np.concatenate([high[1:], [0]])
    below = np.concatenate([[np.inf], low[:-1]]), np.concatenate([low[1:], [np.inf]])
    up = high > SPIKE * np.maximum.reduce([close, *beyond])
    down = low * SPIKE < np.minimum.reduce([close, *below])
    found = np.flatnonzero(up | down)
    if len(found) == 0:
        return []
    i = int(found[0])
    when = np.datetime64(int(candles.open_ms[i]), "ms").item()
    return [
        f"{len(found)} bar{'s reach' if len(found) > 1 else ' reaches'} far beyond the bars around and "
        f"{'were' if len(found) > 1 else 'was'} kept as the file says; look at {when:%Y-%m-%d %H:%M} "
        f"(low {low[i]:g}, high {high[i]:g}, close {close[i]:g})"
    ]
