"""The lease row: who may drive a thing right now (docs/architecture.md, "Leases")."""

from django.db import models


class Lease(models.Model):
    """Right to drive `name` (`session:7`, `training:3`) until `until_ms`; `fence` grows with each owner."""

    name = models.CharField(max_length=80, unique=True)
    owner = models.CharField(max_length=120, default="")  # host:pid:random of the process that holds it
    fence = models.PositiveBigIntegerField(default=0)
    until_ms = models.BigIntegerField(default=0)  # epoch ms of the wall clock; 0 = free
    enqueued_ms = models.BigIntegerField(default=0)  # when the supervisor last asked for a driver

    def __str__(self) -> str:
        return f"{self.name} fence {self.fence}"
