"""From a path to checked candles: recognise, parse, check, name."""

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from market.candles import Candles, interval_name
from market.errors import BadInput
from market.sources.files import arrays, tables, text
from market.sources.files.checks import check, interval_of
from market.sources.files.names import agreed_pair, pair_in_name, source_in_name, split_symbol
from market.sources.files.rows import NO_TIME, Rows

FORMATS = ("auto", "binance-vision", "cryptodatadownload", "kaggle-bitstamp", "freqtrade-json",
           "binance-klines-json", "freqtrade-feather", "parquet", "csv")  # fmt: skip
LARGEST = 2_000_000_000  # bytes after unpacking


@dataclass(frozen=True, slots=True)
class Parsed:
    """Everything a file held. `rows_read` = candles + duplicates + rejected."""

    candles: Candles
    pair: str
    source: str
    format: str
    rows_read: int
    duplicates: int
    rejected: int
    rejects: list[tuple[int, str]]  # (line number, or row number in binary files; reason), the first 1000
    notes: list[str]


class Unusable(BadInput):
    """Too many rows are no candles; carries the reasons so that a report can show them."""

    def __init__(self, message: str, rows_read: int, rejected: int, rejects: list[tuple[int, str]]) -> None:
        super().__init__(message, field="file")
        self.rows_read, self.rejected, self.rejects = rows_read, rejected, rejects


def read(
    path: Path, *, format: str = "auto", pair: str | None = None, interval: str | None = None, name: str = ""
) -> Parsed:
    """Return the candles of a file in any known format, plain or inside .zip or .gz.

    :param pair: needed when the file does not say it; refused when the file says another.
    :param interval: needed only when the file holds a single bar.
    :param name: the file's name where `path` is a stand-in, as for an upload.
    :raises BadInput: in one sentence, when the file cannot be used.
    """
    if format not in FORMATS:
        raise BadInput(f"{format!r} is not a format; use one of {', '.join(FORMATS)}", field="format")
    buffer, inner = contents(path, name)
    rows = _parser(buffer)(buffer)
    if format not in ("auto", rows.format):
        raise BadInput(f"this is not a {format} file; it looks like {rows.format}", field="format")
    names = [inner, name or path.name]
    symbol = split_symbol(rows.symbol) if rows.symbol else None
    found = symbol or next((p for p in map(pair_in_name, names) if p), None)
    agreed, note = agreed_pair(pair, found)
    checked = check(rows, _interval(rows, interval))
    total = len(rows.time_ms) + len(rows.broken)
    _refuse_mostly_bad(checked.rejected, total, checked.rejects, len(checked.candles))
    notes = [
        _recognised(rows, agreed, checked.candles),
        *rows.notes,
        *checked.notes,
        *([note] if note else []),
    ]
    return Parsed(
        checked.candles, agreed, _source(rows, names, path), rows.format, total, checked.duplicates,
        checked.rejected, checked.rejects, notes,
    )  # fmt: skip


def glance(path: Path, name: str) -> None:
    """Refuse what its first bytes, or a Parquet file's footer, show to be no candle file; reads no rows.

    What lies deeper (a row cut off, prices that are none) only `read` finds.

    :param name: what people call the file.
    :raises BadInput: in one sentence.
    """
    with _opened(path, name) as (packed, _inner):
        head = packed.read(text.HEAD)
    start = head.lstrip()[:1]
    if head[:4] == b"PAR1":
        if not _is_packed(path):
            tables.check_parquet(path)
    elif head[:6] != b"ARROW1" and head[:4] != b"FEA1" and start not in (b"[", b"{"):
        text.check_head(head)


def contents(path: Path, name: str = "") -> tuple[pa.Buffer, str]:
    """Return the bytes of a file, unpacked, and the name of the file inside an archive.

    :raises BadInput: when it is absent, empty, unreadable, or an archive of several files.
    """
    with _opened(path, name or path.name) as (packed, inner):
        if not inner:
            return pa.memory_map(str(path)).read_buffer(), ""
        return _limited(packed.read(LARGEST + 1)), inner


@contextmanager
def _opened(path: Path, name: str) -> Iterator[tuple[IO[bytes] | gzip.GzipFile, str]]:
    """Give the file's bytes, unpacked, and its name inside the archive, "" where there is none.

    :raises BadInput: as `contents`, whenever the damage shows.
    """
    try:
        if not path.is_file():
            raise BadInput(f"there is no file {path}", field="file")
        if path.stat().st_size == 0:
            raise BadInput(f"{name} is empty", field="file")
        magic = _magic(path)
        if magic[:2] == b"\x1f\x8b":
            with gzip.open(path) as packed:
                yield packed, path.stem
        elif magic == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                member = _only_member(archive, name)
                with archive.open(member) as packed:
                    yield packed, Path(member.filename).name
        else:
            with path.open("rb") as plain:
                yield plain, ""
    except PermissionError as error:
        raise BadInput(f"{name} may not be read", field="file") from error
    except (EOFError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{name} is a damaged archive", field="file") from error


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _is_packed(path: Path) -> bool:
    return _magic(path) != b"PAR1"


def _only_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    members = [m for m in archive.infolist() if not m.is_dir()]
    if len(members) != 1:
        raise BadInput(f"{name} holds {len(members)} files; unpack it and import each", field="file")
    return members[0]


def _limited(data: bytes) -> pa.Buffer:
    if len(data) > LARGEST:
        raise BadInput("the file is larger than 2 GB unpacked; split it", field="file")
    if not data:
        raise BadInput("the archive holds an empty file", field="file")
    return pa.py_buffer(data)


def _parser(buffer: pa.Buffer) -> Callable[[pa.Buffer], Rows]:
    start = buffer.slice(0, min(64, buffer.size)).to_pybytes()
    if start[:4] == b"PAR1":
        return tables.parquet
    if start[:6] == b"ARROW1" or start[:4] == b"FEA1":
        return tables.feather
    return arrays.json if start.lstrip()[:1] in (b"[", b"{") else text.text


def _interval(rows: Rows, asked: str | None) -> int:
    if len(rows.time_ms) and (rows.time_ms == NO_TIME).all():
        raise BadInput("the time column holds no usable times", field="file")
    return interval_of(rows, asked)


def _refuse_mostly_bad(rejected: int, total: int, rejects: list[tuple[int, str]], good: int) -> None:
    """A file whose rows are mostly wrong was misread or is not candles; bars without trades do not count."""
    if good and rejected <= total / 2:
        return
    line, reason = next(((n, r) for n, r in rejects if not r.startswith("no values")), rejects[0])
    if good and reason.startswith("no values"):
        return
    raise Unusable(
        f"{rejected} of {total} rows are no candles, first at line {line}: {reason}", total, rejected, rejects
    )


def _recognised(rows: Rows, pair: str, candles: Candles) -> str:
    return f"recognised as {rows.format}: {pair}, {interval_name(candles.interval_ms)} bars"


def _source(rows: Rows, names: list[str], path: Path) -> str:
    """Return a short name for where the candles come from: the venue, or the file's own name."""
    named = next((s for s in map(source_in_name, names) if s), None)
    if rows.format == "cryptodatadownload":
        return f"cryptodatadownload-{named}" if named else "cryptodatadownload"
    if rows.format.startswith("freqtrade"):
        venue = named or source_in_name(path.parent.name) or "freqtrade"
        futures = any("futures" in name for name in names) and not venue.endswith("-um")
        return f"{venue}-um" if futures else venue
    return rows.source or named or Path(names[1]).stem[:60]
