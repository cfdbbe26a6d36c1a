"""Councils as rows: made, refused, loaded, backtested, reviewed."""

import numpy as np
import pytest

from agents import councils, selectors, services, tasks
from agents.evaluation.council import LEFT_OUT, disagreement
from agents.models import Backtest, Council, CouncilReview, JobStatus
from agents.services import Seat
from agents.spaces import BUY, HOLD, SELL
from market.errors import BadInput, Conflict
from market.models import AuditEvent
from tests.agents.council.members import made_model
from tests.agents.markets import stored, walk
from tests.queue import queued

pytestmark = pytest.mark.django_db
CANDLES = walk(700, seed=4)


@pytest.fixture
def series(user):
    return stored(CANDLES, user)


@pytest.fixture
def models(user, series):
    return [
        made_model(user, series, CANDLES, "first", 1.5, features="price", window=3),
        made_model(user, series, CANDLES, "second", 0.5, features="core", window=1, seed=1),
    ]


@pytest.fixture
def council(user, models):
    seats = [*(Seat(model=model) for model in models), Seat(baseline="sma_crossover", weight=1.0)]
    return services.create_council(owner=user, name="three", members=seats, method="weighted", quorum=2)


def test_weights_are_the_validated_sharpe_unless_another_is_given(council, user):
    assert [(row.name, row.weight) for row in council.members.all()] == [
        ("first", 1.5), ("second", 0.5), ("sma_crossover", 1.0)
    ]  # fmt: skip
    assert council.hash == councils.load(council).policy_hash
    assert council.interval_ms == 60_000
    event = AuditEvent.objects.get(action="council.create")
    assert (event.actor, event.detail["members"]["first"]) == (user, 1.5)


def test_a_sharpe_below_0_weighs_0_and_a_quorum_is_more_than_half_by_default(user, series, models):
    loser = made_model(user, series, CANDLES, "loser", -2.0, seed=5)
    seats = [Seat(model=model) for model in (*models, loser)]
    made = services.create_council(owner=user, name="x", members=seats, method="weighted")
    assert made.members.get(name="loser").weight == 0
    assert made.quorum == 2
    heads = services.create_council(owner=user, name="y", members=seats, method="majority")
    assert {row.weight for row in heads.members.all()} == {1.0}


RULE = Seat(baseline="cash")


@pytest.mark.parametrize(
    ("changes", "words", "field"),
    [
        ({"name": " "}, "give the council a name", "name"),
        ({"name": "a:b"}, "without a colon", "name"),
        ({"members": []}, "1 to 32 members, not 0", "members"),
        ({"members": [RULE] * 33}, "not 33", "members"),
        ({"members": [RULE, RULE]}, "cash is in the council twice", "members"),
        ({"members": [Seat()]}, "either a model or a baseline", "members"),
        ({"members": [Seat(baseline="magic")]}, "no baseline 'magic'", "baseline"),
        ({"members": [Seat(baseline="cash", params={"x": 1})]}, "no parameter 'x'", "x"),
        ({"members": [Seat(baseline="cash", weight=-1.0)]}, "weight of cash must be", "members"),
        ({"members": [Seat(baseline="cash", weight=float("nan"))]}, "weight of cash must be", "members"),
        ({"members": [Seat(baseline="cash", weight=0.0)]}, "nobody would decide", "members"),
        ({"method": "weighted"}, "cash has no validated Sharpe to be weighted by", "members"),
        ({"method": "dice"}, "method must be one of", "method"),
        ({"combine": "both"}, "combine must be one of", "combine"),
        ({"quorum": 2}, "quorum must be from 1 to 1", "quorum"),
    ],
)
def test_what_makes_no_council_is_said_and_nothing_is_written(user, changes, words, field):
    with pytest.raises(BadInput) as caught:
        services.create_council(owner=user, **({"name": "x", "members": [RULE]} | changes))
    assert words in caught.value.message
    assert caught.value.field == field
    assert not Council.objects.exists()


def test_a_model_without_a_validation_gets_a_sentence(user, series):
    unproven = made_model(user, series, CANDLES, "unproven", None)
    with pytest.raises(BadInput, match="unproven has no validated Sharpe"):
        services.create_council(owner=user, name="x", members=[Seat(model=unproven)], method="veto")


def test_models_of_different_bars_cannot_vote_together(user, series, models):
    hourly = stored(walk(50), user, source="hourly")
    type(hourly).objects.filter(pk=hourly.pk).update(interval_ms=3_600_000)
    hourly.refresh_from_db()
    other = made_model(user, hourly, CANDLES, "hourly", seed=8)
    with pytest.raises(BadInput, match="different bars"):
        services.create_council(owner=user, name="x", members=[Seat(model=models[0]), Seat(model=other)])


def test_a_name_is_taken_once(user, council):
    with pytest.raises(Conflict, match="a council named 'three' already"):
        services.create_council(owner=user, name="three", members=[RULE])


def spoil(model, private_var_dir):
    (private_var_dir / model.path / "weights.npz").write_bytes(b"other weights")


def test_a_member_whose_files_have_changed_is_absent_and_the_council_another(
    council, models, private_var_dir
):
    spoil(models[0], private_var_dir)
    policy = councils.load(council)
    assert [one.name for one in policy.absent] == ["first"]
    assert "have changed since it was trained" in policy.absent[0].reason
    assert policy.policy_hash != council.hash


def test_another_model_in_a_members_place_has_no_voice(council, user, series, models):
    retrained = made_model(user, series, CANDLES, "retrained", seed=9)
    council.members.filter(name="first").update(model=retrained)
    assert "not the policy any more" in councils.load(council).absent[0].reason


