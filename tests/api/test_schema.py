"""The OpenAPI description is complete, and what it promises holds for whatever is asked."""

import json

import pytest
from django.core.cache import cache
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market.web.roles import Role
from tests import factories
from tests.api.conftest import client_of


def test_the_description_is_made_without_warnings(schema):
    assert {"/api/v1/sessions/", "/api/v1/training-runs/{id}/metrics/", "/api/v1/health/"} <= set(
        schema["paths"]
    )


def test_every_post_that_starts_something_has_an_idempotency_key(schema):
    for path in (
        "sessions",
        "training-runs",
        "backtests",
        "council",
        "council-reviews",
        "accounts",
        "imports",
    ):
        names = [parameter["name"] for parameter in schema["paths"][f"/api/v1/{path}/"]["post"]["parameters"]]
        assert "Idempotency-Key" in names


def test_starting_things_is_shown_by_example(schema):
    for path in ("sessions", "training-runs", "backtests", "council", "council-reviews", "accounts"):
        body = schema["paths"][f"/api/v1/{path}/"]["post"]["requestBody"]["content"]["application/json"]
        assert body["examples"]


def test_the_documentation_is_served_offline(client, ada):
    client.force_login(ada)
    text = client.get("/api/docs/").content.decode()
    assert "https://" not in text
    assert client.get("/api/schema/").status_code == 200


def reads(schema):
    return [
        (path, act["get"]) for path, act in schema["paths"].items() if "get" in act and "stream" not in path
    ]


ANY = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.text(max_size=12),
    st.sampled_from(["", "0", "nan", "1e400", "null", "\x00"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, 10**4),
    asked=st.lists(st.tuples(st.integers(0, 20), ANY), max_size=3),
    known=st.booleans(),
    pk=st.integers(0, 2**70),
)
def test_no_question_makes_the_api_fail(schema, world, ada, which, asked, known, pk):
    cache.clear()  # the throttle is not what is tested here
    paths = reads(schema)
    path, act = paths[which % len(paths)]
    names = [one["name"] for one in act.get("parameters", []) if one["in"] == "query"] + ["nonsense"]
    query = {names[at % len(names)]: value for at, value in asked}
    pk = [row.pk for row in world.values()][pk % len(world)] if known else pk
    answer = client_of(ada).get(path.replace("{id}", str(pk)), query)
    assert str(answer.status_code) in {str(code) for code in act["responses"]}, (path, query)
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json"


ODD = (
    [],
    [1],
    3,
    None,
    "x",
    True,
    {"": None},
    {"x": [[[{}]]] * 3},
    {"name": {"a": 1}, "pair": 10**400},
    1e308,
)


@pytest.mark.parametrize("has_key", [False, True])
def test_no_body_however_odd_is_an_error_of_ours(schema, has_key, db):
    client = client_of(factories.UserFactory(role=Role.ADMIN, is_staff=True))
    client.raise_request_exception = False
    for path, acts in schema["paths"].items():
        for method in acts.keys() & {"post", "put", "patch"}:
            for place, body in enumerate([*map(json.dumps, ODD), "{", b"\xff\xfe", '{"name": NaN}']):
                cache.clear()  # of the throttle's counts
                key = {"HTTP_IDEMPOTENCY_KEY": f"{path}{place}"[-80:]} if has_key else {}
                send = getattr(client, method)
                answer = send(path.replace("{id}", "1"), body, content_type="application/json", **key)
                assert answer.status_code < 500, (method, path, body, answer.content[:300])


def test_a_field_that_nobody_knows_is_refused_wherever_there_is_a_body(schema, world, ada):
    """Half of a misspelt body must not start a session without its capital."""
    client, asked, pks = client_of(ada), 0, {kind: row.pk for kind, row in world.items()}
    for path, acts in schema["paths"].items():
        for method in {"post", "patch", "put"} & set(acts):
            if "application/json" not in acts[method].get("requestBody", {}).get("content", {}):
                continue
            cache.clear()
            address = path.replace("{id}", str(pks.get(path.split("/")[3], 0)))
            answer = client.generic(method.upper(), address, '{"capitol": "1"}', "application/json")
            assert answer.status_code == 400, (method, path, answer.content)
            assert answer.json()["errors"]["capitol"][0].startswith("There is no field 'capitol'"), path
            asked += 1
    assert asked > 20


def test_a_misspelt_field_is_told_with_the_one_that_was_meant(client, ada):
    body = {"baseline": "cash", "account": 1, "pair": "BTC/USD", "interval": "1m", "capitol": "100"}
    answer = client_of(ada).post("/api/v1/sessions/", body, format="json")
    assert answer.json()["errors"] == {"capitol": ["There is no field 'capitol': did you mean 'capital'?"]}


def test_a_member_of_a_council_has_no_other_fields_either(client, ada):
    members = [{"baseline": "momentum", "settings": {"period": 3}}] * 2
    answer = client_of(ada).post("/api/v1/council/", {"name": "two", "members": members}, format="json")
    assert answer.status_code == 400
    assert "settings" in str(answer.json()["errors"])
