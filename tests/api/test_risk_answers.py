"""What REST answers about risk profiles and exposure caps."""

from decimal import Decimal

import pytest
from django.db import IntegrityError

from market.models import AuditEvent
from tests import factories
from tests.api.conftest import client_of
from trading.models import AlertChannel, ExposureCap, RiskProfile
from trading.models.risk import RANGES, out_of_range


def test_a_risk_profile_is_made_changed_and_recorded(api, ada):
    made = api.post("/api/v1/risk-profiles/", {"name": "tight", "stop_loss": 0.01}, format="json").json()
    changed = api.patch(f"/api/v1/risk-profiles/{made['id']}/", {"stop_loss": 0.03}, format="json").json()
    wrong = api.patch(f"/api/v1/risk-profiles/{made['id']}/", {"stop_loss": 5}, format="json")
    assert (changed["stop_loss"], wrong.status_code) == (0.03, 400)
    assert wrong.json()["errors"] == {"stop_loss": ["This must be between 0 and 1 (0.02 is 2 %); it is 5.0."]}
    assert RiskProfile.objects.get().stop_loss == 0.03
    assert AuditEvent.objects.filter(action="risk.change").count() == 2


def test_leverage_that_would_allow_nothing_is_not_accepted(api):
    body = {"name": "bold", "max_leverage": 2}
    assert api.post("/api/v1/risk-profiles/", body, format="json").json()["errors"] == {
        "max_leverage": ["This must be above 0 and at most 1 (sessions trade without leverage); it is 2.0."]
    }


CAPS = "/api/v1/exposure-caps/"


