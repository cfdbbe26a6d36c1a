"""JSON candles: freqtrade's `[[ms, o, h, l, c, v], ...]` and saved answers of Binance's klines call."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from market.errors import BadInput
from market.sources.files.rows import Rows, row_numbers, to_ms


def json(buffer: pa.Buffer) -> Rows:
    """Return the rows of a JSON list of lists.

    :raises BadInput: when it is not one.
    """
    try:
        values = orjson.loads(memoryview(buffer))
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the JSON is damaged at line {error.lineno}: {error.msg}", field="file") from error
    if not isinstance(values, list) or not values or not isinstance(values[0], list) or len(values[0]) < 6:
        raise BadInput(
            "the JSON holds no candles: a list of [ms, open, high, low, close, volume] is needed", "file"
        )
    format = "binance-klines-json" if len(values[0]) == 12 else "freqtrade-json"
    unreadable: dict[int, str] = {}
    try:
        table = np.array([row[:6] for row in values], dtype=np.float64)
    except (TypeError, ValueError):
        table = np.array([_numbers(row, i, unreadable) for i, row in enumerate(values)], dtype=np.float64)
    notes: list[str] = []
    time_ms = to_ms(table[:, 0], notes)
    columns = [np.ascontiguousarray(table[:, k]) for k in range(1, 6)]
    return Rows(time_ms, *columns, lines=row_numbers, format=format, notes=notes, unreadable=unreadable)


def _numbers(row: Any, index: int, unreadable: dict[int, str]) -> list[float]:
    if not isinstance(row, list) or len(row) < 6:
        unreadable[index] = "not a row of six numbers"
        return [np.nan] * 6
    try:
        return [float(value) if value is not None else np.nan for value in row[:6]]
    except (TypeError, ValueError):
        unreadable[index] = f"not numbers: {str(row[:6])[:80]}"
        return [np.nan] * 6
