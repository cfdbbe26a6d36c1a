"""Councils that trade live on the sandbox: every vote stored, failures told, replays exact."""

import json

import pytest
from django.core.management import CommandError, call_command

from agents import services as learning
from agents.policies.rules import Momentum
from agents.services import Seat
from market.errors import BadInput
from tests.agents.council.members import made_model
from tests.agents.markets import stored, walk
from trading.models import Alert, LiveSession, OrderStatus
from trading.parity import verify

CANDLES = walk(700, seed=4)


@pytest.fixture
def models(user):
    series = stored(CANDLES, user)
    return [
        made_model(user, series, CANDLES, "first", 1.5, features="price", window=3),
        made_model(user, series, CANDLES, "second", 0.5, features="price", window=1, seed=1),
    ]


def make(user, *seats, **given):
    return learning.create_council(owner=user, name="live", members=seats, **given)


@pytest.fixture
def council(user, models):
    rules = [Seat(baseline=name, weight=1.0) for name in ("buy_and_hold", "momentum")]
    return make(user, *(Seat(model=model) for model in models), *rules, method="weighted", quorum=3)


def start(live, council, **options):
    return live.start("", council=council, **options)


def test_a_council_trades_and_every_vote_is_stored_and_replayed(live, council):
    start(live, council).bar(4)
    live.die()
    live.take().bar(4)
    session = live.session
    assert session.name == "council:live on BTC/USD"
    assert session.orders.filter(status=OrderStatus.FILLED).exists()
    for decision in session.decisions.all():
        votes = decision.votes["votes"]
        assert [vote["member"] for vote in votes] == ["first", "second", "buy_and_hold", "momentum"]
        assert {vote["vote"] for vote in votes} <= {"HOLD", "BUY", "SELL"}
        assert decision.model_hash == council.hash
    found = verify(session)
    assert found.decisions == 8
    assert found.is_equal, found.mismatches


def test_a_changed_vote_is_named(live, council):
    start(live, council).bar(2)
    decision = live.session.decisions.first()
    decision.votes["votes"][3]["vote"] = "SIDEWAYS"
    decision.save(update_fields=["votes"])
    assert "the vote of momentum: SIDEWAYS live" in verify(live.session).mismatches[0].what


def spoil(model, private_var_dir):
    (private_var_dir / model.path / "weights.npz").write_bytes(b"other weights")


def test_a_member_whose_file_changes_is_left_out_told_and_taken_back(live, council, models, private_var_dir):
    start(live, council).bar(2)
    weights = private_var_dir / models[0].path / "weights.npz"
    kept = weights.read_bytes()
    spoil(models[0], private_var_dir)
    live.die()
    live.take().bar(2)
    last = live.session.decisions.first()
    vote = next(row for row in last.votes["votes"] if row["member"] == "first")
    assert vote["vote"] == ""
    assert "have changed" in vote["failure"]
    alert = Alert.objects.get(key=f"council:{live.session.pk}")
    assert "decides without 1 of its members (first: " in alert.text
    weights.write_bytes(kept)
    live.die()
    live.take().bar()
    alert.refresh_from_db()
    assert alert.closed_at is not None
    assert live.session.decisions.first().model_hash == council.hash
    found = verify(live.session)
    assert (found.decisions, found.repeated, found.is_equal) == (5, 3, True), found.mismatches
    assert {one.what for one in found.unrepeated} == {f"first could not be asked then: {vote['failure']}"}


def test_a_council_is_replayed_without_a_member_that_cannot_be_asked_now(
    live, council, models, private_var_dir, capsys
):
    start(live, council).bar(2)
    spoil(models[0], private_var_dir)
    why = "first cannot be asked now: the files of model first have changed"
    with pytest.raises(CommandError, match=f"none of the 2 decisions can be repeated: {why}"):
        call_command("verify_parity", str(live.session.pk))
    live.die()
    live.take().bar(2)
    call_command("verify_parity", str(live.session.pk))
    call_command("verify_parity", str(live.session.pk), "--json")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "2 of 4 decisions are repeated exactly"
    assert said[1].startswith(f"  2 cannot be repeated: {why}")
    told = json.loads(said[-1])
    assert (told["equal"], len(told["unrepeated"]), told["mismatches"]) == (True, 2, [])


def test_below_the_quorum_it_holds_with_a_stored_reason_and_keeps_its_stops(
    live, user, models, private_var_dir
):
    council = make(user, *(Seat(model=model) for model in models), Seat(baseline="buy_and_hold"), quorum=2)
    start(live, council, risk={"stop_loss": 0.02}).bar(2)
    for model in models:
        spoil(model, private_var_dir)
    live.die()
    live.take().bar(2)
    last = live.session.decisions.first()
    assert (last.action, last.target) == ("HOLD", None)
    assert last.gate_reason == "only 1 member could vote and the quorum is 2, so the council holds"
    LiveSession.objects.update(entry_price=live.session.price * 2)
    if live.session.held:
        live.turn()
        assert live.session.orders.filter(reason="stop-loss").exists()


def test_a_member_that_raises_in_the_middle_of_a_session_is_left_out(live, user, monkeypatch):
    rules = [Seat(baseline=name) for name in ("buy_and_hold", "momentum", "cash")]
    start(live, make(user, *rules, quorum=2)).bar(2)

    def fails(*args):
        raise ZeroDivisionError("no trend")

    monkeypatch.setattr(Momentum, "wish", fails)
    live.bar(2)
    assert [row["failure"] for row in live.session.decisions.first().votes["votes"]] == ["", "no trend", ""]
    assert Alert.objects.filter(key=f"council:{live.session.pk}", closed_at=None).exists()
    assert live.session.status == "running"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"baseline": "cash"}, "either a model or a baseline or a council"),
        ({"settings": {"sample": True}}, "leave sample out"),
        ({"settings": {"fast": 3}}, "no setting 'fast' of a council"),
    ],
)
def test_what_a_council_cannot_do_is_said_at_the_start(live, council, options, words):
    with pytest.raises(BadInput, match=words):
        live.start(**{"baseline": "", "council": council} | options)
    assert not LiveSession.objects.exists()


def test_a_council_that_could_never_decide_is_refused_at_the_start(live, user, models, private_var_dir):
    council = make(user, *(Seat(model=model) for model in models), quorum=2)
    spoil(models[1], private_var_dir)
    with pytest.raises(BadInput, match=r"its quorum is 2 \(second: the files of model second have changed"):
        start(live, council)


def test_a_decision_of_one_policy_has_no_votes(live):
    live.start("buy_and_hold").bar(2)
    assert all(decision.votes == {} for decision in live.session.decisions.all())
