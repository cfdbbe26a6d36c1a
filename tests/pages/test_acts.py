"""Buttons and forms: what they start, what they refuse, who may press them."""

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse
from knox.models import AuthToken

from agents.models import Backtest, TrainingRun
from agents.spec import ALGORITHMS, DEVICES, KNOWN
from market.models import AuditEvent
from market.web.roles import Role
from tests import factories
from tests.agents.markets import stored, walk
from trading.execution import BOUNDS, KEYS
from trading.forms import SessionForm
from trading.models import Account, Alert, Holding, RiskProfile, SessionStatus


def said(answer):
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


@pytest.mark.parametrize(
    ("act", "status"), [("pause", "paused"), ("stop", "stopping"), ("flatten", "stopping")]
)
def test_a_session_can_be_controlled(as_ada, world, act, status):
    session = world["session"]
    answer = as_ada.post(reverse("session-act", args=[session.pk, act]))
    session.refresh_from_db()
    assert answer.status_code == 302
    assert session.status == status
    assert AuditEvent.objects.filter(actor=session.owner, object_id=str(session.pk)).exists()


def test_a_flatten_that_waits_for_its_venue_is_seen(as_ada, world):
    session, words = world["session"], "as soon as the venue shows a price"
    page = reverse("session", args=[session.pk])
    as_ada.post(reverse("session-act", args=[session.pk, "stop"]))
    assert words not in as_ada.get(page).content.decode()
    as_ada.post(reverse("session-act", args=[session.pk, "flatten"]))
    assert words in as_ada.get(page).content.decode()


def test_what_the_state_forbids_is_told_in_words(as_ada, world):
    answer = as_ada.post(reverse("session-act", args=[world["session"].pk, "resume"]))
    assert "cannot be resumed" in said(answer)


@pytest.mark.parametrize(("held", "shown"), [("0.5", ["resume", "flatten"]), ("0", ["resume"])])
def test_a_failed_session_offers_what_may_still_be_done(as_ada, world, held, shown):
    session = world["session"]
    for coin, quantity in (("BTC", 1), ("USD", 100_000)):
        Holding.objects.update_or_create(account=session.account, coin=coin, defaults={"quantity": quantity})
    type(session).objects.filter(pk=session.pk).update(status=SessionStatus.FAILED, held=held, note="broken")
    text = as_ada.get(reverse("session", args=[session.pk])).content.decode()
    acts = ["pause", "resume", "stop", "flatten"]
    assert [act for act in acts if reverse("session-act", args=[session.pk, act]) in text] == shown
    as_ada.post(reverse("session-act", args=[session.pk, "resume"]))
    session.refresh_from_db()
    assert (session.status, session.note) == (SessionStatus.RUNNING, "")


def test_stop_all_stops_only_ones_own(as_ada, world, stranger):
    theirs = factories.SessionFactory(owner=stranger)
    as_ada.post(reverse("stop-all"))
    world["session"].refresh_from_db()
    theirs.refresh_from_db()
    assert (world["session"].status, theirs.status) == (SessionStatus.STOPPING, SessionStatus.RUNNING)


def test_a_halt_is_lifted_only_with_a_reason(as_ada, world):
    session = world["session"]
    type(session).objects.filter(pk=session.pk).update(risk_state="halted")
    address = reverse("session-act", args=[session.pk, "unhalt"])
    assert "say why" in said(as_ada.post(address))
    as_ada.post(address, {"reason": "looked at it"})
    session.refresh_from_db()
    assert session.risk_state == "active"


def test_the_form_offers_every_setting_of_execution_within_its_bounds(ada, world):
    fields = SessionForm.base_fields
    assert set(KEYS) <= set(fields)
    for name, (low, high) in BOUNDS.items():
        assert (fields[name].min_value, fields[name].max_value) == (low, high), name
    given = {"style": "limit", "requote_s": "45", "activity_s": "600", "activity_share": "0.05"}
    form = {"policy": "baseline:cash", "account": world["account"].pk, "pair": "ETH/USD", "interval": "1m"}
    form = SessionForm(form | given, user=ada)
    assert form.is_valid(), form.errors
    settings = {"style": "limit", "requote_s": 45.0, "activity_s": 600.0, "activity_share": 0.05}
    assert form.cleaned_data["settings"] == settings


def test_a_session_on_an_unreachable_venue_is_refused_beside_the_field(as_ada, world):
    form = {
        "policy": "baseline:momentum",
        "account": world["account"].pk,
        "pair": "ETH/USD",
        "interval": "1m",
    }
    answer = as_ada.post(reverse("session-start"), form)
    assert answer.status_code == 422
    assert answer.context["form"].errors["account"]


def test_only_ones_own_models_and_accounts_are_offered(as_ada, world, stranger):
    theirs = factories.SessionFactory(owner=stranger)
    form = {
        "policy": f"model:{theirs.model_id}",
        "account": theirs.account_id,
        "pair": "BTC/USD",
        "interval": "1m",
    }
    errors = as_ada.post(reverse("session-start"), form).context["form"].errors
    assert {"policy", "account"} <= set(errors)


