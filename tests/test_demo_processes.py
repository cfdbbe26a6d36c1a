"""The parts of the demo: what is said of one that has ended."""

import os
import signal

import pytest

from tradebot.demo.processes import Child


@pytest.fixture
def child(tmp_path):
    made = Child(
        "part",
        ["-c", "import sys, time; print('ready', flush=True); print('one', flush=True); time.sleep(600)"],
        log_dir=tmp_path,
        ready="ready",
        environment=dict(os.environ),
    )
    made.wait_ready(60, lambda: None)
    yield made
    made.stop(5)


def test_one_that_was_killed_is_said_to_be_killed_not_to_have_said_its_last_line(child):
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait(30)
    assert child.last_words() == "SIGKILL from outside"


def test_one_that_ended_by_itself_says_why_in_its_last_line(tmp_path):
    made = Child(
        "part",
        ["-c", "print('first'); print('the disk is full'); raise SystemExit(3)"],
        log_dir=tmp_path,
        ready="ready",
        environment=dict(os.environ),
    )
    made.process.wait(60)
    assert made.last_words() == "the disk is full"
