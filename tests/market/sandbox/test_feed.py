"""Prices: the path inside a bar, the candles made of it, the klines served."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.candles import Candles
from market.sandbox.feed import ASK_AT_MOST, BID_AT_LEAST, BID_AT_MOST, CandleFeed, ScriptFeed
from market.sandbox.feeds import prices_of
from market.sandbox.instruments import Pair
from market.sandbox.klines import KlineError, klines
from tests.sandbox_server import START_MS, start_sandbox

PAIR = Pair("BTC/USD", 2, 5, 1)
T0 = 1_700_000_040_000
MINUTE = 60_000


def bars(*rows, start=T0, interval=MINUTE):
    """Candles from rows of (open, high, low, close), each with a volume of 60."""
    columns = np.array(rows, float).T
    return Candles(interval, start + interval * np.arange(len(rows)), *columns, np.full(len(rows), 60.0))


def seconds_of(feed, start=T0, count=60):
    return [feed.quote(start + 1000 * second).last / 100 for second in range(count)]


def test_a_rising_bar_goes_open_low_high_close():
    prices = seconds_of(CandleFeed(PAIR, bars((100, 104, 99, 103))))
    assert (prices[0], prices[17], prices[37], prices[59]) == (100, 99, 104, 103)


def test_a_falling_bar_goes_open_high_low_close():
    prices = seconds_of(CandleFeed(PAIR, bars((103, 104, 99, 100))))
    assert (prices[0], prices[17], prices[37], prices[59]) == (103, 104, 99, 100)


cents = st.integers(100, 10_000_000)
four_cents = st.tuples(cents, cents, cents, cents)


@given(st.lists(four_cents, min_size=1, max_size=5), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_polling_every_five_seconds_rebuilds_every_bar(prices, phase):
    made = bars(*[(p[0] / 100, max(p) / 100, min(p) / 100, p[1] / 100) for p in prices])
    feed = CandleFeed(PAIR, made)
    for row in range(len(made)):
        start = int(made.open_ms[row])
        seen = [feed.quote(start + 1000 * second).last / 100 for second in range(phase, 60, 5)]
        wanted = [column[row] for column in (made.open, made.high, made.low, made.close)]
        assert [seen[0], max(seen), min(seen), seen[-1]] == wanted


def test_the_spread_is_a_tick_or_the_basis_points_asked_for():
    one = CandleFeed(PAIR, bars((100, 100, 100, 100))).quote(T0)
    ten = CandleFeed(PAIR, bars((100, 100, 100, 100)), spread_bps=10).quote(T0)
    assert (one.bid, one.ask, ten.bid, ten.ask) == (10_000, 10_001, 9_995, 10_005)


def test_quotes_begin_with_the_first_bar_stand_in_gaps_and_freeze_after_the_last():
    made = bars((100, 100, 100, 100), (101, 102, 100, 102), (110, 110, 110, 110))
    gap = dataclasses.replace(made, open_ms=made.open_ms + np.array([0, 0, 10 * MINUTE]))
    feed = CandleFeed(PAIR, gap)
    assert feed.quote(T0 - 1) is None
    assert feed.quote(T0 + 5 * MINUTE).last == 10_200
    assert feed.quote(T0 + 500 * MINUTE).last == 11_000


@given(
    st.lists(four_cents, min_size=1, max_size=4),
    cents,
    st.integers(0, 200),
    st.integers(1, 200),
)
@settings(max_examples=100, deadline=None)
def test_the_first_touch_is_what_looking_every_second_finds(prices, price, after_s, length_s):
    made = bars(*[(p[0] / 100, max(p) / 100, min(p) / 100, p[1] / 100) for p in prices])
    feed, after, until = CandleFeed(PAIR, made, 5), T0 + after_s * 1000, T0 + (after_s + length_s) * 1000
    looks = [(t, feed.quote(t)) for t in range(after + 1000, min(until, feed.last_ms) + 1, 1000)]
    for kind, holds in (
        (ASK_AT_MOST, lambda quote: quote.ask <= price),
        (BID_AT_LEAST, lambda quote: quote.bid >= price),
        (BID_AT_MOST, lambda quote: quote.bid <= price),
    ):
        assert feed.first_touch(kind, price, after, until) == next(
            (t for t, quote in looks if holds(quote)), None
        )


def test_hourly_bars_step_once_a_minute():
    feed = CandleFeed(PAIR, bars((100, 104, 99, 103), interval=60 * MINUTE))
    assert feed.last_ms == T0 + 59 * MINUTE
    assert feed.quote(T0 + 17 * MINUTE).last == 9_900


def test_a_script_makes_minute_bars_of_its_last_prices():
    feed = ScriptFeed(PAIR, [T0, T0 + 1000, T0 + MINUTE], [10, 20, 30], [11, 21, 31], [10, 20, 30])
    made = feed.candles(T0 + MINUTE)
    assert made.open_ms.tolist() == [T0, T0 + MINUTE]
    assert [column.tolist() for column in (made.open, made.high, made.close)] == [
        [0.1, 0.3],
        [0.2, 0.3],
        [0.2, 0.3],
    ]


# --- klines


def asked(feed, now_ms, **parameters):
    texts = {
        name: str(value) for name, value in ({"symbol": "BTCUSDT", "interval": "1m"} | parameters).items()
    }
    return klines({"BTCUSDT": feed}, texts, now_ms)


HOUR = CandleFeed(
    PAIR, bars(*[(100 + n, 110 + n, 90 + n, 101 + n) for n in range(180)], start=1_700_002_800_000)
)
START = HOUR.first_ms


def test_a_kline_has_twelve_fields_with_prices_as_strings():
    assert asked(HOUR, START + MINUTE, limit=2)[0] == [
        START, "100.00000000", "110.00000000", "90.00000000", "101.00000000", "60.00000000",
        START + MINUTE - 1, "6015.00000000", 0, "0.00000000", "0.00000000", "0",
    ]  # fmt: skip


def test_klines_never_show_what_has_not_happened_yet():
    rows = asked(HOUR, START + 2 * MINUTE + 1000)
    assert [row[0] for row in rows] == [START, START + MINUTE, START + 2 * MINUTE]
    assert rows[-1][1:5] == ["102.00000000"] * 4
    assert rows[-1][5] == "2.00000000"


def test_an_unclosed_kline_agrees_with_the_ticks_so_far():
    for second in range(60):
        row = asked(HOUR, START + 1000 * second, limit=1)[0]
        prices = seconds_of(HOUR, START, second + 1)
        assert [float(price) for price in row[1:5]] == [prices[0], max(prices), min(prices), prices[-1]]


def test_klines_are_aggregated_to_the_interval_asked_for():
    rows = asked(HOUR, START + 100 * MINUTE, interval="1h", limit=2)
    assert [row[0] for row in rows] == [START, START + 60 * MINUTE]
    assert rows[0][1:6] == ["100.00000000", "169.00000000", "90.00000000", "160.00000000", "3600.00000000"]


def test_start_and_end_time_choose_by_opening_time():
    times = [
        row[0] for row in asked(HOUR, START + 100 * MINUTE, startTime=START + 1, endTime=START + 3 * MINUTE)
    ]
    assert times == [START + MINUTE, START + 2 * MINUTE, START + 3 * MINUTE]
    assert [row[0] for row in asked(HOUR, START + 100 * MINUTE, startTime=START, limit=1)] == [START]
    assert [row[0] for row in asked(HOUR, START + 100 * MINUTE, endTime=START + 90_000, limit=1)] == [
        START + MINUTE
    ]
    assert len(asked(HOUR, START + 900 * MINUTE, limit=5000)) == 180


def test_klines_reach_over_gaps_in_both_directions():
    made = bars(*[(100 + n, 110 + n, 90 + n, 101 + n) for n in range(10)])
    far = made.open_ms + np.where(np.arange(10) < 5, 0, 5000 * MINUTE)
    feed, now = CandleFeed(PAIR, dataclasses.replace(made, open_ms=far)), T0 + 9000 * MINUTE
    assert [row[0] for row in asked(feed, now, limit=7)] == far[3:].tolist()
    assert [row[0] for row in asked(feed, now, limit=7, startTime=T0)] == far[:7].tolist()
    assert asked(feed, now, startTime=T0 + 9 * MINUTE, endTime=T0 + 100 * MINUTE) == []
    assert len(asked(feed, now, limit=1000)) == len(asked(feed, now, limit=1000, startTime=0)) == 10
    assert len(asked(feed, now, limit=1000, endTime=T0 + 4 * MINUTE)) == 5
    assert asked(feed, now, endTime=T0 - 1) == asked(feed, now, startTime=now) == []


def test_prices_finer_than_eight_decimals_are_served_in_full():
    feed = CandleFeed(PAIR, bars((100.1234567891, 101, 100, 100.5)))
    assert asked(feed, T0 + MINUTE)[0][1] == "100.1234567891"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"symbol": "NOPE"}, -1121),
        ({"interval": "7m"}, -1120),
        ({"limit": "x"}, -1100),
        ({"symbol": ""}, -1102),
    ],
)
def test_bad_kline_requests_get_binances_error_codes(parameters, code):
    with pytest.raises(KlineError) as raised:
        asked(HOUR, START, **parameters)
    assert raised.value.code == code


def test_klines_and_time_are_served_on_the_same_port():
    with start_sandbox() as venue:
        assert venue.get("/api/v3/time") == {"serverTime": START_MS}
        assert venue.get("/api/v3/ping") == {}
        answer = venue.send("GET", "/api/v3/klines", symbol="NOPE", interval="1m")
        assert (answer.status_code, answer.json()) == (400, {"code": -1121, "msg": "Invalid symbol."})
        history = venue.get("/api/v3/klines", symbol="ETHUSDT", interval="1m", limit=1000)
        assert (len(history), history[-1][0]) == (1000, START_MS)


def test_a_synthetic_market_is_the_same_for_the_same_seed():
    one, again, other = (prices_of([f"synthetic:{seed}"], START_MS, None).candles for seed in (7, 7, 8))
    assert np.array_equal(one["BTC/USD"].close, again["BTC/USD"].close)
    assert not np.array_equal(one["BTC/USD"].close, other["BTC/USD"].close)


def test_a_real_file_is_replayed_and_its_klines_are_its_bars(shared_data):
    spec = f"replay:{shared_data / 'binance-BTCUSDT-1m-20241001-20241104.parquet'}"
    candles = prices_of([spec], None, None).candles["BTC/USD"]
    with start_sandbox(feed=spec) as venue:
        now = venue.now_ms()
        assert now == candles.open_ms[0] + 86_400_000
        rows = venue.get(
            "/api/v3/klines", symbol="BTCUSDT", interval="1m", startTime=int(candles.open_ms[0]), limit=1000
        )
    columns = ("open", "high", "low", "close", "volume")
    wanted = [getattr(candles[slice(0, 1000)], name) for name in columns]
    assert np.array_equal(np.array([row[1:6] for row in rows], float).T, wanted)


def test_the_pair_is_read_from_the_file_name_or_given(shared_data, tmp_path):
    path = shared_data / "binance-LTCUSDT-1m-20210917-20211017.parquet"
    plain = tmp_path / "candles.parquet"
    plain.write_bytes(path.read_bytes())
    assert list(prices_of([f"replay:{path}"], None, None).candles) == ["LTC/USD"]
    assert list(prices_of([f"replay:{plain}@SOL/USD"], None, None).candles) == ["SOL/USD"]


def test_script_lines_may_hold_numbers(tmp_path):
    script = tmp_path / "quotes.jsonl"
    script.write_text(
        json.dumps({"t_ms": T0, "pair": "BTC/USD", "bid": 84596.01, "ask": 84596.02, "last": 84596.02})
    )
    with start_sandbox(feed=f"script:{script}") as venue:
        assert venue.state()["prices"]["BTC/USD"]["bid"] == "84596.01"
