"""How fast candles come in and out: import from Parquet and CSV, load to arrays."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from django.conf import settings
from django.test.utils import override_settings

from market import archive, services
from market.candles import COLUMNS, Candles
from market.models import ImportReport, Series
from market.synthetic import regime_market

MILLION = 1_000_000


def run(bars: int | str = MILLION, repeat: int | str = 3, **options: Any) -> dict[str, Any]:
    """Return medians; an import is parsing, checks, files with fsync and rows, as a user meets it.

    :param bars: rows of each imported file; `load_1m_ms` always loads a million.
    """
    bars, repeat = int(bars), int(repeat)
    candles = regime_market(max(bars, MILLION), 1)
    with tempfile.TemporaryDirectory(dir=settings.VAR_DIR) as folder, override_settings(VAR_DIR=Path(folder)):
        parquet, text = _files(Path(folder), candles[:bars])
        parquet_s = [_import_s(parquet) for _ in range(repeat)]
        text_s = [_import_s(text) for _ in range(repeat)]
        load_ms = _load_ms(candles[:MILLION], repeat * 5)
    return {
        "parquet_rows_per_s": bars / statistics.median(parquet_s),
        "csv_rows_per_s": bars / statistics.median(text_s),
        "load_1m_ms": load_ms,
        "bars": bars,
    }


def _files(folder: Path, candles: Candles) -> tuple[Path, Path]:
    """Write the bars as the shared Parquet files are, and as Binance publishes them."""
    arrays = [getattr(candles, name) for name in COLUMNS]
    table = pa.table(arrays, names=["open_time", *COLUMNS[1:]])
    parquet, text = folder / "SIMUSD-1m.parquet", folder / "SIMUSD-1m.csv"
    pq.write_table(table, parquet, compression="zstd", use_dictionary=False)
    close_time = pa.array(candles.open_ms + candles.interval_ms - 1)
    more = [close_time, *(pa.array(candles.volume) for _ in range(5)), pa.array([0] * len(candles))]
    full = pa.table([*arrays[:6], *more], names=[f"c{k}" for k in range(13)]).drop_columns(["c10"])
    pa.csv.write_csv(full, text, pa.csv.WriteOptions(include_header=False))
    return parquet, text


def _import_s(path: Path) -> float:
    took, report = _timed(lambda: services.import_file(path=path, source="bench"))
    ImportReport.objects.filter(pk=report.pk).delete()
    services.delete_series(series=report.series)
    return took


def _load_ms(candles: Candles, repeat: int) -> float:
    series = Series.objects.create(source="bench", pair="SIM/USD", interval_ms=candles.interval_ms)
    archive.merge(series, candles)
    times = [_timed(lambda: archive.load(series))[0] for _ in range(repeat)]
    services.delete_series(series=series)
    return statistics.median(times) * 1000


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result
