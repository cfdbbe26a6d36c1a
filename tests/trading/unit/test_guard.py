"""A transaction that begins with the renewal of the lease: both count, or neither does."""

import pytest
from django.db import DatabaseError

from market import leases
from market.models import Lease
from trading.guard import Leased, LeaseLost

pytestmark = pytest.mark.django_db
NAME = "session:1"


@pytest.fixture
def leased(settings):
    return Leased(exchange=None, lease=leases.acquire(NAME, ttl_s=settings.LEASE_TTL_S / 2))


def written():
    return Lease.objects.filter(name="something").exists()


def test_the_block_is_committed_with_the_renewal(leased):
    before_ms = leased.lease.until_ms
    with leased.required():
        Lease.objects.create(name="something")
    assert written()
    assert Lease.objects.get(name=NAME).until_ms == leased.lease.until_ms > before_ms


def test_a_lease_that_has_passed_on_writes_nothing(leased):
    Lease.objects.filter(name=NAME).update(until_ms=0)
    other = leases.acquire(NAME)
    with pytest.raises(LeaseLost), leased.required():
        Lease.objects.create(name="something")
    assert not written()
    assert leased.lease.remaining_s() == 0
    assert other.renew()


def test_where_the_block_fails_nobody_believes_in_a_renewal_that_is_undone(leased):
    before_ms = leased.lease.until_ms
    with pytest.raises(DatabaseError), leased.required():
        _fail(Lease.objects.create(name="something"))
    assert not written()
    assert leased.lease.until_ms == before_ms == Lease.objects.get(name=NAME).until_ms


def _fail(_row):
    raise DatabaseError("the disk is full")