def test_an_account_is_added_and_its_secret_shown_nowhere(as_ada):
    form = {"name": "contest", "venue": "roostoo", "base_url": "http://127.0.0.1:1", "key": "K" * 64,
            "secret": "s3cr3t" * 10, "calls_per_minute": 28, "poll_s": 5}  # fmt: skip
    answer = as_ada.post(reverse("settings"), form, follow=True)
    assert answer.status_code == 200
    for address in (
        reverse("settings"),
        reverse("account", args=[Account.objects.get().pk]),
        reverse("audit"),
    ):
        text = as_ada.get(address).content.decode()
        assert "s3cr3t" not in text
        assert "K" * 20 not in text


def test_a_refused_account_form_does_not_show_the_secret_again(as_ada):
    form = {"name": "", "venue": "roostoo", "base_url": "nonsense", "key": "K" * 64, "secret": "s3cr3t" * 10}
    answer = as_ada.post(reverse("settings"), form)
    assert answer.status_code == 422
    assert b"s3cr3t" not in answer.content


def test_testing_a_connection_answers_in_one_sentence(as_ada, world):
    answer = as_ada.post(reverse("account-check", args=[world["account"].pk]))
    assert "127.0.0.1" in said(answer)


def test_a_token_is_shown_once_and_stored_as_a_hash(as_ada, ada):
    answer = as_ada.post(reverse("token-create"), {"hours": 5})
    token = answer.context["new_token"]
    row = AuthToken.objects.get(user=ada)
    assert token in answer.content.decode()
    assert token not in row.digest
    assert answer["Cache-Control"] == "no-store"
    assert token not in as_ada.get(reverse("settings")).content.decode()
    as_ada.post(reverse("token-revoke", args=[row.token_key]))
    assert not AuthToken.objects.exists()


def test_a_risk_profile_outside_its_range_is_refused(as_ada, ada):
    good = factories.RiskFactory.build()
    form = {name: getattr(good, name) for name in as_ada.get(reverse("risk")).context["form"].fields}
    answer = as_ada.post(reverse("risk"), form | {"max_exposure": 7})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["max_exposure"]
    assert "above 0 and at most 1" in answer.context["form"].errors["max_exposure"][0]
    assert as_ada.post(reverse("risk"), form).status_code == 302
    assert RiskProfile.objects.get().owner == ada
    again = as_ada.post(reverse("risk"), form)
    assert (again.status_code, list(again.context["form"].errors)) == (422, ["name"])
    mine = reverse("risk-edit", args=[RiskProfile.objects.get().pk])
    assert as_ada.post(mine, form | {"stop_loss": 0.01}).status_code == 302


def test_a_shared_risk_profile_is_changed_by_nobody_but_superusers(as_ada):
    shared = factories.RiskFactory(owner=None, stop_loss=0.02)
    form = {name: getattr(shared, name) for name in as_ada.get(reverse("risk")).context["form"].fields}
    as_ada.post(reverse("risk-edit", args=[shared.pk]), form | {"stop_loss": 0.5})
    shared.refresh_from_db()
    assert shared.stop_loss == 0.02


def test_an_alert_is_closed_by_a_person(as_ada, world):
    alert = Alert.objects.get()
    as_ada.post(reverse("alert-close", args=[alert.pk]))
    alert.refresh_from_db()
    assert alert.closed_at is not None


def training_of(series):
    """The form of a short training run."""
    return {"name": "x", "series": series.pk, "preset": "demo", "steps": 1000, "seed": 1}


def test_a_training_form_names_the_setting_that_is_wrong(as_ada, world):
    form = training_of(world["series"])
    answer = as_ada.post(reverse("run-start"), form | {"overrides": "nonsense=1"})
    assert answer.status_code == 422
    assert "nonsense" in answer.content.decode()


def test_the_training_form_asks_where_to_learn_and_the_run_says_where_it_did(as_ada, ada):
    form = training_of(stored(walk(3000), ada))
    page = as_ada.get(reverse("run-start")).content.decode()
    assert all(f"{name}: {about}" in page for name, about in DEVICES.items())
    as_ada.post(reverse("run-start"), form | {"device": "auto"})
    run = TrainingRun.objects.get(name="x")
    assert run.spec["device"] == "auto"
    said = "Learns on the CPU: device=auto asks for a GPU, and torch finds none here."
    TrainingRun.objects.filter(pk=run.pk).update(device="CPU", notes=[said])
    page = as_ada.get(reverse("run", args=[run.pk])).content.decode()
    assert said in page
    assert "Learns on</dt><dd>CPU" in page