def test_a_cap_is_changed_in_place_and_what_is_left_out_stays(api, ada):
    account = factories.AccountFactory(owner=ada)
    asked = {"account": account.pk, "max_total": "100", "max_open": 3}
    made = api.post(CAPS, asked, format="json").json()
    changed = api.patch(f"{CAPS}{made['id']}/", {"max_total": "250"}, format="json")
    assert changed.status_code == 200
    body = changed.json()
    assert (body["account"], body["max_total"], body["max_open"]) == (account.pk, "250", 3)
    recorded = AuditEvent.objects.filter(action="cap.set", actor=ada).first().detail
    assert Decimal(recorded["max_total"]) == 250
    assert ExposureCap.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [({"max_total": -1}, 400, "max_total"), ({"max_total": 0}, 400, "max_total"),
     ({"currency": "EUR"}, 409, "account"), ({"account": 10**9}, 400, "account")],
)  # fmt: skip
def test_a_change_of_a_cap_that_makes_no_sense_changes_nothing(api, ada, change, status, field):
    cap = factories.CapFactory(owner=ada, currency="USD", max_total=100, max_per_pair=0, max_open=0)
    factories.CapFactory(owner=ada, currency="EUR")
    refused = api.patch(f"{CAPS}{cap.pk}/", change, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (status, [field])
    cap.refresh_from_db()
    assert (cap.max_total, cap.currency, cap.account) == (100, "USD", None)


def test_nobody_changes_the_cap_of_somebody_else_nor_moves_it_to_their_account(foreign, ada):
    theirs = factories.CapFactory(owner=ada, max_total=100)
    assert foreign.patch(f"{CAPS}{theirs.pk}/", {"max_total": 1}, format="json").status_code == 404
    boss = client_of(factories.UserFactory(is_superuser=True))
    moved = boss.patch(f"{CAPS}{theirs.pk}/", {"account": factories.AccountFactory().pk}, format="json")
    assert (moved.status_code, list(moved.json()["errors"])) == (400, ["account"])
    theirs.refresh_from_db()
    assert (theirs.max_total, theirs.account) == (100, None)


@pytest.mark.parametrize("name", RANGES)
def test_the_database_refuses_what_the_sentences_refuse(ada, name):
    above_zero = ("max_exposure", "max_order_share", "min_move_bars", "max_stale_s", "entry_stale_s",
                  "max_leverage", "approval_s")  # fmt: skip
    wrong = 0 if name in above_zero else -1
    for absurd in (wrong, 10**29, float("nan")):
        assert list(out_of_range({name: absurd})) == [name]
    assert not out_of_range({name: getattr(RiskProfile(), name)})
    if name != "min_move_bars":
        with pytest.raises(IntegrityError):
            factories.RiskFactory(owner=ada, **{name: wrong})


def test_sizing_and_exits_of_a_profile_are_checked_together(api):
    made = api.post("/api/v1/risk-profiles/", {"name": "sized", "risk_per_trade": 0.01}, format="json").json()
    assert (made["risk_per_trade"], made["dca_max_loss"]) == (0.01, 0.05)
    path = f"/api/v1/risk-profiles/{made['id']}/"
    wrong = api.patch(path, {"stop_loss": 0}, format="json").json()["errors"]
    assert wrong == {"risk_per_trade": ["risk_per_trade is what a hit stop costs: switch a stop on too."]}
    wrong = api.patch(path, {"dca_growth": 0.5}, format="json").json()["errors"]
    assert "between 1 (equal lots) and 10" in wrong["dca_growth"][0]


@pytest.mark.parametrize(
    ("path", "make", "change"),
    [
        ("exposure-caps", factories.CapFactory, {"max_total": "250"}),
        ("alert-channels", factories.ChannelFactory, {"is_active": False}),
        ("accounts", factories.AccountFactory, {"poll_s": 2.5}),
        ("risk-profiles", factories.RiskFactory, {"stop_loss": 0.03}),
        ("alert-rules", lambda owner: factories.RuleFactory(channel__owner=owner), {"again_s": 60}),
    ],
)
def test_what_was_read_may_be_changed_and_sent_back_whole(api, ada, path, make, change):
    """Figures that have moved since do not matter; a name that cannot be changed is told, not passed over."""
    address = f"/api/v1/{path}/{make(owner=ada).pk}/"
    read = api.get(address).json()
    assert api.patch(address, read, format="json").status_code == 200
    assert api.get(address).json() == read
    changed = api.patch(address, read | change, format="json")
    assert changed.status_code == 200, changed.json()
    assert changed.json().items() >= change.items()
    refused = api.patch(address, read | {"id": read["id"] + 1}, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["id"])
    assert "cannot be changed" in refused.json()["errors"]["id"][0]
    assert api.get(address).json() == changed.json()


def test_a_figure_that_has_moved_since_it_was_read_may_come_back(api, ada):
    address = f"{CAPS}{factories.CapFactory(owner=ada).pk}/"
    old = api.get(address).json() | {"used_total": "12.5", "used_open": 7}
    assert api.patch(address, old | {"max_open": 3}, format="json").json()["max_open"] == 3


def test_a_channels_masked_address_that_comes_back_is_not_taken_for_a_new_one(api, ada):
    made = {"name": "phone", "kind": "telegram", "address": "-100123456", "secret": f"123456:{'t' * 35}"}
    channels = "/api/v1/alert-channels/"
    address = f"{channels}{api.post(channels, made, format='json').json()['id']}/"
    sealed = AlertChannel.objects.values_list("sealed", flat=True)
    before = [bytes(one) for one in sealed.all()]
    assert api.patch(address, api.get(address).json(), format="json").status_code == 200
    assert [bytes(one) for one in sealed.all()] == before


@pytest.mark.parametrize("poll_s", [0, 4000, "fast", None])
def test_an_absurd_time_between_prices_is_refused(api, ada, poll_s):
    account = factories.AccountFactory(owner=ada)
    refused = api.patch(f"/api/v1/accounts/{account.pk}/", {"poll_s": poll_s}, format="json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["poll_s"])
    account.refresh_from_db()
    assert account.poll_s == 5


def test_only_its_owner_changes_how_often_an_account_is_read(foreign, ada):
    account = factories.AccountFactory(owner=ada)
    assert foreign.patch(f"/api/v1/accounts/{account.pk}/", {"poll_s": 1}, format="json").status_code == 404
