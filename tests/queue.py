"""What waits in the task queue, on either broker."""

from typing import Any

from django_q.brokers import get_broker
from django_q.models import OrmQ
from django_q.signing import SignedPackage

CLUSTERS = ("default", "train", "live")


def queued(cluster: str | None = None) -> list[dict[str, Any]]:
    """Return the tasks that wait, oldest first: of one cluster, or of all."""
    found = []
    for name in [cluster] if cluster else CLUSTERS:
        broker = get_broker(None if name == "default" else name)
        if broker.info().startswith("Redis"):
            packages = [package.decode() for package in broker.connection.lrange(broker.list_key, 0, -1)]
        else:
            packages = [row.payload for row in OrmQ.objects.filter(key=broker.list_key).order_by("id")]
        found += [SignedPackage.loads(package) for package in packages]
    return found


def empty() -> None:
    """Forget every waiting task."""
    for name in CLUSTERS:
        get_broker(None if name == "default" else name).purge_queue()
