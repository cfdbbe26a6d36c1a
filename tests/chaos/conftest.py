"""The real worker processes of the cluster tests."""

from tests.trading.cluster.conftest import shared_database, start_workers

__all__ = ["shared_database", "start_workers"]
