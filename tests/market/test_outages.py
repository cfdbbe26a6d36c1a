"""A disk or a database that refuses, in words for a person."""

import asyncio
import errno
import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError
from rest_framework.test import APIRequestFactory

from market.management.commands.generate_keys import Command
from market.outages import DISK_FULL, outage
from market.web.problems import as_problem
from tradebot import asgi

FULL = [OSError(errno.ENOSPC, "No space left on device"), OperationalError("database or disk is full")]


@pytest.mark.parametrize("error", FULL)
def test_a_full_disk_is_told_by_commands_and_api_alike(monkeypatch, error):
    def full(self, **options):
        raise error

    monkeypatch.setattr(Command, "run", full)
    with pytest.raises(CommandError, match=DISK_FULL) as refused:
        call_command("generate_keys", stdout=StringIO())
    assert refused.value.returncode == 2
    answer = as_problem(error, {"request": APIRequestFactory().get("/api/v1/imports/")})
    assert (answer.status_code, answer.data["detail"][:17]) == (503, "The disk is full:")


def test_a_database_that_is_down_is_told():
    assert outage(OperationalError("connection refused\nIs it up?")) == (
        "the database does not answer: connection refused"
    )


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "denied"),
        DatabaseError("odd"),
        ValueError(),
        OperationalError("no such table: x"),
    ],
)
def test_everything_else_is_no_outage(error):
    assert outage(error) is None


@pytest.mark.parametrize(("path", "start"), [("/api/v1/imports/", b"{"), ("/markets/", b"The disk is full")])
def test_an_upload_that_fills_the_disk_before_any_view_is_answered(monkeypatch, path, start):
    async def full(scope, receive, send):
        raise FULL[0]

    sent = []

    async def send(message):
        sent.append(message)

    monkeypatch.setattr(asgi, "django", full)
    asyncio.run(asgi.application({"path": path}, None, send))
    assert sent[0]["status"] == 503
    assert sent[1]["body"].startswith(start)
    if path.startswith("/api/"):
        assert json.loads(sent[1]["body"])["instance"] == path
