"""Rows as a file holds them, before anything is believed."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from market.errors import BadInput

TIMES = ("unix", "unix timestamp", "open time", "timestamp", "time", "datetime", "date", "index level 0")
PRICES = ("open", "high", "low", "close")
NO_TIME = np.iinfo(np.int64).min
EARLIEST_MS, LATEST_MS = 100_000_000_000, 4_102_444_800_000  # 1973 to 2100: outside, it is no time of a bar
UNITS = ((1e11, 1000.0, "seconds"), (1e14, 1.0, "milliseconds"), (1e17, 1e-3, "microseconds"),
         (np.inf, 1e-6, "nanoseconds"))  # fmt: skip


@dataclass(slots=True)
class Rows:
    """Columns of shape (n,) in the file's order; where unreadable `time_ms` is `NO_TIME` and values NaN."""

    time_ms: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    _: KW_ONLY
    # row indexes -> line numbers from 1; in files without lines: row numbers
    lines: Callable[[np.ndarray], np.ndarray]
    format: str
    symbol: str | None = None
    source: str | None = None
    notes: list[str] = field(default_factory=list)
    unreadable: dict[int, str] = field(default_factory=dict)  # row index -> why a value is NaN
    broken: list[tuple[int, str]] = field(default_factory=list)  # lines that are no rows at all


def row_numbers(indexes: np.ndarray) -> np.ndarray:
    """Count rows from 1, for files without lines."""
    return indexes + 1


def plain(name: object) -> str:
    """Return a column name in lower case with single spaces."""
    return " ".join(str(name).strip().strip('"').lower().replace("_", " ").split())


def time_column(names: list[str]) -> str:
    """Return the column that holds the start of each bar.

    :raises BadInput: when there is none.
    """
    for name in TIMES:
        if name in names:
            return name
    raise BadInput(f"no column holds the time: found {', '.join(names)[:200]}", field="file")


def to_ms(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Return epoch milliseconds from numbers in seconds, ms, µs or ns, decided row by row.

    Venues changed units within one file (CryptoDataDownload) or from one month to the next (Binance).
    """
    if values.dtype.kind == "i":
        values = values.astype(np.float64)  # exact to 2**53; nanoseconds lose what is below a millisecond
    result = np.full(len(values), np.nan)
    low, seen = 0.0, []
    for high, factor, unit in UNITS:
        rows = (values >= low) & (values < high)
        if rows.any():
            result[rows] = np.round(values[rows] * factor)
            seen.append(f"{unit} in {int(rows.sum())} rows")
        low = high
    if len(seen) > 1:
        notes.append(f"times come in mixed units: {', '.join(seen)}")
    elif seen and not seen[0].startswith("milliseconds"):
        notes.append(f"times are in {seen[0].split()[0]}")
    return whole_ms(result)


def whole_ms(values: np.ndarray) -> np.ndarray:
    """Return int64 milliseconds, `NO_TIME` where `values` is NaN or no plausible time of a bar."""
    good = (values >= EARLIEST_MS) & (values < LATEST_MS)
    return np.where(good, np.where(good, values, 0).astype(np.int64), NO_TIME)
