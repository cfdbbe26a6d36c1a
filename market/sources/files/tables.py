"""Columnar files: Parquet, and the feather files of freqtrade."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.parquet

from market.errors import BadInput
from market.sources.files.rows import PRICES, Rows, plain, row_numbers, time_column, to_ms, whole_ms


def parquet(buffer: pa.Buffer) -> Rows:
    """Return the rows of a Parquet file with a time column, open, high, low, close and volume.

    :raises BadInput: when it cannot be read or a column is missing.
    """
    try:
        with pa.parquet.ParquetFile(pa.BufferReader(buffer)) as file:
            names = file.schema_arrow.names
            return _rows(file.read(columns=_wanted(names)), "parquet")
    except (pa.ArrowException, OSError) as error:
        raise BadInput("the Parquet file is damaged and cannot be read", field="file") from error


def check_parquet(path: Path) -> None:
    """Refuse a Parquet file whose footer is damaged or lacks a candle's columns; reads no rows.

    :raises BadInput: as `parquet`.
    """
    try:
        names = pa.parquet.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise BadInput("the Parquet file is damaged and cannot be read", field="file") from error
    _wanted(names)


def feather(buffer: pa.Buffer) -> Rows:
    """Return the rows of a feather file, as `parquet` does."""
    try:
        table = pa.feather.read_table(pa.BufferReader(buffer))
        return _rows(table.select(_wanted(table.column_names)), "freqtrade-feather")
    except (pa.ArrowException, OSError) as error:
        raise BadInput("the feather file is damaged and cannot be read", field="file") from error


def _wanted(names: list[str]) -> list[str]:
    """Return the columns to read, by the file's own names."""
    known = {plain(name): name for name in names}
    lacking = [name for name in (*PRICES, "volume") if name not in known]
    if lacking:
        raise BadInput(
            f"no candles: column {lacking[0]} is missing (found {', '.join(known)[:200]})", field="file"
        )
    chosen = [known[time_column(list(known))], *(known[name] for name in (*PRICES, "volume"))]
    return chosen + ([known["symbol"]] if "symbol" in known else [])


def _rows(table: pa.Table, format: str) -> Rows:
    notes: list[str] = []
    time, *values = table.columns[:6]
    rows = Rows(
        _times(time, notes),
        *(_floats(column) for column in values),
        lines=row_numbers,
        format=format,
        notes=notes,
    )
    if table.num_columns > 6:
        rows.symbol = only_symbol(pc.unique(table.columns[6]).to_pylist())
    return rows


def _times(column: pa.ChunkedArray, notes: list[str]) -> np.ndarray:
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        moments = column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
        return whole_ms(moments.to_numpy().astype(np.float64))
    return to_ms(column.to_numpy() if pa.types.is_integer(column.type) else _floats(column), notes)


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy()


def only_symbol(symbols: list[str | None]) -> str | None:
    """Return the one symbol of a file.

    :raises BadInput: when there are several.
    """
    present = [symbol for symbol in symbols if symbol]
    if len(present) > 1:
        raise BadInput(
            f"the file holds several pairs ({', '.join(present[:5])}); split it, one file per pair",
            field="file",
        )
    return present[0] if present else None
