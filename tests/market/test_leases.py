"""Several leases are kept in one transaction, each on its own conditions."""

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from market import leases
from market.models import Lease


@pytest.fixture
def held(db):
    return [leases.acquire(f"thing:{number}", ttl_s=5) for number in range(3)]


def until_ms(lease):
    return Lease.objects.get(name=lease.name).until_ms


def test_all_are_extended_and_know_until_when(held):
    before = [one.until_ms for one in held]
    with CaptureQueriesContext(connection) as asked:
        leases.renew_all(held)
    updates = [query for query in asked if query["sql"].startswith("UPDATE")]
    assert len(updates) == 3
    for one, then in zip(held, before, strict=True):
        assert until_ms(one) == one.until_ms > then


def test_one_that_has_passed_to_somebody_else_is_lost_and_the_others_are_kept(held):
    Lease.objects.filter(name=held[1].name).update(until_ms=0)
    other = leases.acquire(held[1].name, ttl_s=5)
    leases.renew_all(held)
    assert [one.remaining_s() > 0 for one in held] == [True, False, True]
    assert until_ms(other) == other.until_ms  # not touched
    assert not held[1].renew()


def test_one_that_has_run_out_stays_so(held):
    Lease.objects.filter(name=held[0].name).update(until_ms=leases.now_ms() - 1)
    leases.renew_all(held)
    assert held[0].until_ms == 0
    assert until_ms(held[0]) < leases.now_ms()


def test_where_the_database_fails_nobody_believes_in_more_than_is_stored(held, monkeypatch):
    before, extend, calls = [one.until_ms for one in held], leases._extend, []

    def failing(values, **where):
        calls.append(where)
        if len(calls) == 2:
            raise DatabaseError("the disk is full")
        return extend(values, **where)

    monkeypatch.setattr(leases, "_extend", failing)
    with pytest.raises(DatabaseError):
        leases.renew_all(held)
    assert [one.until_ms for one in held] == before == [until_ms(one) for one in held]


def test_of_none_nothing_is_asked(db):
    with CaptureQueriesContext(connection) as asked:
        leases.renew_all([])
    assert not asked.captured_queries
