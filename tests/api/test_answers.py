"""What the API answers: shapes, errors, repeated requests, tokens, health."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from agents.spec import ALGORITHMS, KNOWN
from market.errors import Conflict
from market.models import AuditEvent, IdempotencyKey, ImportReport
from tests import factories
from tests.agents.markets import stored, walk
from tests.api.conftest import client_of
from trading import accounts
from trading.exchanges.registry import VENUES
from trading.forms import AccountForm
from trading.models import Account, ParentOrder

SESSIONS = "/api/v1/sessions/"
ACCOUNT = {"name": "contest", "venue": "roostoo", "base_url": "http://127.0.0.1:1", "key": "K" * 64,
           "secret": "s3cr3t" * 10}  # fmt: skip


def with_token(token):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


def test_amounts_are_exact_strings(api, world):
    answer = api.get(f"{SESSIONS}{world['sessions'].pk}/").json()
    assert (answer["equity"], answer["cash"], answer["held"]) == ("49400.5", "25000.5", "0.4")
    assert answer["pnl_today"] == "-99.5"
    assert {limit["name"] for limit in answer["limits"]} == {
        "stop_distance", "take_distance", "day_loss_distance", "week_loss_distance", "drawdown_distance",
        "safe_drawdown", "loss_streak", "venue_errors", "health_entropy", "health_psi", "health_ks",
        "health_turnover",
    }  # fmt: skip


def test_a_session_without_equity_says_null(api, ada):
    fresh = factories.SessionFactory(owner=ada)
    assert api.get(f"{SESSIONS}{fresh.pk}/").json()["equity"] is None


def test_wrong_fields_are_named_with_a_sentence_each(api):
    answer = api.post(SESSIONS, {"pair": "BTC/USD", "interval": "7m"}, format="json")
    problem = answer.json()
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert problem["status"] == 400
    assert {"account", "interval"} <= set(problem["errors"])


def test_what_a_service_refuses_names_its_field(api, world):
    body = {"baseline": "momentum", "account": world["accounts"].pk, "pair": "ETH/USD", "interval": "1m"}
    answer = api.post(SESSIONS, body, format="json")
    assert answer.status_code == 400
    assert "127.0.0.1" in answer.json()["errors"]["account"][0]


def test_what_the_state_forbids_is_a_conflict(api, world):
    answer = api.post(f"{SESSIONS}{world['sessions'].pk}/resume/")
    assert answer.status_code == 409
    assert "cannot be resumed" in answer.json()["detail"]
    assert "unhalt" not in answer.json()["detail"]


def test_a_halted_session_that_cannot_be_resumed_says_what_ends_a_halt(api, world):
    type(world["sessions"]).objects.filter(pk=world["sessions"].pk).update(risk_state="halted")
    answer = api.post(f"{SESSIONS}{world['sessions'].pk}/resume/")
    assert answer.status_code == 409
    assert "it is halted" in answer.json()["detail"]
    assert "unhalt" in answer.json()["detail"]


def test_a_session_is_stopped_and_the_act_is_recorded(api, ada, world):
    answer = api.post(f"{SESSIONS}{world['sessions'].pk}/stop/", {"flatten": True}, format="json").json()
    assert (answer["status"], answer["flatten_wanted"]) == ("stopping", True)
    assert AuditEvent.objects.filter(actor=ada, action="session.stop").exists()


def test_a_body_that_is_no_json_is_told_so(api):
    answer = api.post(SESSIONS, "{nonsense", content_type="application/json")
    assert answer.status_code == 400
    assert "JSON" in answer.json()["detail"]


def test_an_unknown_address_is_a_problem_document(api):
    answer = api.get("/api/v1/nothing/")
    assert answer.status_code == 404
    assert answer.json()["title"] == "Not found"


def test_an_unexpected_error_shows_no_traceback(ada, monkeypatch):
    from trading import selectors

    monkeypatch.setattr(selectors, "sessions_of", lambda user: 1 / 0)
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(ada)
    answer = client.get(SESSIONS)
    assert answer.status_code == 500
    assert answer.json()["detail"] == "An unexpected error was recorded in the server's log."
    assert "ZeroDivision" not in answer.content.decode()


def test_a_repeated_request_starts_nothing_twice(api):
    first = api.post("/api/v1/accounts/", ACCOUNT, format="json", headers={"Idempotency-Key": "a"})
    again = api.post("/api/v1/accounts/", ACCOUNT, format="json", headers={"Idempotency-Key": "a"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again["Idempotent-Replay"] == "true"
    assert Account.objects.count() == 1


def test_a_key_cannot_be_used_for_another_body(api):
    api.post("/api/v1/accounts/", ACCOUNT, format="json", headers={"Idempotency-Key": "a"})
    other = api.post(
        "/api/v1/accounts/", ACCOUNT | {"name": "b"}, format="json", headers={"Idempotency-Key": "a"}
    )
    assert other.status_code == 422


def test_a_request_still_at_work_is_a_conflict(api):
    api.post("/api/v1/accounts/", ACCOUNT, format="json", headers={"Idempotency-Key": "a"})
    IdempotencyKey.objects.update(status=None, answer=None)
    again = api.post("/api/v1/accounts/", ACCOUNT, format="json", headers={"Idempotency-Key": "a"})
    assert again.status_code == 409


def test_a_refused_request_may_be_repeated_with_its_key(api):
    bad = api.post(
        "/api/v1/accounts/", ACCOUNT | {"key": ""}, format="json", headers={"Idempotency-Key": "a"}
    )
    good = api.post("/api/v1/accounts/", ACCOUNT, format="json", headers={"Idempotency-Key": "a"})
    assert (bad.status_code, good.status_code) == (400, 201)


def test_keys_of_different_people_do_not_meet(api, foreign):
    for client in (api, foreign):
        key = "K" * 63 + str(client is api)[0]
        answer = client.post(
            "/api/v1/accounts/", ACCOUNT | {"key": key}, format="json", headers={"Idempotency-Key": "a"}
        )
        assert answer.status_code == 201


def test_an_upload_is_queued_once_per_key(api):
    def send(content):
        body = {"upload": SimpleUploadedFile("c.csv", content)}
        return api.post("/api/v1/imports/", body, format="multipart", headers={"Idempotency-Key": "u"})

    one, other = b"time,open,high,low,close,volume\n", b"date,open,high,low,close,volume\n"
    assert [send(content).status_code for content in (one, one, other)] == [202, 202, 422]
    assert ImportReport.objects.count() == 1


def test_secrets_appear_in_no_answer(api, ada):
    made = api.post("/api/v1/accounts/", ACCOUNT, format="json", headers={"Idempotency-Key": "a"})
    texts = [made.content, api.get("/api/v1/accounts/").content, api.get("/api/v1/audit/").content]
    texts.append(json.dumps(list(IdempotencyKey.objects.values("answer", "body_hash"))).encode())
    for text in texts:
        assert b"s3cr3t" not in text
        assert b"K" * 20 not in text
    assert made.json()["key"] == "KKKK…KKKK"


def test_a_token_works_until_it_ends(ada):
    _, token = AuthToken.objects.create(user=ada)
    assert with_token(token).get(SESSIONS).status_code == 200
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert with_token(token).get(SESSIONS).status_code == 401
    assert not AuthToken.objects.exists()


def test_a_made_up_token_is_refused(db):
    assert with_token("0" * 64).get(SESSIONS).status_code == 401


def test_the_command_prints_a_token_that_works(ada, capsys):
    call_command("create_token", "ada", "--hours", "2", "--json")
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert with_token(made["token"]).get(SESSIONS).status_code == 200
    row = AuthToken.objects.get()
    assert made["token"] not in row.digest
    assert row.expiry < timezone.now() + timedelta(hours=2, minutes=1)


@pytest.mark.parametrize("arguments", [["nobody"], ["ada", "--hours", "0"]])
def test_the_command_refuses_in_one_line(ada, arguments):
    with pytest.raises(CommandError) as refusal:
        call_command("create_token", *arguments)
    assert refusal.value.returncode == 2
    assert "\n" not in str(refusal.value)


def test_lists_are_paged_by_cursor(api, ada):
    for _ in range(3):
        factories.RiskFactory(owner=ada)
    first = api.get("/api/v1/risk-profiles/?limit=2").json()
    second = api.get(first["next"]).json()
    assert [len(first["results"]), len(second["results"])] == [2, 1]


def test_lists_are_filtered(api, ada, world):
    factories.SessionFactory(owner=ada, status="stopped")
    rows = api.get(f"{SESSIONS}?status=stopped").json()["results"]
    assert [row["status"] for row in rows] == ["stopped"]


def test_health_tells_strangers_little_and_staff_more(db):
    assert APIClient().get("/api/v1/health/").json() == {"status": "ok", "database": "ok"}
    staff = client_of(factories.UserFactory(is_staff=True))
    assert "sessions_driven" in staff.get("/api/v1/health/").json()["details"]


def test_metrics_are_for_staff(api, world):
    assert api.get("/api/v1/metrics/").status_code == 403
    text = client_of(factories.UserFactory(is_staff=True)).get("/api/v1/metrics/").content.decode()
    assert 'tradebot_sessions{state="running"} 1.0' in text


def test_too_many_requests_are_turned_away(api, monkeypatch):
    from rest_framework.throttling import UserRateThrottle

    monkeypatch.setattr(UserRateThrottle, "THROTTLE_RATES", {"user": "2/min"})
    codes = [api.get("/api/v1/alerts/").status_code for _ in range(3)]
    assert codes == [200, 200, 429]


def test_json_nested_without_end_is_refused(api):
    answer = api.post(SESSIONS, data="[" * 100_000, content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["detail"] == "The JSON is nested too deeply."


def test_a_sentence_that_names_its_field_is_not_given_the_name_again(api, world):
    asked = {"name": "first", "spec": {"series": world["series"].pk, "steps": 0}}
    answer = api.post("/api/v1/training-runs/", asked, format="json").json()
    assert answer["detail"] == "steps: input should be greater than or equal to 1 (got 0)"
    assert answer["errors"] == {"steps": [answer["detail"]]}


def test_a_session_says_how_it_trades_and_what_it_works_on(api, ada):
    session = factories.SessionFactory(owner=ada, settings={"style": "limit", "deadline_s": 90})
    ParentOrder.objects.create(
        session=session, style="limit", side="BUY", quantity=Decimal("0.5"), target=1.0, reason="signal BUY",
        planned_ms=0, until_ms=90_000,
    )  # fmt: skip
    shown = api.get(f"{SESSIONS}{session.pk}/").json()["execution"]
    assert (shown["style"], shown["deadline_s"], shown["contest_score"]) == ("limit", 90, None)
    assert shown["at_work"] == {"side": "BUY", "quantity": "0.5", "left": "0.5", "until_ms": 90_000}


def test_a_spec_changes_only_what_it_names_of_a_preset(api, ada):
    series = stored(walk(3000), ada)
    spec = {"series": series.pk, "steps": 2000, "ppo": {"lr": 1e-5}, "trading.slippage": 0.002}
    body = {"name": "one", "preset": "demo", "spec": spec}
    made = api.post("/api/v1/training-runs/", body, format="json")
    assert made.status_code == 201, made.content
    ppo, trading = made.json()["spec"]["ppo"], made.json()["spec"]["trading"]
    assert (ppo["lr"], ppo["epochs"], ppo["ent_coef"]) == (1e-5, 6, 0.01)
    assert (trading["slippage"], trading["half_spread"]) == (0.002, 0.0001)


@pytest.mark.parametrize("device", ["cpu", "auto", "cuda"])
def test_a_run_can_ask_for_a_device(api, ada, device):
    series = stored(walk(3000), ada)
    body = {"name": "one", "preset": "demo", "spec": {"series": series.pk, "device": device}}
    made = api.post("/api/v1/training-runs/", body, format="json")
    assert made.status_code == 201
    assert made.json()["spec"]["device"] == device
    assert made.json()["device"] == ""  # not started yet


def test_a_gpu_for_what_it_cannot_learn_is_a_field_error(api, ada):
    spec = {"series": stored(walk(3000), ada).pk, "device": "cuda", "curriculum": {"stages": "volatility"}}
    body = {"name": "one", "preset": "demo", "spec": spec}
    refused = api.post("/api/v1/training-runs/", body, format="json")
    assert refused.status_code == 400
    assert "curriculum stages" in str(refused.json())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_can_be_chosen(api, ada, algorithm):
    series = stored(walk(3000), ada)
    body = {"name": "one", "preset": "demo", "algorithm": algorithm, "spec": {"series": series.pk}}
    made = api.post("/api/v1/training-runs/", body, format="json")
    assert made.status_code == 201, made.content
    assert made.json()["spec"]["algorithm"] == algorithm
    assert KNOWN[algorithm].sections[0] in made.json()["spec"]


def test_an_hourly_preset_yields_to_the_interval_of_a_series(api, ada):
    series = stored(walk(9000), ada)
    body = {"name": "one", "preset": "default-1h", "spec": {"series": series.pk, "steps": 2000}}
    made = api.post("/api/v1/training-runs/", body, format="json").json()
    assert made["spec"]["interval"] == "1m"
    assert "of the preset default-1h, made for candles of 1h: these are of 1m" in made["notes"][0]


def test_an_operator_tests_connections_but_adds_none(world, ada):
    ada.groups.set([Group.objects.get(name="operator")])
    operator = client_of(User.objects.get(pk=ada.pk))
    checked = operator.post(f"/api/v1/accounts/{world['accounts'].pk}/check/")
    assert (checked.status_code, checked.json()["ok"]) == (200, False)
    assert operator.post("/api/v1/accounts/", ACCOUNT, format="json").status_code == 403


def test_every_venue_can_be_chosen(api):
    body = {"name": "paper", "venue": "paper-binance", "base_url": "https://api.binance.com"}
    assert api.post("/api/v1/accounts/", body, format="json").status_code == 201
    venue = AccountForm().fields["venue"]
    assert [value for value, _ in venue.choices] == list(VENUES)


def test_one_key_is_one_account_whatever_two_requests_do(ada, monkeypatch):
    accounts.create_account(owner=ada, **ACCOUNT)
    seen = iter([False, True])  # the other request has written between our look and our write
    real = accounts._check_key_is_new
    monkeypatch.setattr(accounts, "_check_key_is_new", lambda *key: next(seen) and real(*key))
    with pytest.raises(Conflict, match="an account with this key exists already"):
        accounts.create_account(owner=ada, **ACCOUNT | {"name": "second"})
    assert Account.objects.count() == 1


def test_a_session_shows_every_exit_in_force(api, world):
    session = world["sessions"]
    type(session).objects.filter(pk=session.pk).update(
        levels={"stop-loss": "58800", "time stop": "3 bars"}, stop_kind=1, trades_closed=4
    )
    shown = api.get(f"/api/v1/sessions/{session.pk}/").json()
    assert shown["levels"] == [
        {"rule": "stop-loss", "level": "58800", "is_acting": True},
        {"rule": "time stop", "level": "3 bars", "is_acting": False},
    ]
    assert (shown["trades_closed"], shown["open_equity"]) == (4, "0")


def test_what_sessions_make_of_orders_by_hand_is_set(api, world):
    path = f"/api/v1/accounts/{world['accounts'].pk}/foreign-orders/"
    answer = api.post(path, {"foreign_orders": "ignore"}, format="json")
    assert (answer.status_code, answer.json()["foreign_orders"]) == (200, "ignore")
    refused = api.post(path, {"foreign_orders": "steal"}, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["foreign_orders"])
