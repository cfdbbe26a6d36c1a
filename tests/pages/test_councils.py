"""Pages and admin of councils, from the form to the votes of a decision."""

import pytest
from django.urls import reverse

from agents.models import Backtest, Council, CouncilReview
from market.web.roles import Role
from tests import factories
from tests.agents.markets import stored, walk

FORM = {"name": "three", "members": ["baseline:momentum", "baseline:cash"], "method": "weighted",
        "combine": "votes", "quorum": "", "weights": "momentum=2\ncash=0.5"}  # fmt: skip


@pytest.fixture
def series(ada):
    return stored(walk(400), ada)


@pytest.mark.parametrize("address", ["council-create", "admin:agents_council_add"])
def test_a_council_is_made_with_its_weights(client, ada, address):
    ada.is_staff = True
    ada.save()
    client.force_login(ada)
    assert client.post(reverse(address), FORM).status_code == 302
    council = Council.objects.get()
    assert (council.owner, council.quorum) == (ada, 2)
    assert {row.name: row.weight for row in council.members.all()} == {"momentum": 2.0, "cash": 0.5}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"weights": "momentum=2"}, "members"),
        ({"weights": "other=2"}, "weights"),
        ({"weights": "momentum=much"}, "weights"),
        ({"weights": "momentum"}, "__all__"),
        ({"quorum": "3"}, "quorum"),
        ({"members": ["model:999"]}, "members"),
        ({"name": "a:b"}, "name"),
    ],
)
def test_what_makes_no_council_is_said_beside_the_field(as_ada, changes, field):
    answer = as_ada.post(reverse("council-create"), FORM | changes)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not Council.objects.exists()


def test_other_peoples_models_are_not_offered(as_ada, stranger):
    theirs = factories.ModelFactory(owner=stranger)
    answer = as_ada.post(reverse("council-create"), FORM | {"members": [f"model:{theirs.pk}"]})
    assert "members" in answer.context["form"].errors


def test_a_viewer_makes_no_council(client, db):
    client.force_login(factories.UserFactory(role=Role.VIEWER))
    assert client.post(reverse("council-create"), FORM).status_code == 403


def test_a_council_is_backtested_and_reviewed_from_its_page(as_ada, series):
    as_ada.post(reverse("council-create"), FORM)
    council = Council.objects.get()
    page = as_ada.get(reverse("council", args=[council.pk])).content.decode()
    assert f"?policy=council:{council.pk}" in page
    as_ada.post(reverse("backtest-start"), {"policy": f"council:{council.pk}", "series": series.pk})
    assert Backtest.objects.get().council == council
    answer = as_ada.post(reverse("review-start"), {"council": council.pk, "series": series.pk})
    assert answer.url == reverse("council-review", args=[CouncilReview.objects.get().pk])
    assert "waiting for a worker" in as_ada.get(answer.url).content.decode()
    assert "Review: council:three" in as_ada.get("/").content.decode()


def test_an_archived_council_is_offered_no_more(as_ada, world):
    council = world["council"]
    as_ada.post(reverse("council-archive", args=[council.pk]))
    council.refresh_from_db()
    assert council.is_archived
    assert f"council:{council.pk}" not in as_ada.get(reverse("session-start")).content.decode()


def test_a_review_shows_what_each_member_adds(as_ada, world):
    review = world["council-review"]
    text = as_ada.get(reverse("council-review", args=[review.pk])).content.decode()
    for part in ("What each member adds", "momentum", "Who votes like whom", "+1.00"):
        assert part in text
    curve = as_ada.get(reverse("council-review-curve", args=[review.pk])).json()
    assert set(curve["without"]) == {"momentum", "cash"}


VOTES = {
    "note": "vetoed by calm",
    "votes": [
        {"member": "keen", "weight": 1.5, "vote": "BUY", "target": 1.0, "probabilities": [0.1, 0.8, 0.1],
         "failure": ""},
        {"member": "gone", "weight": 1.0, "vote": "", "target": None, "probabilities": [],
         "failure": "its files <b>have</b> changed"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("page", ["decision", "session"])
def test_every_vote_and_every_failure_is_shown(as_ada, world, page):
    world["decision"].votes = VOTES
    world["decision"].save(update_fields=["votes"])
    text = as_ada.get(reverse(page, args=[world[page].pk])).content.decode()
    for part in ("keen", "80.0", "gone", "left out", "vetoed by calm", "its files &lt;b&gt;have"):
        assert part in text


def test_the_votes_are_in_the_api(as_ada, world):
    world["decision"].votes = VOTES
    world["decision"].save(update_fields=["votes"])
    address = reverse("api:sessions-decisions", args=[world["session"].pk])
    assert as_ada.get(address).json()["results"][0]["votes"] == VOTES


def test_a_refresh_brings_the_result_and_the_state(as_ada, world):
    address = reverse("council-review", args=[world["council-review"].pk])
    part = as_ada.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert '<span id="review-state" hx-swap-oob="true">' in part
