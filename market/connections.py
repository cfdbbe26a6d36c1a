"""Database connections of long-running processes."""

from django.db import close_old_connections, connection


def refresh() -> None:
    """Let go of a connection that broke or grew too old, so that the next query opens a new one.

    Inside a transaction nothing is done: its owner must see it fail.
    """
    if not connection.in_atomic_block:
        close_old_connections()
