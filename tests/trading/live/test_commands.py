"""The commands a script uses."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from trading.management.commands import stop_session
from trading.models import Decision, LiveSession, SessionStatus


def told(*arguments):
    """Run a command with --json and return its last line."""
    out = StringIO()
    call_command(*arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue().splitlines()[-1])


@pytest.fixture
def started(live):
    answer = told(
        "start_session", "--baseline", "random", "--account", "sandbox", "--pair", "BTC/USD",
        "--set", "turnover=0.9", "--set", "seed=4", "--duration", "24h", "--capital", "20000",
        "--name", "mine",
    )  # fmt: skip
    live.session = LiveSession.objects.get(pk=answer["id"])
    return live.take()


def test_start_session_answers_with_its_id(started):
    session = started.session
    assert (session.name, session.duration_s, session.settings) == (
        "mine",
        86_400,
        {"turnover": 0.9, "seed": 4},
    )


def test_export_session_holds_the_whole_record(started):
    started.bar(6)
    record = told("export_session", "mine")
    keys = {
        "client_ref",
        "venue_order_id",
        "pair",
        "side",
        "type",
        "quantity",
        "price",
        "status",
        "fee",
        "created_ms",
    }
    assert keys <= set(record["orders"][0])
    venue = {str(o["order_id"]): o["quantity"] for o in started.venue_orders()}
    assert {o["venue_order_id"]: o["quantity"] for o in record["orders"]} == {
        key: str(quantity) for key, quantity in venue.items()
    }
    assert len(record["fills"]) == len(venue)
    assert len(record["decisions"]) == started.session.decisions.count()
    assert record["equity"][0]["equity"] == "20000"


def test_stop_session_asks_and_the_session_stops(started):
    started.bar(2)
    assert told("stop_session", str(started.session.pk), "--flatten")["status"] == SessionStatus.STOPPING
    started.turn()
    assert started.turn().status == SessionStatus.STOPPED


def test_waiting_for_a_stop_says_when_nobody_drives(started, monkeypatch):
    monkeypatch.setattr(stop_session, "NOBODY_S", 0.0)
    started.seat.lease.release()
    with pytest.raises(CommandError, match="start the workers"):
        told("stop_session", "mine", "--wait")


def test_reconcile_says_that_the_books_are_equal(started):
    started.bar(3)
    answer = told("reconcile", "sandbox")
    assert answer["equal"]
    assert set(answer["holdings"]) == {"USD", "BTC"}


def test_verify_parity_exits_with_1_when_a_decision_differs(started):
    started.bar(3)
    assert told("verify_parity", "mine")["equal"]
    Decision.objects.filter(session=started.session).update(observation_hash="0" * 64)
    with pytest.raises(SystemExit) as ended:
        told("verify_parity", "mine")
    assert ended.value.code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export_session", "nothing"], "no session 'nothing'"),
        (["reconcile", "nothing"], "no account 'nothing'"),
        (["stop_session", "77"], "no session '77'"),
        (["start_session", "--baseline", "cash", "--account", "sandbox", "--pair", "X/Y"], "no pair 'X/Y'"),
        (
            [
                "start_session",
                "--baseline",
                "cash",
                "--account",
                "sandbox",
                "--pair",
                "BTC/USD",
                "--duration",
                "soon",
            ],
            "no duration",
        ),
        (
            ["start_session", "--model", "9", "--account", "sandbox", "--pair", "BTC/USD"],
            "no model '9'",
        ),
    ],
)
def test_bad_input_is_one_clear_line(live, arguments, words):
    with pytest.raises(CommandError, match=words) as caught:
        told(*arguments)
    assert caught.value.returncode == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("start_session", "--duration", "5mm"), "is no duration"),
        (("start_session", "--duration", "nan"), "is no duration"),
        (("start_session", "--capital", "nan"), "above 0"),
        (("start_session", "--capital", "1e999"), "above 0"),
        (("collect_ticks", "--poll", "nan"), "--poll must be"),
        (("collect_ticks", "--poll", "1e999"), "--poll must be"),
        (("collect_ticks", "--seconds", "nan"), "--seconds must be"),
        (("collect_ticks", "--seconds", "-1"), "--seconds must be"),
    ],
)
def test_absurd_numbers_are_refused_with_one_line(live, arguments, words):
    if arguments[0] == "start_session":
        arguments += ("--baseline", "cash", "--pair", "BTC/USD")
    with pytest.raises(CommandError, match=words) as refused:
        call_command(*arguments, "--account", "sandbox", stdout=StringIO(), stderr=StringIO())
    assert refused.value.returncode == 2
    assert not LiveSession.objects.exists()


def test_collecting_ticks_of_a_venue_that_is_down_fails_with_one_line(live):
    live.venue.stop()
    with pytest.raises(CommandError, match=r"no quotes of .* came: nothing answers") as refused:
        call_command(
            "collect_ticks", "--account", "sandbox", "--seconds", "0", stdout=StringIO(), stderr=StringIO()
        )
    assert refused.value.returncode == 2
