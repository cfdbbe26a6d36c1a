"""docs/rest.md says what exists: every endpoint, its filters, its role, its key; and nothing else."""

import re
from pathlib import Path

import pytest
from rest_framework.test import APIClient

from market.web.roles import Role
from tests import factories

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "rest.md").read_text()
ROW = re.compile(
    r"^\| (GET|POST|PATCH|PUT|DELETE) (/api/v1/\S*)( K)? \| (\w+) \| (.+?) \|(?: ([^|]*?))? ?\|$", re.M
)
ROWS = ROW.findall(TEXT)
EVERYWHERE = {"limit", "cursor", "format"}


def test_every_endpoint_is_named_and_no_other(schema):
    described = {(method.upper(), path) for path, acts in schema["paths"].items() for method in acts}
    assert {(method, path) for method, path, *_ in ROWS} == described
    assert len(ROWS) == len(described)
    assert len(ROWS) == len(re.findall(r"^\| [A-Z]+ /api/", TEXT, re.M))


def test_keys_and_filters_are_as_described(schema):
    for method, path, has_key, _, _, filters in ROWS:
        asked = schema["paths"][path][method.lower()].get("parameters", [])
        headers = {one["name"] for one in asked if one["in"] == "header"}
        assert ("Idempotency-Key" in headers) == bool(has_key), path
        query = {one["name"] for one in asked if one["in"] == "query"} - EVERYWHERE
        assert {name for name in filters.replace(" ", "").split(",") if name} == query, path


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_the_stated_role_is_the_one_that_is_needed(db, row):
    method, path, _, role, *_ = row
    address = path.replace("{id}", "1")
    answers = {name: ask(method, address, **(given or {})) for name, given in PEOPLE.items()}
    allowed = [name for name, status in answers.items() if status not in (401, 403)]
    assert allowed == list(PEOPLE)[list(PEOPLE).index(role) :]


PEOPLE = {
    "nobody": None,
    "viewer": {"role": Role.VIEWER},
    "operator": {"role": Role.OPERATOR},
    "admin": {"role": Role.ADMIN},
    "staff": {"role": Role.ADMIN, "is_staff": True},
}


def ask(method, address, **person):
    client = APIClient()
    if person:
        client.force_authenticate(factories.UserFactory(**person))
    return getattr(client, method.lower())(
        address, {}, format="json" if method != "GET" else None
    ).status_code
