"""Delimited text: Binance Vision, CryptoDataDownload, Kaggle's Bitstamp, any CSV with the usual columns."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from market.errors import BadInput
from market.sources.files import cryptodatadownload as cdd
from market.sources.files.rows import PRICES, Rows, plain, time_column, to_ms, whole_ms
from market.sources.files.tables import only_symbol

BINANCE = ("open time", "open", "high", "low", "close", "volume", "close time", "quote volume", "count",
           "taker buy volume", "taker buy quote volume", "ignore")  # fmt: skip
HEAD = 16_384  # bytes looked at to find the header
BANNERS = 5  # lines of chatter allowed before it


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the rows start and what their columns are called (in `plain` spelling)."""

    start: int  # bytes before the first row
    lines: int  # lines before the first row
    delimiter: str
    names: list[str]
    has_header: bool


def text(buffer: pa.Buffer) -> Rows:
    """Return the rows of a delimited text file.

    :raises BadInput: when its columns are not those of candles.
    """
    layout = layout_of(buffer.slice(0, min(HEAD, buffer.size)).to_pybytes())
    format = format_of(layout)
    body = buffer.slice(layout.start)
    wanted = {"time": time_column(layout.names), **{name: name for name in PRICES}}
    wanted |= cdd.extra_columns(layout.names) if format == "cryptodatadownload" else _volume(layout.names)
    if "symbol" in layout.names:
        wanted["symbol"] = "symbol"
    broken: list[str] = []
    table, unreadable = _table(body, layout, wanted, broken)
    if table.num_rows == 0:
        raise BadInput("the file holds no rows", field="file")
    notes: list[str] = []
    rows = Rows(
        _times(table["time"], notes),
        *(table[name].to_numpy() for name in (*PRICES, "volume")),
        lines=lambda indexes: _line_numbers(body, layout)[0][indexes],
        format=format,
        notes=notes,
        unreadable=unreadable,
    )
    if broken:
        rows.broken = _line_numbers(body, layout)[1]
    if "symbol" in wanted:
        rows.symbol = only_symbol(table["symbol"].unique().to_pylist())
    return _as_the_format_says(rows, table, layout)


def check_head(head: bytes) -> None:
    """Refuse the first bytes of a file that is no table of candles.

    :raises BadInput: naming what is missing.
    """
    layout = layout_of(head)
    time_column(layout.names)
    if format_of(layout) != "cryptodatadownload":
        _volume(layout.names)


def layout_of(head: bytes) -> Layout:
    """Find header, delimiter and first row in the first bytes of a file.

    :raises BadInput: when this is not a table of candles.
    """
    try:
        lines = head.decode("utf-8").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            raise BadInput(
                "this is not a candle file: neither text nor a format known here", "file"
            ) from error
        lines = head[: error.start].decode("utf-8").splitlines(keepends=True)
    start = 0
    for number, line in enumerate(lines[: BANNERS + 1]):
        delimiter = max(",;\t|", key=line.count)
        names = [plain(cell.removeprefix("\ufeff")) for cell in line.strip().split(delimiter)]
        size = len(line.encode())
        if set(PRICES) <= set(names):
            return Layout(start + size, number + 1, delimiter, names, True)
        if len(names) >= 6 and all(_is_number(cell) for cell in names[:6]):
            known = BINANCE if len(names) == 12 else BINANCE[:6]
            names = [*known, *(f"column {k}" for k in range(len(known), len(names)))]
            return Layout(start, number, delimiter, names, False)
        start += size
    raise BadInput("no candles: no line with the columns open, high, low, close was found at the top", "file")


def format_of(layout: Layout) -> str:
    """Return the name of the format whose columns these are."""
    names = set(layout.names)
    if layout.names == list(BINANCE) or (names >= {"open time", "close time"} and len(names) == 12):
        return "binance-vision"
    if names >= {"symbol", "date"} and names & {"unix", "unix timestamp"}:
        return "cryptodatadownload"
    if names >= {"timestamp", "weighted price"}:
        return "kaggle-bitstamp"
    return "csv"


def _volume(names: list[str]) -> dict[str, str]:
    found = next((n for n in names if n == "volume" or n.startswith("volume (")), None)
    if found is None:
        raise BadInput(f"no candles: column volume is missing (found {', '.join(names)[:200]})", field="file")
    return {"volume": found}


