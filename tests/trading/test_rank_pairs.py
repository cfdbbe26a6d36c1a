"""Choosing what to trade from a venue's own ticker."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.sandbox_server import start_sandbox
from trading.accounts import create_account

pytestmark = pytest.mark.django_db


def ranked(*arguments):
    out = StringIO()
    call_command("rank_pairs", *arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue().splitlines()[-1])


def an_account(user, url):
    return create_account(
        owner=user, name="box", venue="roostoo", base_url=url, key="K" * 64, secret="S" * 64
    )


def test_a_venues_pairs_are_ranked_from_its_ticker_and_the_rest_has_a_reason(user):
    with start_sandbox() as sandbox:
        sandbox.advance(60_000)
        an_account(user, sandbox.url)
        answer = ranked("--account", "box", "--by", "liquidity")
    shown = [row["pair"] for row in answer["ranked"]] + [row["pair"] for row in answer["excluded"]]
    assert sorted(shown) == ["BTC/USD", "ETH/USD", "SIM/USD"]
    assert all(row["reason"] for row in answer["excluded"])
    liquid = [row["liquidity"] for row in answer["ranked"]]
    assert liquid == sorted(liquid, reverse=True)


def test_a_venue_that_does_not_answer_is_one_sentence(user):
    an_account(user, "http://127.0.0.1:9")
    with pytest.raises(CommandError) as caught:
        ranked("--account", "box")
    assert caught.value.returncode == 2
    assert "\n" not in str(caught.value)
