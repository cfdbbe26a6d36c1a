"""A team that trades live on the sandbox: one exposure of one pair, every specialist's vote stored."""

import pytest
from django.urls import reverse

from agents import services as learning
from agents.services import Seat
from market.errors import BadInput
from tests.agents.markets import stored, walk
from tests.agents.teams import NAMES, team_model
from trading.models import OrderStatus
from trading.parity import verify

CANDLES = walk(700, seed=4)


@pytest.fixture
def model(user):
    return team_model(user, stored(CANDLES, user), CANDLES)


def test_a_team_trades_and_every_vote_is_stored_and_replayed(live, model):
    live.start("", model=model).bar(4)
    live.die()
    live.take().bar(4)
    assert live.session.orders.filter(status=OrderStatus.FILLED).exists()
    for decision in live.session.decisions.all():
        votes = decision.votes["votes"]
        assert [vote["member"] for vote in votes] == list(NAMES)
        assert sum(vote["weight"] for vote in votes) == pytest.approx(1.0)
        assert votes[0]["target"] in (1.0, None)
        assert sum(decision.probabilities) == pytest.approx(1.0)
    found = verify(live.session)
    assert found.decisions == 8
    assert found.is_equal, found.mismatches


def test_its_decision_page_shows_specialists_and_weights(live, model, client, user):
    live.start("", model=model).bar(2)
    decision = live.session.decisions.first()
    client.force_login(user)
    text = client.get(reverse("decision", args=[decision.pk])).content.decode()
    assert "Votes behind it" in text
    assert all(name in text for name in NAMES)


def test_a_team_sits_in_a_council(live, model, user):
    seats = [Seat(model=model), Seat(baseline="buy_and_hold", weight=1.0)]
    council = learning.create_council(owner=user, name="live", members=seats, method="weighted", quorum=2)
    live.start("", council=council).bar(2)
    first = live.session.decisions.last().votes["votes"][0]
    assert (first["member"], first["vote"]) == ("team", "BUY")
    assert 0.5 <= first["target"] <= 1.0
    assert verify(live.session).is_equal


@pytest.mark.django_db
def test_a_backtest_on_a_futures_market_is_refused(user, model):
    with pytest.raises(BadInput, match="spot market only"):
        learning.start_backtest(
            owner=user, model=model, series=model.series, settings={"market": "futures", "leverage": 2.0}
        )


@pytest.mark.django_db
def test_a_backtest_row_holds_contributions_and_weights(user, model):
    made = learning.backtest_now(owner=user, model=model, series=model.series)
    parts = [made.metrics[f"contribution_{name}"] for name in NAMES]
    assert sum(parts) == pytest.approx(made.metrics["total_return"], rel=1e-9)
    assert sum(made.metrics[f"weight_{name}"] for name in NAMES) == pytest.approx(1.0)
