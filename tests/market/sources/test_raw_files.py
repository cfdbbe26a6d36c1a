"""Every real file we have, in its original format, with its exact counts and known warts."""

import numpy as np
import pytest

from market import archive
from market.candles import COLUMNS
from market.errors import BadInput
from market.sources.files import read

MINUTE, HOUR = 60_000, 3_600_000
# file: pair, source, format, interval, rows read, candles, duplicates, rejected
FILES = {
    "binance-vision-spot-BTCUSDT-1h-2024-12.csv": (
        "BTC/USDT", "binance", "binance-vision", HOUR, 744, 744, 0, 0),
    "binance-vision-spot-BTCUSDT-1h-2025-01.csv": (
        "BTC/USDT", "binance", "binance-vision", HOUR, 744, 744, 0, 0),
    "binance-vision-um-ALGOUSDT-1m-2024-02.csv": (
        "ALGO/USDT", "binance-um", "binance-vision", MINUTE, 41_760, 41_760, 0, 0),
    "cryptodatadownload-Binance_ADAUSDT_1h.csv": (
        "ADA/USDT", "cryptodatadownload-binance", "cryptodatadownload", HOUR, 7_478, 7_478, 0, 0),
    "cryptodatadownload-Binance_ETHUSDT_1h-no2019.csv": (
        "ETH/USDT", "cryptodatadownload-binance", "cryptodatadownload", HOUR, 27_302, 24_653, 2_649, 0),
    "cryptodatadownload-Bitstamp_BTCUSD_1h-no2019.csv": (
        "BTC/USD", "cryptodatadownload-bitstamp", "cryptodatadownload", HOUR, 28_627, 28_627, 0, 0),
    "cryptodatadownload-gemini_BTCUSD_1hr-no2019.csv": (
        "BTC/USD", "cryptodatadownload-gemini", "cryptodatadownload", HOUR, 37_068, 37_067, 0, 1),
    "freqtrade-ADA_USDT-1m.json": (
        "ADA/USDT", "freqtrade", "freqtrade-json", MINUTE, 43_079, 43_079, 0, 0),
    "freqtrade-BNB_USDT_USDT-1m-futures.feather": (
        "BNB/USDT", "freqtrade-um", "freqtrade-feather", MINUTE, 43_199, 43_199, 0, 0),
}  # fmt: skip


@pytest.fixture
def raw(shared_data):
    return lambda name: read(shared_data / "raw" / name)


def notes_of(parsed):
    return " | ".join(parsed.notes)


@pytest.mark.parametrize("name", FILES)
def test_every_raw_format_is_recognised_with_exact_counts(raw, name):
    parsed = raw(name)
    pair, source, format, interval, rows, candles, duplicates, rejected = FILES[name]
    assert (parsed.pair, parsed.source, parsed.format) == (pair, source, format)
    assert parsed.candles.interval_ms == interval
    assert (parsed.rows_read, len(parsed.candles)) == (rows, candles)
    assert (parsed.duplicates, parsed.rejected) == (duplicates, rejected)


@pytest.mark.parametrize("name", FILES)
def test_candles_of_every_raw_file_are_sorted_whole_and_aligned(raw, name):
    candles = raw(name).candles
    assert (np.diff(candles.open_ms) > 0).all()
    assert (candles.open_ms % candles.interval_ms == 0).all()
    assert (candles.low > 0).all()
    assert (candles.high >= np.maximum(candles.open, candles.close)).all()
    assert all(np.isfinite(getattr(candles, column)).all() for column in COLUMNS)


def test_microseconds_continue_milliseconds_exactly(raw):
    december = raw("binance-vision-spot-BTCUSDT-1h-2024-12.csv").candles
    january = raw("binance-vision-spot-BTCUSDT-1h-2025-01.csv")
    assert january.candles.open_ms[0] - december.open_ms[-1] == HOUR
    assert january.candles.open[0] == december.close[-1] == 93576
    assert "times are in microseconds" in notes_of(january)


