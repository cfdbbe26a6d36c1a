"""What every command does, whatever it is for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[1]


def test_a_database_without_tables_is_one_clear_line(tmp_path):
    environment = {**os.environ, "VAR_DIR": str(tmp_path), "LOG_LEVEL": "ERROR"}
    environment.pop("DATABASE_URL", None)
    done = subprocess.run(
        [sys.executable, "manage.py", "create_token", "nobody"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "CommandError: the database is not up to date: run `make setup`"


def own_commands():
    return [(app, name) for name, app in get_commands().items() if app in ("market", "agents", "trading")]


@pytest.mark.parametrize(("app", "name"), own_commands())
def test_every_command_and_argument_explains_itself(app, name):
    command = load_command_class(app, name)
    assert command.help
    silent = [action.dest for action in command.create_parser("manage.py", name)._actions if not action.help]
    assert not silent


@pytest.mark.parametrize("arguments", [["--seed", "nan"], ["--bars"], [], ["--nope"]])
def test_a_wrong_argument_is_one_clear_line(capsys, arguments):
    command = load_command_class("market", "synthesize")
    command._called_from_command_line = True
    with pytest.raises(SystemExit) as ended:
        command.create_parser("manage.py", "synthesize").parse_args(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("manage.py synthesize: error: ")