def test_a_member_made_by_other_feature_code_is_absent(council, monkeypatch):
    monkeypatch.setattr("market.features.specs.IMPLEMENTATION", 99)
    reasons = [one.reason for one in councils.load(council).absent]
    assert len(reasons) == 3
    assert "version 1 of the feature code" in reasons[0]
    assert "not the policy any more" in reasons[2]  # the rule reads features, too


def test_a_council_is_backtested_like_a_model(council, user, series):
    done = services.backtest_now(owner=user, council=council, series=series)
    assert done.status == JobStatus.DONE
    assert done.policy_hash == council.hash
    assert done.metrics["decisions"] > 300
    assert str(done) == f"council:three on {series}"
    assert any(line.startswith("first: ") for line in done.assumptions)


def test_a_backtest_names_one_policy_only(council, user, series):
    with pytest.raises(BadInput, match="only one of them"):
        services.start_backtest(owner=user, council=council, baseline="cash", series=series)
    for settings, words in (({"sample": True}, "leave sample out"), ({"fast": 3}, "no backtest setting")):
        with pytest.raises(BadInput, match=words):
            services.start_backtest(owner=user, council=council, series=series, settings=settings)
    assert not Backtest.objects.exists()


def test_a_backtest_below_the_quorum_is_refused_and_above_it_says_who_is_missing(
    council, user, series, models, private_var_dir
):
    spoil(models[0], private_var_dir)
    done = services.backtest_now(owner=user, council=council, series=series)
    assert "WARNING: first is left out of every vote" in done.assumptions[0]
    spoil(models[1], private_var_dir)
    with pytest.raises(BadInput, match="1 members of council:three can vote and its quorum is 2"):
        services.start_backtest(owner=user, council=council, series=series)


def test_a_review_is_queued_computed_once_and_says_what_each_member_adds(
    council, user, series, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        asked = services.start_review(owner=user, council=council, series=series)
    task = ("agents.tasks.council_review", (asked.pk,))
    assert [(row["func"], row["args"]) for row in queued()] == [task]
    tasks.council_review(asked.pk)
    tasks.council_review(asked.pk)
    done = CouncilReview.objects.get(pk=asked.pk)
    assert (done.status, done.error) == (JobStatus.DONE, "")
    whole = services.backtest_now(owner=user, council=council, series=series).metrics
    assert done.result["whole"]["total_return"] == whole["total_return"]
    for row in done.result["members"]:
        left = row["without"]
        assert row["adds_return"] == pytest.approx(whole["total_return"] - left["total_return"])
        assert sum(row["votes"].values()) == done.result["disagreement"]["decisions"] == whole["decisions"]
    assert set(done.curve["without"]) == {"first", "second", "sma_crossover"}
    assert {len(line) for line in done.curve["without"].values()} == {len(done.curve["t_ms"])}


def test_leaving_a_member_out_is_what_a_council_of_the_others_does(user, series, models):
    seats = [Seat(model=model, weight=1.0) for model in models]
    rule = Seat(baseline="buy_and_hold", weight=1.0)
    whole = services.create_council(owner=user, name="w", members=[*seats, rule], quorum=1)
    rest = services.create_council(owner=user, name="r", members=seats, quorum=1)
    found = services.review_now(owner=user, council=whole, series=series)
    alone = services.backtest_now(owner=user, council=rest, series=series, from_ms=found.from_ms)
    left = next(row for row in found.result["members"] if row["name"] == "buy_and_hold")["without"]
    assert left["total_return"] == alone.metrics["total_return"]
    assert left["sharpe"] == alone.metrics["sharpe"]


def test_a_review_that_fails_says_why(council, user, series, monkeypatch):
    asked = services.start_review(owner=user, council=council, series=series)
    monkeypatch.setattr("agents.services.reviews.review", lambda *a, **k: 1 / 0)
    tasks.council_review(asked.pk)
    asked.refresh_from_db()
    assert asked.status == JobStatus.FAILED
    assert asked.error.startswith("ZeroDivisionError")


def test_a_review_that_nobody_works_on_is_asked_for_again(council, user, series):
    services.start_review(owner=user, council=council, series=series)
    assert services.requeue_lost_runs() == 1


def test_disagreement_is_what_the_votes_show():
    votes = np.array([[BUY, BUY, BUY], [BUY, SELL, HOLD], [BUY, SELL, LEFT_OUT], [HOLD, HOLD, SELL]], np.int8)
    found = disagreement(votes, ["a", "b", "c"])
    assert found["split"] == 0.75
    assert found["entropy"] == pytest.approx((0 + np.log2(3) + 1 + 0.9182958340544896) / 4)
    assert found["agreement"][0] == [1.0, 0.5, pytest.approx(1 / 3)]
    assert disagreement(np.empty((0, 2), np.int8), ["a", "b"])["agreement"] == [[None] * 2] * 2


def test_members_that_never_vote_together_have_no_agreement():
    votes = np.array([[BUY, LEFT_OUT], [LEFT_OUT, SELL]], np.int8)
    assert disagreement(votes, ["a", "b"])["agreement"][0][1] is None


def test_a_policy_is_named_by_kind(user, council, models):
    named = selectors.policy_named
    assert (
        named(user, "council:three")["council"] == council == named(user, f"council:{council.pk}")["council"]
    )
    assert named(user, "baseline:cash") == {"model": None, "baseline": "cash", "council": None}
    assert named(user, "first")["model"] == models[0]
    with pytest.raises(BadInput, match="no council 'nine'"):
        named(user, "council:nine")


def test_what_is_not_yours_is_no_council(other_user, council):
    with pytest.raises(BadInput, match="no council"):
        selectors.council_named(other_user, "three")


def test_an_archived_council_leaves_the_lists(user, council):
    services.archive_council(council, by=user)
    assert not selectors.councils(user).exists()
    assert AuditEvent.objects.filter(action="council.archive").exists()
