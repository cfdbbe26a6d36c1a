"""Leases: exactly one process drives a thing at a time. Only conditional UPDATEs: every database agrees.

A holder renews before every outward act. Once a lease has passed to somebody else, its old owner's fence is
stale: renew returns False, and the holder must stop without touching anything.
"""

import os
import secrets
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from market.models import Lease
from market.prepared import Update

_extend = Update(Lease, ["until_ms"], where=["name", "owner", "fence", "until_ms__gte"])
PROCESS_NAME = f"{socket.gethostname()}:{os.getpid()}"


def now_ms() -> int:
    """Return the wall clock in epoch ms; on PostgreSQL the server's, so that hosts need not agree."""
    if connection.vendor != "postgresql":
        return time.time_ns() // 1_000_000
    with connection.cursor() as cursor:
        cursor.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        return int(cursor.fetchone()[0])


@dataclass(slots=True)
class Held:
    """A lease we hold, as long as `renew` keeps saying so."""

    name: str
    owner: str
    fence: int
    until_ms: int

    def renew(self, *, ttl_s: float | None = None) -> bool:
        """Extend the lease; False means it is lost and nothing more may be done under it."""
        now = now_ms()
        until = now + _ttl_ms(ttl_s)
        mine = {"name": self.name, "owner": self.owner, "fence": self.fence, "until_ms__gte": now}
        kept = _extend({"until_ms": until}, **mine)
        self.until_ms = until if kept else 0
        return bool(kept)

    def remaining_s(self) -> float:
        """Return the seconds left, 0 when it has run out."""
        return max(0, self.until_ms - now_ms()) / 1000

    def release(self) -> None:
        """Give the lease back; somebody else may take it at once."""
        Lease.objects.filter(name=self.name, owner=self.owner, fence=self.fence).update(
            until_ms=0, enqueued_ms=0
        )
        self.until_ms = 0


def renew_all(held: Collection[Held]) -> None:
    """Extend several leases in one transaction; one that is lost has run out then: its `until_ms` is 0."""
    if not held:
        return
    now = now_ms()
    until = now + _ttl_ms(None)
    with transaction.atomic():
        kept = [
            _extend({"until_ms": until}, name=one.name, owner=one.owner, fence=one.fence, until_ms__gte=now)
            for one in held
        ]
    for one, is_kept in zip(held, kept, strict=True):
        one.until_ms = until if is_kept else 0


def acquire(name: str, *, ttl_s: float | None = None) -> Held | None:
    """Take the lease called `name` if nobody holds it; None when somebody does."""
    Lease.objects.get_or_create(name=name)
    now, owner = now_ms(), f"{PROCESS_NAME}:{os.getpid()}:{secrets.token_hex(4)}"
    until = now + _ttl_ms(ttl_s)
    taken = Lease.objects.filter(name=name, until_ms__lt=now).update(
        owner=owner, until_ms=until, fence=F("fence") + 1
    )
    if not taken:
        return None
    fence = Lease.objects.values_list("fence", flat=True).get(name=name, owner=owner)
    return Held(name, owner, fence, until)


def is_held(name: str) -> bool:
    """Say whether somebody holds the lease now."""
    return Lease.objects.filter(name=name, until_ms__gte=now_ms()).exists()


def _ttl_ms(ttl_s: float | None) -> int:
    return int((settings.LEASE_TTL_S if ttl_s is None else ttl_s) * 1000)
