"""A world's database: made, withheld for a while, without room for a while."""

import contextlib
import resource
import time
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import psutil
import psycopg
from django.core.management import call_command
from django.db import connection, connections

CUT = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()"""
ROOM = 4096  # bytes any file may have while the disk is "full": no write-ahead log is that short


def migrate() -> None:
    call_command("migrate", verbosity=0)
    connections.close_all()


@contextlib.contextmanager
def of_its_own(url: str, name: str) -> Iterator[str]:
    """Make a PostgreSQL database beside the one of `url` and give its address; it is dropped afterwards."""
    address = urlsplit(url)._replace(path=f"/{name}").geturl()
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{name}"')
    try:
        yield address
    finally:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def lock_for(seconds: float) -> None:
    """Hold the database's write lock on a connection of our own, as a backup or a stuck process would."""
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("BEGIN IMMEDIATE")
            else:
                cursor.execute("BEGIN")
                cursor.execute("LOCK TABLE trading_order, market_lease IN EXCLUSIVE MODE")
            time.sleep(seconds)
            cursor.execute("ROLLBACK")
    finally:
        other.close()


def fill_disk_for(seconds: float, processes: Iterable[psutil.Process]) -> None:
    """Take the room to write from processes: a limit of file size fails as a full disk does, within a write.

    On PostgreSQL the disk is the server's: there its connections are cut instead, again and again.
    """
    if connection.vendor != "sqlite":
        cut_connections(seconds)
        return
    limited = [one.pid for one in processes]
    try:
        for pid in limited:
            _limit(pid, ROOM)
        time.sleep(seconds)
    finally:
        for pid in limited:
            _limit(pid, resource.RLIM_INFINITY)


def give_room(processes: Iterable[psutil.Process]) -> None:
    """Lift the limit from processes that were born under it."""
    for one in processes:
        _limit(one.pid, resource.RLIM_INFINITY)


def _limit(pid: int, size: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def cut_connections(seconds: float) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        with connection.cursor() as cursor:
            cursor.execute(CUT)
        time.sleep(0.1)
