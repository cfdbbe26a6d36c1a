"""Series, partitions and gaps as rows; their bars as files. Files first, rows then, old files last.

A crash between two steps leaves files that no row names (`remove_orphans`), never a row without its file.
Two writers of one series are told apart by the series' fingerprint: the later one starts over.
"""

import secrets
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from market.archive import files, identity
from market.archive.combine import combine
from market.archive.gaps import gaps
from market.archive.rows import store_gaps, store_partitions
from market.candles import COLUMNS, Candles
from market.errors import BadInput, Conflict
from market.models import Partition, Series

ATTEMPTS = 8
ORPHAN_AGE_S = 3600.0


class Stale(Exception):
    """Another writer changed the series meanwhile."""


@dataclass(frozen=True, slots=True)
class MergeResult:
    """How many of the merged bars were new, already there with equal values, or replaced others."""

    new: int
    duplicate: int
    replaced: int = 0


@dataclass(slots=True)
class _Plan:
    """The months a merge changes: files to write, and counts."""

    changed: dict[date, tuple[Candles, str, str]] = field(default_factory=dict)  # bars, fingerprint, path
    new: int = 0
    duplicate: int = 0
    replaced: int = 0


def root() -> Path:
    """Return the folder that holds every candle file."""
    return Path(settings.VAR_DIR) / "archive"


def load(series: Series, from_ms: int | None = None, to_ms: int | None = None) -> Candles:
    """Return the bars of `series` that start in [from_ms, to_ms), oldest first.

    :raises Conflict: when a candle file is missing from the disk or damaged.
    """
    for attempt in range(ATTEMPTS):
        partitions = list(series.partitions.all())
        wanted = [p for p in partitions if _touches(p.month, from_ms, to_ms)]
        try:
            parts = _read([root() / p.path for p in wanted])
        except FileNotFoundError as error:  # a writer replaced the file after we had read its row
            if attempt == ATTEMPTS - 1:
                raise Conflict(
                    f"a candle file of {series} is missing from the disk or damaged; import its candles again"
                ) from error
            continue
        arrays = [np.concatenate(columns) for columns in zip(*parts, strict=True)] if parts else _nothing()
        return Candles(series.interval_ms, *arrays).between(from_ms, to_ms)
    raise AssertionError("unreachable")


def merge(series: Series, candles: Candles, *, replace: bool = False) -> MergeResult:
    """Add bars to a series; all of them, or none. A month whose file is lost becomes what is added to it.

    :param candles: strictly increasing, aligned bars of the series' interval.
    :param replace: let bars that differ from archived ones win; without it they are refused.
    :raises Overlap: as `combine` says.
    :raises OSError: when the disk is full; nothing has changed then.
    """
    if candles.interval_ms != series.interval_ms:
        raise BadInput(f"these bars do not have the interval of {series}", field="interval")
    for attempt in range(ATTEMPTS):
        try:
            series.refresh_from_db()
        except Series.DoesNotExist as error:
            raise Conflict(f"{series} was deleted meanwhile; try again") from error
        known = {p.month: p for p in series.partitions.all()}
        plan, written = _Plan(), []
        try:
            _plan(plan, series, known, candles, replace, may_be_lost=attempt == ATTEMPTS - 1)
            written = [root() / path for _, _, path in plan.changed.values()]
            _write(plan)
            _commit(series, known, plan)
        except (Stale, FileNotFoundError):
            _remove(written)
            continue
        except BaseException:
            _remove(written)
            raise
        return MergeResult(plan.new, plan.duplicate, plan.replaced)
    raise Conflict(
        f"{series} is being changed by somebody else, or a candle file of another month is missing or "
        "damaged: try again, or delete the series and import all of it"
    )


def remove_orphans(series: Series, *, age_s: float = ORPHAN_AGE_S) -> int:
    """Delete candle files that no row names and that are too old to belong to an import at work."""
    folder = root() / str(series.pk)
    named = set(series.partitions.values_list("path", flat=True))
    orphans = [p for p in folder.glob("*") if f"{series.pk}/{p.name}" not in named]
    old = [p for p in orphans if time.time() - p.stat().st_mtime > age_s]
    _remove(old)
    return len(old)


def _plan(
    plan: _Plan,
    series: Series,
    known: dict[date, Partition],
    candles: Candles,
    replace: bool,
    *,
    may_be_lost: bool,
) -> None:
    """:param may_be_lost: a file that is not there was not replaced by another writer: do without it."""
    for month, bars in identity.months_of(candles):
        try:
            old = _bars(series, known.get(month))
        except FileNotFoundError:
            if not may_be_lost:
                raise
            old = _bars(series, None)
        combined = combine(old, bars, replace=replace)
        plan.new += combined.new
        plan.duplicate += combined.duplicate
        plan.replaced += combined.replaced
        if combined.new or combined.replaced:
            mark = identity.month_fingerprint(combined.candles)
            path = f"{series.pk}/{month:%Y-%m}-{mark[:12]}-{secrets.token_hex(4)}.parquet"
            plan.changed[month] = (combined.candles, mark, path)


def _bars(series: Series, partition: Partition | None) -> Candles:
    arrays = files.columns(root() / partition.path) if partition else _nothing()
    return Candles(series.interval_ms, *arrays)


def _write(plan: _Plan) -> None:
    jobs = [(root() / path, bars) for bars, _, path in plan.changed.values()]
    with ThreadPoolExecutor(4) as pool:  # fsync waits for the disk, not for the processor
        list(pool.map(lambda job: files.write(*job), jobs))
    for folder in {path.parent for path, _ in jobs}:
        files.sync_folder(folder)


def _commit(series: Series, known: dict[date, Partition], plan: _Plan) -> None:
    if not plan.changed:
        return
    marks = {month: p.fingerprint for month, p in known.items()}
    marks |= {month: mark for month, (_, mark, _) in plan.changed.items()}
    paths = {month: p.path for month, p in known.items()}
    paths |= {month: path for month, (_, _, path) in plan.changed.items()}
    times = np.concatenate([_times(plan, root() / paths[month], month) for month in sorted(paths)])
    holes = gaps(times, series.interval_ms)
    facts = {
        "rows": len(times),
        "first_ms": int(times[0]),
        "last_ms": int(times[-1]),
        "fingerprint": identity.join(marks[month] for month in sorted(marks)),
        "updated_at": timezone.now(),
    }
    with transaction.atomic():
        if not Series.objects.filter(pk=series.pk, fingerprint=series.fingerprint).update(**facts):
            raise Stale
        store_partitions(
            Partition(series=series, month=month, path=path, rows=len(bars), fingerprint=mark)
            for month, (bars, mark, path) in plan.changed.items()
        )
        store_gaps(series, holes)
        replaced = [root() / known[month].path for month in plan.changed if month in known]
        transaction.on_commit(partial(_remove, replaced))
    for name, value in facts.items():
        setattr(series, name, value)


def _times(plan: _Plan, path: Path, month: date) -> np.ndarray:
    return plan.changed[month][0].open_ms if month in plan.changed else files.columns(path, ("open_time",))[0]


def _touches(month: date, from_ms: int | None, to_ms: int | None) -> bool:
    following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return (to_ms is None or _midnight(month) < to_ms) and (from_ms is None or _midnight(following) > from_ms)


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def _read(paths: list[Path]) -> list[list[np.ndarray]]:
    if len(paths) < 3:
        return [files.columns(path) for path in paths]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(files.columns, paths))


def _nothing() -> list[np.ndarray]:
    return [np.empty(0, dtype=np.int64 if name == "open_ms" else np.float64) for name in COLUMNS]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
