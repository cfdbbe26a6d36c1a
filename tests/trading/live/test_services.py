"""Starting and steering sessions; what a person gets to read when something does not fit."""

from decimal import Decimal

import pytest
from rest_framework.test import APIClient

from market.errors import BadInput, Conflict
from market.models import AuditEvent
from tests import factories
from trading import services
from trading.models import LiveSession, PortfolioPlan, SessionStatus
from trading.services import start
from trading.views.settings import _toggle as switch


def attempt(live, **changes):
    given = {"account": live.account, "pair": "BTC/USD", "interval": "1m", "baseline": "cash"}
    return services.start_session(by=live.user, **(given | changes))


@pytest.mark.parametrize(
    ("changes", "words", "field"),
    [
        ({"pair": "NOPE/USD"}, "has no pair 'NOPE/USD'", "pair"),
        ({"pair": "ETH/USDT"}, "such as ETH/USD, 1", "pair"),
        ({"interval": "7m"}, "no interval '7m'", "interval"),
        ({"baseline": "magic"}, "no baseline 'magic'", "baseline"),
        ({"baseline": ""}, "either a model or a baseline", "model"),
        ({"settings": {"turnover": 3}}, "has no parameter 'turnover'", "turnover"),
        ({"settings": {"confidence": 7}}, "confidence must be", "confidence"),
        ({"capital": Decimal("-5")}, "capital must be above 0", "capital"),
        ({"capital": Decimal("50000.01")}, "only 50000 USD of the account are free", "capital"),
        ({"capital": Decimal("0.001")}, "capital must be above 0", "capital"),
        ({"capital": Decimal("1")}, "is too small: BTC/USD takes no order", "capital"),
        ({"name": "x" * 121}, "at most 120 characters", "name"),
        ({"capital": "much"}, "no amount of money", "capital"),
        ({"duration_s": 0}, "duration must be", "duration_s"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence_and_nothing_is_written(live, changes, words, field):
    with pytest.raises(BadInput) as caught:
        attempt(live, **changes)
    assert words in caught.value.message
    assert caught.value.field == field
    assert not LiveSession.objects.exists()


def test_a_venue_that_is_down_is_said(live):
    live.venue.stop()
    with pytest.raises(BadInput, match="cannot be reached"):
        attempt(live)


def test_a_pair_that_is_closed_is_said(live):
    live.venue.faults(can_trade="BTC/USD")
    with pytest.raises(BadInput, match="takes no orders for BTC/USD"):
        attempt(live)


def test_an_account_switched_off_while_its_venue_is_asked_starts_nothing(live, monkeypatch):
    asked = start._check_venue

    def slowly(wanted):
        now_ms = asked(wanted)
        switch(account=live.account, by=live.user)
        return now_ms

    monkeypatch.setattr(start, "_check_venue", slowly)
    with pytest.raises(BadInput, match="is switched off"):
        attempt(live)
    assert not LiveSession.objects.exists()


def test_a_pair_is_traded_by_one_session_of_an_account(live):
    attempt(live)
    with pytest.raises(Conflict, match="already"):
        attempt(live)


def test_every_act_leaves_an_audit_row(live):
    session = attempt(live)
    services.pause_session(session=session, by=live.user)
    services.resume_session(session=session, by=live.user)
    services.stop_session(session=session, flatten=True, by=live.user)
    acts = list(
        AuditEvent.objects.filter(object_type="livesession").order_by("id").values_list("action", flat=True)
    )
    assert acts == ["session.start", "session.pause", "session.resume", "session.stop"]


def test_an_ended_session_cannot_be_steered(live):
    session = attempt(live)
    LiveSession.objects.update(status=SessionStatus.STOPPED)
    for act in (
        services.pause_session,
        services.resume_session,
        services.stop_session,
        services.flatten_session,
    ):
        with pytest.raises(Conflict, match="stopped"):
            act(session=session)


def test_who_would_flatten_an_ended_session_is_told_where_its_position_is(live):
    session = attempt(live)
    LiveSession.objects.update(status=SessionStatus.STOPPED, held=Decimal("0.25"))
    with pytest.raises(Conflict, match=r"the 0.25 BTC that it ended with are in the account"):
        services.flatten_session(session=session)


def test_a_halt_is_lifted_with_a_reason_only(live):
    session = attempt(live)
    with pytest.raises(BadInput, match="say why"):
        services.resume_from_halt(session=session, reason=" ")
    with pytest.raises(Conflict, match="not halted"):
        services.resume_from_halt(session=session, reason="because")


def test_stop_all_stops_only_ones_own(live, other_user):
    attempt(live)
    assert services.stop_all(sessions=LiveSession.objects.filter(owner=other_user)) == (0, [])
    assert services.stop_all(sessions=LiveSession.objects.filter(owner=live.user), by=live.user) == (1, [])


def test_a_session_stopped_before_it_began_just_ends(live):
    live.start("cash")
    services.stop_session(session=live.session)
    assert live.turn().status == SessionStatus.STOPPED


def test_drawing_is_refused_where_it_would_change_nothing(live):
    with pytest.raises(BadInput, match="cash draws no action by its probability") as refused:
        attempt(live, settings={"sample": True})
    assert refused.value.field == "sample"
    assert not LiveSession.objects.exists()


def test_a_setting_that_no_model_has_is_refused(live):
    model = factories.ModelFactory(owner=live.user, series__interval_ms=60_000)
    with pytest.raises(BadInput, match="no setting 'confidense' of a model; there are confidence, min_move"):
        attempt(live, model=model, baseline="", settings={"confidense": 0.6})
    assert not LiveSession.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("seat", ["model", "council"])
def test_what_learned_on_futures_cannot_trade_on_a_spot_venue(seat):
    model = factories.ModelFactory(name="levered", spec={"trading": {"market": "futures", "leverage": 3}})
    chosen = {"model": model}
    if seat == "council":
        council = factories.CouncilFactory(owner=model.owner, interval_ms=60_000)
        council.members.create(name="levered", model=model, weight=1, policy_hash="h")
        chosen = {"council": council}
    account = factories.AccountFactory(owner=model.owner)
    with pytest.raises(BadInput, match="levered learned to trade futures") as refused:
        services.start_session(account=account, pair="BTC/USD", interval="1m", **chosen)
    assert refused.value.field == "model"


@pytest.mark.django_db
def test_a_model_of_several_pairs_cannot_trade_one():
    model = factories.ModelFactory(name="both", spec={"pairs": ["BTC/USD", "ETH/USD"]})
    account = factories.AccountFactory(owner=model.owner)
    with pytest.raises(BadInput, match="both shares one account out between BTC/USD, ETH/USD") as refused:
        services.start_session(account=account, pair="BTC/USD", interval="1m", model=model)
    assert refused.value.field == "model"


def test_whoever_starts_a_session_on_somebodys_account_it_is_that_persons(live, django_user_model):
    client = APIClient()
    client.force_authenticate(django_user_model.objects.create_superuser("root"))
    services.set_cap(owner=live.user, max_total=Decimal(100), by=live.user)
    body = {"baseline": "buy_and_hold", "account": live.account.pk, "pair": "BTC/USD", "interval": "1m"}
    body["capital"] = "10000"
    assert client.post("/api/v1/sessions/", body, format="json").status_code == 201
    live.session = LiveSession.objects.get()
    assert (live.session.owner, live.session.risk.owner) == (live.user, live.user)
    live.take().bar(2)
    assert live.session.held * live.session.price <= 101
    plan = {"name": "both", "account": live.account.pk, "weights": {"ETH/USD": 0.5}, "capital": "1000"}
    assert client.post("/api/v1/plans/", plan, format="json").json()["name"] == "both"
    assert PortfolioPlan.objects.get().owner == live.user
