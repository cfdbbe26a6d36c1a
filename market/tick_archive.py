"""Old ticks: rows of a whole UTC day become one Parquet file, then the rows go. Decimals stay exact.

Files first, rows then: a crash between leaves both, and the next run merges them again. Whoever reads gets
each instant once, wherever it lies.
"""

import hashlib
import logging
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings
from django.db.models import Max, Min

from market import leases
from market.archive.files import sync_folder
from market.models import Tick

logger = logging.getLogger(__name__)

DAY_MS = 86_400_000
LEASE = "ticks:roll-up"
DAYS_AT_ONCE = 20  # files written in one go: the supervisor calls again within a minute
PRICE = pa.decimal128(28, 12)
COLUMNS = ("at_ms", "bid", "ask", "last")
SCHEMA = pa.schema([("at_ms", pa.int64()), *((name, PRICE) for name in COLUMNS[1:])])
Row = tuple[int, Decimal, Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a run has moved: files written, rows that left the database."""

    files: int = 0
    rows: int = 0


def roll_up(now_ms: int, keep_days: int | None = None) -> Rolled:
    """Move ticks of UTC days that ended more than `keep_days` ago into files; one process at a time.

    :raises OSError: when the disk is full; the rows of that day are still there then.
    """
    keep_days = settings.TICKS_KEEP_DAYS if keep_days is None else keep_days
    before_ms = now_ms - now_ms % DAY_MS - keep_days * DAY_MS
    if not Tick.objects.filter(at_ms__lt=before_ms).exists():
        return Rolled()
    lease = leases.acquire(LEASE)
    if lease is None:
        return Rolled()
    files = rows = 0
    try:
        for market, pair, day_ms in _days(before_ms):
            if files >= DAYS_AT_ONCE or not lease.renew():
                break
            rows += _move(market, pair, day_ms)
            files += 1
    finally:
        lease.release()
    logger.info("ticks: %s rows moved into %s files", rows, files)
    return Rolled(files, rows)


def load(market: str, pair: str, from_ms: int, to_ms: int) -> list[Row]:
    """Return (at_ms, bid, ask, last) in [from_ms, to_ms), oldest first, from files and rows, each once."""
    found: dict[int, Row] = {}
    for day_ms in range(from_ms - from_ms % DAY_MS, to_ms, DAY_MS):
        found |= {row[0]: row for row in _read(path_of(market, pair, day_ms))}
    found |= {row[0]: row for row in _rows(market, pair, from_ms, to_ms)}
    return [found[at_ms] for at_ms in sorted(found) if from_ms <= at_ms < to_ms]


def newest(market: str, pair: str, from_ms: int, to_ms: int, count: int) -> list[Row]:
    """Return the last `count` of (at_ms, bid, ask, last) in [from_ms, to_ms), newest first, files and rows.

    Days are read from the last one backwards, and no further than needed.
    """
    rows = Tick.objects.filter(market=market, pair=pair, at_ms__gte=from_ms, at_ms__lt=to_ms)
    found = {row[0]: row for row in rows.order_by("-at_ms").values_list(*COLUMNS)[:count]}
    for day_ms in sorted(_archived(market, pair), reverse=True):
        last_ms = day_ms + DAY_MS - 1
        if day_ms >= to_ms or last_ms < from_ms:
            continue
        if len(found) >= count and sorted(found, reverse=True)[count - 1] > last_ms:
            break
        kept = _read(path_of(market, pair, day_ms), from_ms, to_ms, count)
        found = {row[0]: row for row in kept} | found
    return [found[at_ms] for at_ms in sorted(found, reverse=True)[:count]]


def _archived(market: str, pair: str) -> Iterator[int]:
    """Yield the start of every UTC day of a pair that has a file."""
    for path in path_of(market, pair, 0).parent.glob("????-??-??.parquet"):
        yield int(datetime.fromisoformat(path.stem).replace(tzinfo=UTC).timestamp() * 1000)


def path_of(market: str, pair: str, day_ms: int) -> Path:
    """Return where the ticks of a pair's UTC day belong."""
    day = datetime.fromtimestamp(day_ms / 1000, UTC).date()
    return Path(settings.VAR_DIR) / "archive" / "ticks" / _folder(market) / _folder(pair) / f"{day}.parquet"


def _folder(name: str) -> str:
    """Return a folder's name that people can read and that no two names share."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60]
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _days(before_ms: int) -> Iterator[tuple[str, str, int]]:
    """Yield (market, pair, start of day) of every day that has rows to move."""
    old = Tick.objects.filter(at_ms__lt=before_ms).order_by()
    spans = old.values_list("market", "pair").annotate(first=Min("at_ms"), last=Max("at_ms"))
    for market, pair, first, last in list(spans):
        for day_ms in range(first - first % DAY_MS, last + 1, DAY_MS):
            if _of_day(market, pair, day_ms).exists():
                yield market, pair, day_ms


def _of_day(market: str, pair: str, day_ms: int) -> Any:
    return Tick.objects.filter(market=market, pair=pair, at_ms__gte=day_ms, at_ms__lt=day_ms + DAY_MS)


def _move(market: str, pair: str, day_ms: int) -> int:
    rows = _of_day(market, pair, day_ms)
    newest = rows.aggregate(newest=Max("pk"))["newest"]  # what comes later is moved later
    path = path_of(market, pair, day_ms)
    merged = {row[0]: row for row in _read(path)}
    merged |= {row[0]: row for row in rows.filter(pk__lte=newest).values_list(*COLUMNS)}
    _write(path, [merged[at_ms] for at_ms in sorted(merged)], market, pair)
    return int(rows.filter(pk__lte=newest).delete()[0])


def _rows(market: str, pair: str, from_ms: int, to_ms: int) -> list[Row]:
    rows = Tick.objects.filter(market=market, pair=pair, at_ms__gte=from_ms, at_ms__lt=to_ms)
    return list(rows.values_list(*COLUMNS))


def _read(path: Path, from_ms: int = 0, to_ms: int = 2**62, count: int | None = None) -> list[Row]:
    """Return the rows of a file in [from_ms, to_ms), oldest first; of more than `count` the last ones."""
    if not path.is_file():
        return []
    with pq.ParquetFile(path) as file:
        table = file.read(columns=list(COLUMNS))
    instants = table["at_ms"].to_numpy()  # int64 (n,), rising
    first, end = int(instants.searchsorted(from_ms)), int(instants.searchsorted(to_ms))
    first = first if count is None else max(first, end - count)
    table = table.slice(first, end - first)
    return list(zip(*(table[name].to_pylist() for name in COLUMNS), strict=True))


def _write(path: Path, rows: list[Row], market: str, pair: str) -> None:
    """Write a file that is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=SCHEMA.with_metadata({"market": market, "pair": pair}))
    try:
        with temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
