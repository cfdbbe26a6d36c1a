"""CryptoDataDownload's warts: swapped volumes, dates that contradict the clock, rows from several exports."""

import numpy as np
import pandas as pd
import pyarrow as pa

from market.sources.files.names import split_symbol
from market.sources.files.rows import NO_TIME, Rows

HOUR_MS = 3_600_000


def extra_columns(names: list[str]) -> dict[str, str]:
    """Return which columns hold base volume, quote volume and the date's text."""
    volumes = [name for name in names if name.startswith("volume")]
    chosen = {"volume": volumes[0], "date": "date"} if volumes else {"volume": "volume", "date": "date"}
    return chosen | ({"quote volume": volumes[1]} if len(volumes) > 1 else {})


def repaired(rows: Rows, table: pa.Table) -> Rows:
    """Return the rows with volumes in the right columns; what was done is in the notes."""
    rows.symbol = split_symbol(rows.symbol) if rows.symbol else None
    if "quote volume" in table.column_names:
        _unswap(rows, table["quote volume"].to_numpy())
    _compare_dates(rows, table["date"])
    return rows


def _unswap(rows: Rows, quote: np.ndarray) -> None:
    """Quote volume over base volume is the price; where their inverse is, the columns are swapped.

    Near a price of 1 both fit and nothing is touched, nor does it matter much.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        price = np.log(rows.close)
        ratio = np.log(quote) - np.log(rows.volume)
        swapped = (np.abs(-ratio - price) < 0.5 * np.abs(ratio - price)) & (np.abs(price) > 0.7)
    swapped &= np.isfinite(ratio)
    if swapped.any():
        rows.volume = np.where(swapped, quote, rows.volume)
        rows.notes.append(f"volume columns are swapped in {int(swapped.sum())} rows and were put right")


def _compare_dates(rows: Rows, column: pa.ChunkedArray) -> None:
    """The date is only a second opinion: the clock column is unambiguous, the text had a wrong zone."""
    texts = column.to_pandas().astype(str)
    moments = pd.to_datetime(texts, format="%Y-%m-%d %H:%M:%S", errors="coerce")
    old = moments.isna()
    if old.any():
        moments[old] = pd.to_datetime(texts[old], format="%Y-%m-%d %I-%p", errors="coerce")
    known = (moments.notna().to_numpy()) & (rows.time_ms != NO_TIME)
    text_ms = moments.to_numpy().astype("M8[ms]").astype(np.int64)
    off = np.where(known, text_ms - np.where(known, rows.time_ms, 0), 0)
    if (off != 0).any():
        hours = sorted({f"{value / HOUR_MS:+g} h" for value in np.unique(off[off != 0])[:5]})
        rows.notes.append(
            f"the date's text is off by {', '.join(hours)} in {int((off != 0).sum())} rows; "
            "the Unix time was used"
        )
