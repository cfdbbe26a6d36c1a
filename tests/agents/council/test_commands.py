"""Councils from the command line and by REST."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from agents.models import Council, CouncilReview
from tests.agents.markets import stored, walk

pytestmark = pytest.mark.django_db


def told(*arguments):
    out = StringIO()
    call_command(*arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue().splitlines()[-1])


@pytest.fixture
def series(user):
    return stored(walk(450), user)


def make(*more):
    fast = ["--member", "baseline:sma_crossover", "fast=5", "slow=20", "weight=2"]
    return told("create_council", "pair", *fast, "--member", "baseline:buy_and_hold", *more)


def test_a_council_is_made_backtested_and_reviewed(user, series):
    made = make("--method", "majority", "--combine", "probabilities")
    assert made["members"] == {"sma_crossover fast=5 slow=20": 2.0, "buy_and_hold": 1.0}
    done = told("backtest", "council:pair", "--series", str(series.pk))
    assert done["metrics"]["decisions"] > 300
    found = told("review_council", "pair", "--series", str(series.pk), "--set", "fee_rate=0")
    assert [row["name"] for row in found["members"]] == list(made["members"])
    assert 0 < found["disagreement"]["split"] < 1
    assert CouncilReview.objects.get(pk=found["id"]).settings["trading"]["fee_rate"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create_council", "x", "--member", "nine"], "no model 'nine'"),
        (["create_council", "x", "--member", "council:pair"], "no council 'pair'"),
        (["create_council", "x", "--member", "baseline:cash", "weight=much"], "weight must be a number"),
        (["create_council", "x", "--member", "baseline:cash", "weight"], "key=value"),
        (["create_council", "x", "--member", "baseline:cash", "--quorum", "2"], "quorum must be"),
        (["backtest", "council:none", "--series", "1"], "no council 'none'"),
        (["review_council", "none", "--series", "1"], "no council 'none'"),
    ],
)
def test_bad_input_is_one_clear_line(user, arguments, words):
    with pytest.raises(CommandError, match=words) as caught:
        told(*arguments)
    assert caught.value.returncode == 2
    assert not Council.objects.exists()


def test_a_council_is_no_member_of_a_council(user):
    make()
    with pytest.raises(CommandError, match="cannot be a member"):
        told("create_council", "x", "--member", "council:pair")


def test_rest_makes_a_council_once_per_key_and_reviews_it(user, series):
    user.is_superuser = True
    user.save()
    client = APIClient()
    client.force_authenticate(user)
    body = {"name": "pair", "members": [{"baseline": "cash"}, {"baseline": "momentum", "weight": 3}]}
    key = {"Idempotency-Key": "once"}
    first = client.post("/api/v1/council/", body, format="json", headers=key)
    again = client.post("/api/v1/council/", body, format="json", headers=key)
    assert (first.status_code, again.json()) == (201, first.json())
    assert [row["weight"] for row in first.json()["members"]] == [1.0, 3.0]
    wrong = client.post("/api/v1/council/", body, format="json")
    assert (wrong.status_code, wrong.json()["errors"].keys()) == (409, {"name"})
    asked = {"council": first.json()["id"], "series": series.pk}
    review = client.post("/api/v1/council-reviews/", asked, format="json")
    assert (review.status_code, review.json()["status"]) == (201, "queued")
    assert client.post("/api/v1/backtests/", asked, format="json").json()["council"] == asked["council"]
    both = client.post("/api/v1/backtests/", {**asked, "baseline": "cash"}, format="json")
    assert "a council" in both.json()["errors"]["model"][0]
