"""`manage.py sandbox` as a person meets it: one clear line on bad input, a clean end on SIGTERM."""

import argparse
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from market import archive
from market.management.commands.sandbox import archived
from market.models import Series
from market.sandbox.options import Options, add_arguments, build, options_of
from market.synthetic import regime_market

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT = "--account=demo:very-secret:50000"


def refusal(tmp_path, *arguments):
    with pytest.raises(CommandError) as raised:
        call_command("sandbox", "--port=0", f"--state={tmp_path / 'state'}", *arguments)
    assert raised.value.returncode == 2
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--account=demo:very-secret", "an account is KEY:SECRET:USD"),
        ("--account=demo:very-secret:lots", "an account is KEY:SECRET:USD"),
        ("--feed=replay:missing-BTCUSDT.parquet", "there is no file"),
        ("--feed=replay:nameless.parquet", "does not name its pair"),
        ("--feed=oracle", "a feed is replay:FILE"),
        ("--feed=synthetic:x", "whole number"),
        ("--feed=synthetic:1@btc", "a pair is COIN/USD"),
        ("--feed=script:missing.jsonl", "cannot be read"),
        ("--fault=earthquake=1", "there is no fault named"),
        ("--fault=latency_ms", "a fault is NAME=VALUE"),
        ("--quirk=haste=on", "a quirk is NAME=on"),
        ("--speed=0", "the speed must be above 0"),
        ("--speed=nan", "the speed must be above 0"),
        ("--speed=1e999", "the speed must be above 0"),
        ("--spread-bps=nan", "the spread must be from 0"),
        ("--spread-bps=-1", "the spread must be from 0"),
        ("--start=-1", "after 1970 and before 2100"),
        ("--start=99999999999999999999", "after 1970 and before 2100"),
        ("--fault=latency_ms=nan", "must be from 0 to"),
        ("--fault=latency_ms=-1", "must be from 0 to"),
        ("--rate=0", "at least 1 call"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, argument, words):
    text = refusal(tmp_path, argument)
    assert words in text
    assert "very-secret" not in text


def test_a_taken_port_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in refusal(tmp_path, f"--port={port}")


@pytest.mark.parametrize("content", [b"", b"PAR1 nonsense", b"a,b\n1,2\n"])
def test_a_file_that_is_no_candle_file_is_named(tmp_path, content):
    path = tmp_path / "BTCUSDT.parquet"
    path.write_bytes(content)
    assert "is not a Parquet file of candles" in refusal(tmp_path, f"--feed=replay:{path}")


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"t_ms": 1}',
        '{"t_ms": 2, "pair": "BTC/USD", "bid": 2, "ask": 1, "last": 1}',
        '{"t_ms": 2, "pair": "BTC/USD", "bid": NaN, "ask": 1, "last": 1}',
        '{"t_ms": Infinity, "pair": "BTC/USD", "bid": 1, "ask": 2, "last": 1}',
    ],
)
def test_a_bad_script_line_is_named_by_number(tmp_path, line):
    path = tmp_path / "script.jsonl"
    path.write_text('{"t_ms": 1, "pair": "BTC/USD", "bid": 1, "ask": 2, "last": 1}\n' + line)
    assert "line 2" in refusal(tmp_path, f"--feed=script:{path}")


def test_two_feeds_of_one_pair_are_refused(tmp_path):
    assert "two feeds" in refusal(tmp_path, "--feed=synthetic:1@BTC/USD", "--feed=synthetic:2@BTC/USD")


@pytest.mark.django_db
def test_an_unknown_archive_series_is_refused(tmp_path):
    assert "no series 999" in refusal(tmp_path, "--feed=series:999")


@pytest.mark.django_db
def test_an_archive_series_can_be_the_feed(tmp_path):
    candles = regime_market(3000, 1, 60_000, 1_704_067_200_000, 100.0)
    series = Series.objects.create(source="synthetic", pair="SIM/USD", interval_ms=60_000)
    archive.merge(series, candles)
    options = Options(state=tmp_path / "state", feeds=[f"series:{series.pk}"], clock="manual")
    sandbox = build(options, series=archived)
    last = sandbox.engine.pairs["SIM/USD"].price(sandbox.engine.quote("SIM/USD", sandbox.tick()).last)
    assert sandbox.clock.now_ms() == candles.open_ms[599]  # a fifth of it is history
    assert candles.low[599] <= last <= candles.high[599]
    sandbox.store.close()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_is_ready_and_ends_cleanly(tmp_path, stop):
    command = [sys.executable, "manage.py", "sandbox", "--port=0", f"--state={tmp_path / 'state'}", ACCOUNT]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        select.select([process.stdout], [], [], 60)
        line = process.stdout.readline().decode()
        process.send_signal(stop)
        assert process.wait(20) == 0
        assert line.startswith("sandbox ready at http://127.0.0.1:")
        assert process.stderr.read() == b""


def test_accounts_may_come_from_the_environment(monkeypatch, tmp_path):
    parser = argparse.ArgumentParser()
    add_arguments(parser, tmp_path)
    monkeypatch.setenv("SOME_ACCOUNTS", "a:b:1 c:d:2")
    found = options_of(vars(parser.parse_args([ACCOUNT, "--accounts-env", "SOME_ACCOUNTS"])))
    assert found.accounts == ["demo:very-secret:50000", "a:b:1", "c:d:2"]
    assert "SOME_OTHERS is not set" in refusal(tmp_path, "--accounts-env=SOME_OTHERS")
