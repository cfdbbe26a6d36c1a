"""Every endpoint, every stranger: what is not yours does not exist."""

import pytest
from django.db import connection
from rest_framework.test import APIClient

from market.web.ownership import OwnedViewSet
from market.web.roles import Role
from tests import factories
from tests.api.conftest import client_of
from tradebot.urls import router

KINDS = ["sessions", "experiments", "training-runs", "models", "backtests", "council", "council-reviews",
         "series", "imports", "accounts", "risk-profiles", "alerts", "alert-channels", "alert-rules",
         "alert-deliveries", "exposure-caps", "approvals", "stuck-orders",
         "plans"]  # fmt: skip
PARTS = {
    "sessions": ["decisions", "orders", "parents", "risk-changes", "fills", "days", "equity", "stream"],
    "training-runs": ["metrics", "spec", "validations", "resources"],
    "models": ["openings"],
    "plans": ["decisions", "equity"],
}
ACTS = {
    "sessions": ["pause", "resume", "stop", "flatten", "unhalt"],
    "training-runs": ["cancel", "resume"],
    "models": ["promote", "open-test", "reproduce"],
    "experiments": ["cancel"],
    "council": ["archive"],
    "accounts": ["check"],
    "alerts": ["acknowledge", "close"],
    "alert-channels": ["test"],
    "approvals": ["approve", "reject"],
    "stuck-orders": ["end"],
    "plans": ["pause", "resume", "stop"],
}
LISTS = [*KINDS, "ticks", "pairs", "audit"]
READS = [(kind, part) for kind in KINDS for part in ["", *PARTS.get(kind, [])]]
WRITES = [(kind, act) for kind, acts in ACTS.items() for act in acts]


def address(kind, pk=None, part=""):
    return f"/api/v1/{kind}/" + (f"{pk}/" if pk else "") + (f"{part}/" if part else "")


@pytest.mark.parametrize(("kind", "part"), [pair for pair in READS if pair[1] != "stream"])
def test_the_owner_reads_it(api, world, kind, part):
    assert api.get(address(kind, world[kind].pk, part)).status_code == 200


@pytest.mark.parametrize(("kind", "part"), READS)
def test_for_a_stranger_it_does_not_exist(foreign, world, kind, part):
    answer = foreign.get(address(kind, world[kind].pk, part))
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


BY_ROW = {
    "sessions": {"account": "accounts", "model": "models"},
    "training-runs": {"series": "series"},
    "backtests": {"model": "models", "series": "series"},
    "council-reviews": {"council": "council", "series": "series"},
    "imports": {"series": "series"},
    "plans": {"account": "accounts", "model": "models"},
    "exposure-caps": {"account": "accounts"},
    "approvals": {"session": "sessions"},
    "stuck-orders": {"session": "sessions"},
    "alert-rules": {"channel": "alert-channels"},
    "alert-deliveries": {"alert": "alerts", "channel": "alert-channels"},
}


@pytest.mark.parametrize(
    ("kind", "field", "of"), [(kind, *pair) for kind, fields in BY_ROW.items() for pair in fields.items()]
)
def test_a_strangers_filter_by_it_is_one_by_nothing(api, foreign, world, kind, field, of):
    theirs, gone = (foreign.get(address(kind), {field: pk}) for pk in (world[of].pk, 987_654))
    assert theirs.status_code == gone.status_code == 400
    assert theirs.json() == gone.json()
    assert api.get(address(kind), {field: world[of].pk}).status_code == 200


@pytest.mark.parametrize(("kind", "act"), WRITES)
def test_a_stranger_cannot_act_on_it(foreign, world, kind, act):
    assert foreign.post(address(kind, world[kind].pk, act)).status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_holds_only_ones_own(api, foreign, world, kind):
    mine = [row["id"] for row in api.get(address(kind)).json()["results"]]
    theirs = [row["id"] for row in foreign.get(address(kind)).json()["results"]]
    assert world[kind].pk in mine or kind == "series"
    assert world[kind].pk not in theirs


@pytest.mark.parametrize("kind", LISTS)
def test_without_a_token_nothing_is_told(db, kind):
    answer = APIClient().get(address(kind))
    assert answer.status_code == 401
    assert answer.json()["title"] == "Sign in or send a token"


@pytest.mark.parametrize(("kind", "act"), WRITES)
def test_a_viewer_may_not_act(world, ada, kind, act):
    ada.groups.clear()
    assert client_of(ada).post(address(kind, world[kind].pk, act)).status_code == 403


@pytest.mark.parametrize(
    "kind",
    [
        "sessions",
        "training-runs",
        "backtests",
        "council",
        "council-reviews",
        "imports",
        "accounts",
        "risk-profiles",
        "alert-channels",
        "alert-rules",
        "exposure-caps",
        "plans",
    ],
)
def test_a_viewer_may_not_start_anything(db, kind):
    answer = client_of(factories.UserFactory(role=Role.VIEWER)).post(address(kind), {})
    assert answer.status_code == 403
    assert "role" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("kind", "allowed"), [("sessions", True), ("training-runs", True), ("accounts", False)]
)
def test_an_operator_starts_sessions_but_adds_no_accounts(db, kind, allowed):
    answer = client_of(factories.UserFactory(role=Role.OPERATOR)).post(address(kind), {}, format="json")
    assert (answer.status_code == 400) is allowed


def test_a_session_cannot_be_started_with_foreign_things(foreign, world):
    mine = factories.AccountFactory(owner=world["sessions"].owner)
    body = {"baseline": "momentum", "account": mine.pk, "pair": "BTC/USD", "interval": "1m"}
    assert foreign.post(address("sessions"), body, format="json").status_code == 404


def test_a_backtest_cannot_use_a_foreign_series(foreign, world):
    body = {"baseline": "momentum", "series": world["series"].pk}
    assert foreign.post(address("backtests"), body, format="json").status_code == 404


def test_a_council_cannot_seat_a_foreign_model(foreign, world):
    body = {"name": "theirs", "members": [{"model": world["models"].pk}]}
    assert foreign.post(address("council"), body, format="json").status_code == 404


@pytest.mark.parametrize("kind", ["backtests", "council-reviews"])
def test_a_foreign_council_cannot_be_asked(foreign, world, kind):
    body = {"council": world["council"].pk, "series": world["series"].pk}
    assert foreign.post(address(kind), body, format="json").status_code == 404


def test_superusers_see_everything(world):
    boss = client_of(factories.UserFactory(is_superuser=True))
    assert boss.get(address("sessions", world["sessions"].pk)).status_code == 200


CHANGES = {"accounts": {"poll_s": 2.5}, "risk-profiles": {"stop_loss": 0.03},
           "exposure-caps": {"max_open": 3}, "alert-channels": {"is_active": False},
           "alert-rules": {"again_s": 60}}  # fmt: skip


def test_every_kind_that_can_be_changed_is_tried_below():
    changed = {name for name, view, _ in router.registry if hasattr(view, "partial_update")}
    assert changed == set(CHANGES)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_locks_the_row_that_it_writes_back_whole(api, world, monkeypatch, kind):
    seen, real = [], OwnedViewSet.get_object

    def looked(view):
        seen.append((connection.in_atomic_block, view.get_queryset().query.select_for_update))
        return real(view)

    monkeypatch.setattr(OwnedViewSet, "get_object", looked)
    assert api.patch(address(kind, world[kind].pk), CHANGES[kind], format="json").status_code == 200
    assert seen == [(True, True)]
