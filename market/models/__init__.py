"""Rows about markets, and the few that every app needs (leases, audit, idempotency)."""

from market.models.archive import Gap, ImportReport, ImportStatus, Partition, Series
from market.models.jobs import Lease
from market.models.live import LiveBar, Tick
from market.models.people import AuditEvent, IdempotencyKey, OwnedQuerySet

__all__ = ["AuditEvent", "Gap", "IdempotencyKey", "ImportReport", "ImportStatus", "Lease", "LiveBar",
           "OwnedQuerySet", "Partition", "Series", "Tick"]  # fmt: skip
