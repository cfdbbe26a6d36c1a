"""The worker processes of tests/trading/cluster, and a way to freeze them that lets others write."""

from tests.trading.cluster.conftest import shared_database, start_workers  # noqa: F401
