"""The commands about data, as a script uses them: JSON last, one clear line and status 2 on bad input."""

import json
from io import StringIO

import pytest
import responses
from django.core.management import CommandError, call_command

from market.errors import BadInput
from market.models import Series
from market.moments import moment_ms

pytestmark = pytest.mark.django_db
START = 1_704_067_200_000


def run(*arguments):
    out = StringIO()
    call_command(*arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue().splitlines()[-1])


def refused(*arguments):
    with pytest.raises(CommandError) as raised:
        call_command(*arguments, stdout=StringIO(), stderr=StringIO())
    assert raised.value.returncode == 2
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def candle_file(tmp_path):
    path = tmp_path / "BTCUSDT-1m.csv"
    rows = [f"{START + k * 60_000},100,101,99,100.5,2" for k in range(10)]
    path.write_text("\n".join(["open_time,open,high,low,close,volume", *rows, f"{START},0,0,0,0,0"]))
    return str(path)


def test_import_candles_answers_with_counts_and_the_series(candle_file, user):
    answer = run("import_candles", candle_file, "--pair", "BTC/USD", "--interval", "1m", "--user", "ada")
    assert (answer["rows_new"], answer["rows_rejected"], answer["status"]) == (10, 1, "done")
    assert answer["rejects"] == [[12, "open is 0; prices must be above zero"]]
    assert answer["series"]["pair"] == "BTC/USD"
    assert Series.objects.get(pk=answer["id"]).owner == user


def test_import_candles_tells_a_person_what_was_refused(candle_file):
    out = StringIO()
    call_command("import_candles", candle_file, stdout=out)
    assert "line 12: open is 0; prices must be above zero" in out.getvalue()
    assert "11 rows read, 10 new, 0 duplicate, 1 refused" in out.getvalue()


def test_synthesize_makes_a_series():
    answer = run("synthesize", "--market", "regime", "--bars", "100", "--seed", "7", "--pair", "SIM/USD")
    assert (answer["rows"], answer["source"], answer["first_ms"]) == (100, "synthetic regime 7", START)


def test_rank_pairs_shows_ranks_and_reasons():
    run("synthesize", "--bars", "3000", "--pair", "SIM/USD")
    run("synthesize", "--bars", "3000", "--pair", "USDC/USD")
    answer = run("rank_pairs", "--by", "volatility", "--top", "5", "--interval", "1m")
    assert [row["pair"] for row in answer["ranked"]] == ["SIM/USD"]
    assert answer["excluded"][0]["pair"] == "USDC/USD"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["import_candles", "/absent.csv"], "there is no file"),
        (["import_candles", "/absent.csv", "--user", "nobody"], "no user named"),
        (["import_candles", "/absent.csv", "--format", "xls"], "is not a format"),
        (["synthesize", "--bars", "0"], "number of bars"),
        (["synthesize", "--bars", "5", "--market", "moon"], "no market 'moon'"),
        (["synthesize", "--bars", "5", "--interval", "2m"], "is not an interval"),
        (["rank_pairs"], "holds no candles yet"),
        (["rank_pairs", "--by", "beauty"], "cannot rank by"),
        (["rank_pairs", "--interval", "2m"], "is not an interval"),
        (["download_candles", "--pair", "BTC/USD", "--from", "soon"], "is no date"),
        (
            ["download_candles", "--pair", "BTC/USD", "--from", "2024-01-02", "--to", "2024-01-01"],
            "before it ends",
        ),
        (["download_candles", "--pair", "BTC", "--from", "2024-01-01"], "is not a pair"),
        (["download_candles", "--pair", "BTC/USD", "--from", "2024-01-01", "--source", "mars"], "no source"),
        (
            ["download_candles", "--pair", "BTC/USD", "--from", "2024-01-01", "--base-url", "nowhere"],
            "is not an address",
        ),
    ],
)
def test_bad_input_is_one_clear_line(arguments, words):
    assert words in refused(*arguments)


def test_download_candles_fetches_from_any_address_that_speaks_klines():
    rows = [[START + k * 60_000, "1", "2", "1", "2", "3", 0] for k in range(5)]
    with responses.RequestsMock() as server:
        server.get("http://127.0.0.1:1/api/v3/klines", json=rows)
        answer = run(
            "download_candles", "--pair", "BTC/USD", "--from", "2024-01-01", "--to", "2024-01-01T00:05",
            "--base-url", "http://127.0.0.1:1",
        )  # fmt: skip
    assert (answer["rows_new"], answer["series"]["source"]) == (5, "binance@127.0.0.1:1")


@pytest.mark.parametrize(
    "text", ["2024-01-01", "2024-01-01T00:00", "2024-01-01T00:00Z", "2024-01-01T01:00+01:00", "1704067200000"]
)
def test_an_instant_may_be_written_in_several_ways(text):
    assert moment_ms(text) == START


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "20", "²²²²²²²²²²"])
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(BadInput, match="is no date"):
        moment_ms(text)


@pytest.mark.parametrize("text", ["1969-12-31", "9999-01-01", "9" * 30])
def test_an_instant_no_market_can_have_is_refused(text):
    with pytest.raises(BadInput, match="between 1970 and 2100"):
        moment_ms(text)