def test_a_gpu_is_refused_for_what_it_cannot_learn(as_ada, ada):
    form = training_of(stored(walk(3000), ada))
    answer = as_ada.post(reverse("run-start"), form | {"device": "cuda", "algorithm": "a2c"})
    assert answer.status_code == 422
    assert "a2c learns on the CPU" in answer.content.decode()
    assert not TrainingRun.objects.exists()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_training_form_offers_every_algorithm(as_ada, ada, algorithm):
    series = stored(walk(3000), ada)
    assert KNOWN[algorithm].title in as_ada.get(reverse("run-start")).content.decode()
    answer = as_ada.post(reverse("run-start"), training_of(series) | {"algorithm": algorithm, "steps": 5000})
    assert answer.status_code == 302, answer.content.decode()
    assert TrainingRun.objects.get(name="x").spec["algorithm"] == algorithm


def test_an_empty_upload_is_refused(as_ada):
    from django.core.files.uploadedfile import SimpleUploadedFile

    answer = as_ada.post(reverse("markets"), {"upload": SimpleUploadedFile("empty.csv", b"")})
    assert answer.status_code == 422
    assert "empty" in answer.content.decode()


def test_a_backtest_takes_settings_as_lines(as_ada, ada):
    form = {"policy": "baseline:momentum", "series": stored(walk(400), ada).pk}
    as_ada.post(reverse("backtest-start"), form | {"settings": "fee_rate=0.002\n\nmax_position=5000"})
    settings = Backtest.objects.get().settings
    assert (settings["trading"]["fee_rate"], settings["limits"]["max_position"]) == (0.002, 5000)
    for lines, said_so in (
        ("max_order_share=1.5", "less than or equal to 1"),
        ("fee_rate", "must have the form key=value"),
    ):
        answer = as_ada.post(reverse("backtest-start"), form | {"settings": lines})
        assert answer.status_code == 422
        assert said_so in answer.content.decode()
    assert Backtest.objects.count() == 1


OPERATING = ["stop-all", "run-start", "backtest-start", "session-start", "markets"]
ADMINISTERING = ["settings", "risk"]


@pytest.mark.parametrize("name", OPERATING + ADMINISTERING)
def test_a_viewer_reads_and_changes_nothing(client, db, name):
    client.force_login(factories.UserFactory(role=Role.VIEWER))
    answer = client.post(reverse(name), {})
    assert answer.status_code == 403
    assert "needs the role" in answer.content.decode()


@pytest.mark.parametrize(
    ("name", "allowed"), [*[(n, True) for n in OPERATING], *[(n, False) for n in ADMINISTERING]]
)
def test_an_operator_starts_things_but_changes_no_accounts(client, operator, name, allowed):
    client.force_login(operator)
    assert (client.post(reverse(name), {}).status_code != 403) is allowed


def test_a_person_in_no_group_is_a_viewer(client, db):
    client.force_login(factories.UserFactory())
    assert client.post(reverse("session-start"), {}).status_code == 403
    assert b"Start a session</a>" not in client.get("/").content


def test_sizing_and_exits_are_set_on_the_risk_page_and_listed(as_ada, ada):
    good, url = factories.RiskFactory.build(), reverse("risk")
    form = {name: getattr(good, name) for name in as_ada.get(url).context["form"].fields}
    assert as_ada.post(url, form | {"name": "cycles", "dca_lots": 4, "trailing_atr": 3}).status_code == 302
    assert "trailing atr 3, dca lots 4" in as_ada.get(url).content.decode()
    refused = as_ada.post(url, form | {"name": "both", "dca_lots": 4, "size_fraction": 0.5})
    assert refused.status_code == 422
    assert "switch size_fraction off" in refused.content.decode()


def test_what_sessions_make_of_orders_by_hand_is_changed_on_the_page(as_ada, world):
    account = world["account"]
    where = reverse("account-foreign", args=[account.pk])
    page = as_ada.post(where, {"foreign_orders": "ignore"}, follow=True).content.decode()
    assert "orders by hand: ignore" in page
    assert "Adopt orders by hand" in page
    refused = as_ada.post(where, {"foreign_orders": "steal"}, follow=True).content.decode()
    assert "choose adopt or ignore" in refused
    account.refresh_from_db()
    assert account.foreign_orders == "ignore"


def test_how_often_prices_are_read_can_be_changed(as_ada, world):
    account = world["account"]
    address, page = reverse("account-poll", args=[account.pk]), reverse("account", args=[account.pk])
    assert b'name="poll_s" value="5.0"' in as_ada.get(page).content
    assert as_ada.post(address, {"poll_s": "1.5"}).status_code == 302
    account.refresh_from_db()
    assert account.poll_s == 1.5
    assert AuditEvent.objects.get(action="account.poll").detail == {"poll_s": 1.5}
    for absurd in ("0", "4000", "nan", ""):
        refused = as_ada.post(address, {"poll_s": absurd})
        assert refused.status_code == 422
        assert refused.context["poll_form"].errors["poll_s"]
    account.refresh_from_db()
    assert account.poll_s == 1.5


def test_an_operator_does_not_change_how_often_prices_are_read(client, operator):
    account = factories.AccountFactory(owner=operator)
    client.force_login(operator)
    assert client.post(reverse("account-poll", args=[account.pk]), {"poll_s": "1"}).status_code == 403