def _table(
    body: pa.Buffer, layout: Layout, wanted: dict[str, str], broken: list[str]
) -> tuple[pa.Table, dict[int, str]]:
    """Read the wanted columns as numbers; only when that fails, as text, cell by cell."""
    numeric = {"time", *PRICES, "volume", "quote volume"}
    kinds = {name: pa.float64() if name in numeric else TEXT for name in wanted}
    try:
        return _read(body, layout, wanted, kinds, broken), {}
    except pa.ArrowInvalid:
        broken.clear()
    kinds = {name: pa.string() if name in numeric else TEXT for name in wanted}
    try:
        table = _read(body, layout, wanted, kinds, broken)
    except pa.ArrowInvalid as error:
        raise BadInput(f"the file cannot be read as a table: {str(error)[:150]}", field="file") from error
    return _converted(table, numeric)


TEXT = pa.dictionary(pa.int32(), pa.string())


def _read(
    body: pa.Buffer, layout: Layout, wanted: dict[str, str], kinds: dict[str, pa.DataType], broken: list[str]
) -> pa.Table:
    def skip(row: pyarrow.csv.InvalidRow) -> str:
        broken.append(row.text)
        return "skip"

    ids = {name: f"c{layout.names.index(column)}" for name, column in wanted.items()}
    if body.size == 0:
        return pa.table({name: pa.array([], kinds[name]) for name in wanted})
    table = pa.csv.read_csv(
        pa.BufferReader(body),
        pa.csv.ReadOptions(column_names=[f"c{k}" for k in range(len(layout.names))], block_size=1 << 22),
        pa.csv.ParseOptions(delimiter=layout.delimiter, invalid_row_handler=skip),
        pa.csv.ConvertOptions(
            column_types={ids[name]: kinds[name] for name in wanted}, include_columns=list(ids.values()),
            strings_can_be_null=True,
        ),
    )  # fmt: skip
    return table.rename_columns(list(wanted))


def _converted(table: pa.Table, numeric: set[str]) -> tuple[pa.Table, dict[int, str]]:
    """Turn text columns into numbers, remembering the words that are none."""
    unreadable: dict[int, str] = {}
    for k, name in enumerate(table.column_names):
        if name not in numeric:
            continue
        texts = table[name].to_pandas()
        numbers = pd.to_numeric(texts, errors="coerce")
        wrong = np.flatnonzero((numbers.isna() & texts.notna()).to_numpy())
        if name == "time" and len(wrong) > 0.5 * len(texts):
            moments = pd.to_datetime(texts, errors="coerce", utc=True, format="ISO8601")
            wrong = np.flatnonzero((moments.isna() & texts.notna()).to_numpy())
            column = pa.array(moments.dt.as_unit("ms"))
        else:
            column = pa.array(numbers.astype(np.float64), from_pandas=False)
        for row in wrong:
            unreadable.setdefault(int(row), f"{name} {str(texts.iloc[row])[:40]!r} is not a {_kind(name)}")
        table = table.set_column(k, name, column)
    return table, unreadable


def _kind(name: str) -> str:
    return "time" if name == "time" else "number"


def _times(column: pa.ChunkedArray, notes: list[str]) -> np.ndarray:
    if pa.types.is_timestamp(column.type):
        return whole_ms(column.cast(pa.timestamp("ms")).cast(pa.int64()).to_numpy().astype(np.float64))
    return to_ms(column.to_numpy(), notes)


def _as_the_format_says(rows: Rows, table: pa.Table, layout: Layout) -> Rows:
    if rows.format == "cryptodatadownload":
        return cdd.repaired(rows, table)
    if rows.format == "binance-vision":
        rows.source = "binance-um" if layout.has_header else "binance"
        if layout.has_header:
            rows.notes.append("has a header, as Binance's futures files do: stored as binance-um")
    return rows


def _line_numbers(body: pa.Buffer, layout: Layout) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Return the line number of every row, and the lines whose number of cells is wrong."""
    data = np.frombuffer(body, dtype=np.uint8)
    ends = np.flatnonzero(data == 10)
    if len(ends) == 0 or ends[-1] != len(data) - 1:
        ends = np.append(ends, len(data))
    starts = np.append(0, ends[:-1] + 1)
    # A line of nothing but its end is skipped by the reader; Windows ends add one byte.
    lengths = ends - starts - (data[np.maximum(ends - 1, 0)] == 13)
    cells = np.diff(np.searchsorted(np.flatnonzero(data == ord(layout.delimiter)), np.append(0, ends))) + 1
    numbers = np.arange(len(ends)) + layout.lines + 1
    filled = lengths > 0
    wrong = filled & (cells != len(layout.names))
    reasons = [
        (int(numbers[k]), f"{cells[k]} cells instead of {len(layout.names)}") for k in np.flatnonzero(wrong)
    ]
    return numbers[filled & ~wrong], reasons


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
