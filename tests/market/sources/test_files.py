"""Files written by hand: every way in which a row, a file or a name can be wrong."""

import gzip
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import BadInput
from market.sources.files import read
from market.sources.files.names import agreed_pair, pair_in_name, source_in_name, split_symbol

START = 1_704_067_200_000
HEADER = "open_time,open,high,low,close,volume"
KAGGLE = "Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency),Weighted_Price"


def row(minute, prices="100,101,99,100.5,2"):
    return f"{START + minute * 60_000},{prices}"


def rows(count=10):
    return [row(k) for k in range(count)]


@pytest.fixture
def write(tmp_path):
    def write(lines, name="BTCUSDT-1m.csv", end="\n"):
        path = tmp_path / name
        path.write_bytes(lines if isinstance(lines, bytes) else (end.join(lines) + end).encode())
        return path

    return write


def rejects_after(write, *lines, **more):
    return read(write([HEADER, *rows(), *lines], **more)).rejects


BAD_ROWS = {
    row(20, "x,101,99,100,2"): "open 'x' is not a number",
    row(20, "100,101,99,100,"): "volume is missing",
    row(20, "100,inf,99,100,2"): "high is infinite",
    row(20, "100,101,-1,100,2"): "low is -1; prices must be above zero",
    row(20, "100,98,99,98.5,2"): "high 98 is below low 99",
    row(20, "100,101,99,102,2"): "high 101 is below open or close 102",
    row(20, "100,101,99,98,2"): "low 99 is above open or close 98",
    row(20, "100,101,99,100,-2"): "volume -2 is negative",
    row(20, ",,,,"): "no values: a bar without trades",
    row(20, "100,101,99"): "4 cells instead of 6",
    "," + row(20).split(",", 1)[1]: "the time is missing or not a time",
    "12345,100,101,99,100,2": "the time is missing or not a time",
    "soon,100,101,99,100,2": "time 'soon' is not a time",
    f"{START + 90_000},100,101,99,100,2": "time 2024-01-01 00:01:30.000000 does not start a 1m bar",
}


@pytest.mark.parametrize("line", BAD_ROWS)
def test_a_bad_row_is_refused_with_its_line_and_reason(write, line):
    assert rejects_after(write, line, row(30)) == [(12, BAD_ROWS[line])]


def test_lines_are_counted_past_banners_blanks_and_broken_rows(write):
    lines = ["https://somewhere", HEADER, *rows(), "", "1,2", "", row(20, "0,1,0,1,1"), row(21)]
    parsed = read(write(lines, end="\r\n"))
    assert parsed.rejects == [(14, "2 cells instead of 6"), (16, "open is 0; prices must be above zero")]
    assert (parsed.rows_read, len(parsed.candles), parsed.rejected) == (13, 11, 2)


def test_only_the_first_thousand_refusals_are_kept_and_all_are_counted(write):
    bad = [row(5000 + k, "0,0,0,0,0") for k in range(1500)]
    parsed = read(write([HEADER, *rows(2000), *bad]))
    assert (parsed.rejected, len(parsed.rejects)) == (1500, 1000)
    assert parsed.rejects[-1][0] == 3001


def test_a_file_that_is_mostly_wrong_is_refused_as_a_whole(write):
    with pytest.raises(BadInput, match="15 of 25 rows are no candles, first at line 12: open is 0") as raised:
        read(write([HEADER, *rows(), *(row(50 + k, "0,0,0,0,0") for k in range(15))]))
    assert len(raised.value.rejects) == 15


def test_kaggle_minutes_without_trades_are_gaps(write):
    lines = [KAGGLE]
    for k in range(20):
        values = ",".join(["NaN"] * 7) if k % 4 else "100,101,99,100.5,2,200,100"
        lines.append(f"{START // 1000 + 60 * k},{values}")
    parsed = read(write(lines, name="bitstampUSD_1-min_data_2012-01-01_to_2021-03-31.csv"))
    assert (parsed.pair, parsed.source, parsed.format) == ("BTC/USD", "bitstamp", "kaggle-bitstamp")
    assert (len(parsed.candles), parsed.rejected, parsed.candles.interval_ms) == (5, 15, 60_000)
    assert "15 bars without any value were left out; they show as gaps" in parsed.notes


def test_the_newer_kaggle_layout_is_read_too(write):
    lines = ["Timestamp,Open,High,Low,Close,Volume"]
    lines += [f"{START // 1000 + 60 * k}.0,100,101,99,100.5,0.0" for k in range(5)]
    parsed = read(write(lines, name="btcusd_1-min_data.csv"))
    assert (parsed.pair, len(parsed.candles), parsed.rejected) == ("BTC/USD", 5, 0)