def test_binance_csv_equals_the_independent_parquet(raw, shared_data):
    mine = raw("binance-vision-spot-BTCUSDT-1h-2025-01.csv").candles
    other = archive.read_parquet(shared_data / "binance-BTCUSDT-1h-20200101-20250131.parquet")
    other = other.between(int(mine.open_ms[0]), int(mine.open_ms[-1]) + 1)
    assert all(np.array_equal(getattr(mine, n), getattr(other, n)) for n in COLUMNS)


@pytest.mark.parametrize(
    ("name", "parquet"),
    [
        ("freqtrade-ADA_USDT-1m.json", "binance-ADAUSDT-1m-20210917-20211017.parquet"),
        ("freqtrade-BNB_USDT_USDT-1m-futures.feather", "binance-um-BNBUSDT-1m-20230718-20230817.parquet"),
    ],
)
def test_freqtrade_files_equal_the_parquet_of_the_same_weeks(raw, shared_data, name, parquet):
    mine, other = raw(name).candles, archive.read_parquet(shared_data / parquet)
    assert archive.fingerprint(mine) == archive.fingerprint(other)


def test_worst_case_of_cryptodatadownload_is_told_in_words(raw):
    told = notes_of(raw("cryptodatadownload-Binance_ETHUSDT_1h-no2019.csv"))
    assert "seconds in 19824 rows, milliseconds in 7478 rows" in told
    assert "2649 rows repeat a time" in told
    assert "1746 differ in price, by 0.55 % at most" in told
    assert "off by -4 h in 91 rows; the Unix time was used" in told


def test_of_two_exports_the_newer_and_more_exact_row_is_kept(raw):
    candles = raw("cryptodatadownload-Binance_ETHUSDT_1h-no2019.csv").candles
    row = int(np.searchsorted(candles.open_ms, 1_596_326_400_000))
    assert (candles.open[row], candles.volume[row]) == (387.01, 53049.56447)


def test_the_spike_of_the_first_eth_candle_is_kept_and_pointed_at(raw):
    parsed = raw("cryptodatadownload-Binance_ETHUSDT_1h-no2019.csv")
    assert (parsed.candles.open[0], parsed.candles.close[0]) == (652.74, 300.79)
    assert "look at 2017-08-17 04:00 (low 298, high 652.74, close 300.79)" in notes_of(parsed)


def test_swapped_volumes_are_put_right(raw):
    parsed = raw("cryptodatadownload-Bitstamp_BTCUSD_1h-no2019.csv")
    assert "volume columns are swapped in 12383 rows" in notes_of(parsed)
    assert parsed.candles.volume.max() < 25_000  # bitcoins an hour; in dollars it would be millions
    assert parsed.candles.volume[0] == 559.93


def test_a_zero_price_is_refused_with_its_line(raw):
    assert raw("cryptodatadownload-gemini_BTCUSD_1hr-no2019.csv").rejects == [
        (37_070, "open is 0; prices must be above zero")
    ]


def test_an_order_book_recording_is_no_candle_file(raw):
    with pytest.raises(BadInput, match="no candles"):
        raw("binance-stream-spot-btcusdt_20240808.gz")


@pytest.mark.parametrize(
    ("name", "pair", "source", "rows"),
    [
        ("binance-um-XRPUSDT-1m-20230718-20230817.parquet", "XRP/USDT", "binance-um", 43_199),
        ("bitfinex-BTCUSD-1m-20170101-20181231.parquet", "BTC/USD", "bitfinex", 1_025_708),
        ("binance-SOLUSDT-1h-20200811-20250131.parquet", "SOL/USDT", "binance", 39_214),
        ("binance-ETHUSDT-5m-20240101-20240630.parquet", "ETH/USDT", "binance", 52_416),
    ],
)
def test_plain_parquet_names_its_pair_and_venue(shared_data, name, pair, source, rows):
    parsed = read(shared_data / name)
    assert (parsed.pair, parsed.source, parsed.rows_read, len(parsed.candles)) == (pair, source, rows, rows)
