"""README, "A real Roostoo account": its commands in their order, a sandbox standing in for the venue."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from market.archive import files
from market.synthetic import regime_market
from tests.stack import KEY, PASSWORD, SECRET, Stack

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[1]
BARS, LIVE_FROM = 14_000, 12_000
PATIENCE_S = 240


def commands():
    """Return the section's shell commands, one per line."""
    text = (ROOT / "README.md").read_text().split("\n## A real Roostoo account\n")[1].split("\n## ")[0]
    block = re.search(r"```sh\n(.*?)```", text, re.S)[1].replace("\\\n", " ")
    return [line.partition(" #")[0].strip() for line in block.splitlines()]


def as_tried(line, stack):
    """Put in what a person fills in; the sandbox is faster than the venue, the training shorter."""
    line = line.replace(".venv/bin/python", shlex.quote(sys.executable))
    line = line.replace("https://mock-api.roostoo.com", stack.sandbox_url)
    line = line.replace("https://api.binance.com", stack.sandbox_url)
    line = (
        line.replace("YOUR_KEY", KEY)
        .replace("YOU", "ada")
        .replace("ROOSTOO_SECRET=…", f"ROOSTOO_SECRET={SECRET}")
    )
    times = f"--from {stack.first_ms} --to {stack.now_ms} --base-url {stack.sandbox_url}"
    changes = [
        ("make setup", f"{shlex.quote(sys.executable)} manage.py migrate -v 0"),
        ("createsuperuser", "createsuperuser --noinput --username ada --email ada@example.com"),
        ("add_account contest", "add_account contest --calls-per-minute 6000 --poll 0.2"),
        ("--from 2026-01-01 --to 2026-03-01", times),
        ("--steps 3000000", "--steps 20000"),
        ("asgi:application", f"asgi:application --port {stack.port} --timeout-graceful-shutdown 1"),
    ]
    for said, tried in changes:
        line = line.replace(said, tried)
    return line


@pytest.fixture
def stack(tmp_path):
    candles = regime_market(BARS, 3)
    path = tmp_path / "BTCUSDT-1m.parquet"
    files.write(path, candles)
    stack = Stack(tmp_path / "stack", speed=120.0)
    stack.var.mkdir()
    stack.first_ms, stack.now_ms = int(candles.open_ms[0]), int(candles.open_ms[LIVE_FROM])
    sandbox = ["manage.py", "sandbox", "--port", str(stack.sandbox_port), "--speed", str(stack.speed)]
    sandbox += ["--feed", f"replay:{path}", "--start", str(stack.now_ms), "--no-rate-limit"]
    sandbox += ["--account", f"{KEY}:{SECRET}:50000", "--state", str(stack.var / "sandbox")]
    try:
        stack._start("sandbox", sandbox, "sandbox ready")
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def shell(stack, tmp_path):
    """Run the whole section as one script; its processes end with the test."""
    lines = [as_tried(line, stack) for line in commands()]
    log = tmp_path / "readme.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            ["bash", "-euc", "\n".join(lines)], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT,
            start_new_session=True, env=stack.environment | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD},
        )  # fmt: skip
        process.log = log
        yield process
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        finally:
            with_leftovers(process.pid)


def with_leftovers(group):
    """End what is left of the script's processes."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.2)
    os.killpg(group, signal.SIGKILL)


def until(holds, shell, what):
    began = time.monotonic()
    while not (found := holds()):
        assert shell.poll() is None, f"a command failed: {shell.log.read_text()[-3000:]}"
        assert time.monotonic() - began < PATIENCE_S, f"not yet: {what}\n{shell.log.read_text()[-3000:]}"
        time.sleep(0.5)
    return found


def test_the_section_trades_when_its_commands_are_typed_one_after_the_other(stack, shell):
    def page_is_there():
        try:
            return requests.get(f"{stack.url}/login/", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    until(page_is_there, shell, "the pages")
    assert "The connection works" in shell.log.read_text()

    def decided():
        return stack.manage("export_session", "1")["decisions"]

    assert until(decided, shell, "a decision")