@pytest.mark.parametrize("pattern", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S+00:00"])
def test_written_dates_are_understood_as_utc(write, pattern):
    moments = [np.datetime64(START + k * 60_000, "ms").item() for k in range(5)]
    lines = ["Date;Open;High;Low;Close;Volume", *(f"{m.strftime(pattern)};1;2;1;2;3" for m in moments)]
    assert read(write(lines)).candles.open_ms[0] == START


@pytest.mark.parametrize(("unit", "factor"), [("s", 1e-3), ("us", 1e3), ("ns", 1e6)])
def test_every_unit_of_time_is_understood(write, unit, factor):
    lines = [f"{int((START + k * 60_000) * factor)},1,2,1,2,3" for k in range(5)]
    assert read(write(lines)).candles.open_ms.tolist() == [START + k * 60_000 for k in range(5)]


def test_a_byte_order_mark_and_capitals_do_not_matter(write):
    lines = ["\ufeffTimestamp,Open,High,Low,Close,Volume", *rows(3)]
    assert len(read(write(lines)).candles) == 3


def test_archives_of_one_file_are_unpacked(write, tmp_path):
    plain = write([HEADER, *rows()])
    with zipfile.ZipFile(tmp_path / "BTCUSDT-1m-2024-01.zip", "w") as packed:
        packed.write(plain, "BTCUSDT-1m-2024-01.csv")
    (tmp_path / "BTCUSDT-1m.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    for name in ("BTCUSDT-1m-2024-01.zip", "BTCUSDT-1m.csv.gz"):
        assert (read(tmp_path / name).pair, len(read(tmp_path / name).candles)) == ("BTC/USDT", 10)


def test_an_archive_of_several_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as packed:
        packed.writestr("a.csv", "1")
        packed.writestr("b.csv", "2")
    with pytest.raises(BadInput, match="holds 2 files"):
        read(tmp_path / "many.zip")


def test_saved_answers_of_the_klines_call_are_read(write):
    answer = [[START + k * 60_000, "1.5", "2", "1", "1.5", "3", 0, "4", 5, "6", "7", "0"] for k in range(4)]
    parsed = read(write(json.dumps(answer).encode(), name="BTCUSDT-1m.json"))
    assert (parsed.format, len(parsed.candles), parsed.candles.open[0]) == ("binance-klines-json", 4, 1.5)


def test_bad_json_rows_are_refused_by_their_number(write):
    values = [[START + k * 60_000, 1, 2, 1, 2, 3] for k in range(6)] + [None, [START, "x", 2, 1, 2, 3], [1]]
    parsed = read(write(json.dumps(values).encode(), name="BTC_USDT-1m.json"))
    assert [line for line, _ in parsed.rejects] == [7, 8, 9]
    assert len(parsed.candles) == 6


def table(count=5, **changed):
    columns = {"open_time": START + np.arange(count) * 60_000,
               "open": np.full(count, 2.0), "close": np.full(count, 2.0),
               "high": np.full(count, 3.0), "low": np.full(count, 1.0), "volume": np.ones(count)}  # fmt: skip
    return pa.table(columns | changed)


def test_bad_rows_of_a_parquet_file_are_refused_by_their_number(tmp_path):
    pq.write_table(table(high=np.array([3, 3, np.nan, 3, 1.5])), tmp_path / "BTCUSD-1m.parquet")
    parsed = read(tmp_path / "BTCUSD-1m.parquet")
    assert parsed.rejects == [(3, "high is missing"), (5, "high 1.5 is below open or close 2")]


def test_timestamps_of_any_arrow_type_are_understood(tmp_path):
    times = pa.array(START * 1_000_000 + np.arange(5) * 60_000_000_000).cast(pa.timestamp("ns", "UTC"))
    whole = table().drop_columns(["open_time"]).append_column("date", times)
    pa.feather.write_feather(whole, str(tmp_path / "BTC_USDT-1m.feather"))
    assert read(tmp_path / "BTC_USDT-1m.feather").candles.open_ms[0] == START


UNUSABLE = {
    "empty": (b"", "is empty"),
    "binary": (bytes(range(256)) * 10, "not a candle file"),
    "text": (b"hello\nworld\n", "no candles"),
    "header only": (HEADER.encode() + b"\n", "holds no rows"),
    "no volume": (b"time,open,high,low,close\n1,2,3,4,5\n", "column volume is missing"),
    "no time": (b"when,open,high,low,close,volume\n1,2,3,4,5,6\n", "no column holds the time"),
    "cut parquet": (b"PAR1" + b"x" * 100, "damaged"),
    "cut feather": (b"ARROW1" + b"x" * 100, "damaged"),
    "cut gzip": (gzip.compress(b"x" * 10_000)[:20], "damaged archive"),
    "cut zip": (b"PK\x03\x04" + b"x" * 50, "damaged archive"),
    "cut json": (b"[[1,2", "JSON is damaged"),
    "json object": (b'{"a": 1}', "holds no candles"),
    "json nothing": (b"[]", "holds no candles"),
    "one bar": (f"{HEADER}\n{row(0)}\n".encode(), "does not tell its interval"),
    "several pairs": (
        b"unix,date,symbol,open,high,low,close,Volume\n"
        b"1704067200,2024-01-01 00:00:00,A/USD,1,1,1,1,1\n1704070800,2024-01-01 01:00:00,B/USD,1,1,1,1,1\n",
        "several pairs",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(write, name):
    content, words = UNUSABLE[name]
    with pytest.raises(BadInput, match=words) as raised:
        read(write(content))
    assert "\n" not in raised.value.message


def test_a_missing_file_is_said_so(tmp_path):
    with pytest.raises(BadInput, match="there is no file"):
        read(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"interval": "5m"}, "holds 1m bars, not 5m"),
        ({"interval": "1s"}, "holds 1m bars, not 1s"),
        ({"interval": "7m"}, "not an interval"),
        ({"pair": "ETH/USD"}, "holds BTC/USDT, not ETH/USD"),
        ({"pair": "BTC/EUR"}, "holds BTC/USDT, not BTC/EUR"),
        ({"pair": "bitcoin"}, "not a pair"),
        ({"format": "excel"}, "not a format"),
        ({"format": "freqtrade-json"}, "looks like csv"),
    ],
)
def test_settings_that_contradict_the_file_are_refused(write, asked, words):
    with pytest.raises(BadInput, match=words):
        read(write([HEADER, *rows()]), **asked)


def test_dollars_and_tether_are_alike(write):
    parsed = read(write([HEADER, *rows()]), pair="BTC/USD", interval="1m")
    assert parsed.pair == "BTC/USD"
    assert "the file says BTC/USDT; stored as BTC/USD" in parsed.notes


def test_the_pair_is_asked_for_when_nobody_says_it(write):
    with pytest.raises(BadInput, match="does not say which pair"):
        read(write([HEADER, *rows()], name="data.csv"))


@pytest.mark.parametrize(
    ("name", "pair"),
    [("BTCUSDT-1h-2024-12.csv", "BTC/USDT"), ("ADA_USDT-1m.json", "ADA/USDT"),
     ("Binance_ETHUSDT_1h.csv", "ETH/USDT"), ("BNB_USDT_USDT-1m-futures.feather", "BNB/USDT"),
     ("btcusd_1-min_data.csv", "BTC/USD"), ("coinbaseUSD_1-min_data_2014.csv", "BTC/USD"),
     ("gemini_BTCUSD_1hr.csv", "BTC/USD"), ("SOL-USDC.parquet", "SOL/USDC"), ("status-2024.csv", None),
     ("candles.csv", None), ("1000SHIBUSDT-1m.csv", "1000SHIB/USDT")],
)  # fmt: skip
def test_pairs_are_read_from_file_names(name, pair):
    assert pair_in_name(name) == pair


@pytest.mark.parametrize(("name", "source"), [("binance-um-BTCUSDT.csv", "binance-um"), ("x.csv", None)])
def test_venues_are_read_from_file_names(name, source):
    assert source_in_name(name) == source


@pytest.mark.parametrize("symbol", ["", "USDT", "BTC", "btc/usd", "A-B-C"])
def test_what_is_no_symbol_is_no_pair(symbol):
    assert split_symbol(symbol) is None


def test_a_pair_may_be_written_with_other_separators():
    assert agreed_pair("btc-usd", None) == ("BTC/USD", None)


@given(order=st.permutations(range(12)), seconds=st.lists(st.booleans(), min_size=12, max_size=12))
@settings(max_examples=40, deadline=None)
def test_order_and_units_of_the_rows_do_not_matter(tmp_path_factory, order, seconds):
    path = tmp_path_factory.mktemp("rows") / "BTCUSDT.csv"
    times = [(START + k * 60_000) // (1000 if seconds[k] else 1) for k in order]
    path.write_text(
        "\n".join([HEADER, *(f"{t},{k + 1},{k + 2},1,{k + 1},1" for t, k in zip(times, order, strict=True))])
    )
    candles = read(path).candles
    assert candles.open_ms.tolist() == [START + k * 60_000 for k in range(12)]
    assert candles.open.tolist() == [float(k + 1) for k in range(12)]
