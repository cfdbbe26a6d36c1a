"""What the machine under us refuses, in words for a person: a full disk, a database that is not there."""

import errno

from django.db import DatabaseError, OperationalError

DISK_FULL = "the disk is full: nothing was changed; free some space and try again"
ABSENT = ("no such table", "no such column", "has no column")  # SQLite calls these operational, too


def outage(error: BaseException) -> str | None:
    """Return one sentence about a full disk or an unreachable database; None about anything else."""
    if isinstance(error, DatabaseError):
        words = str(error).strip().partition("\n")[0]
        if "disk is full" in words or "disk I/O" in words or "No space left" in words:
            return DISK_FULL
        if isinstance(error, OperationalError) and not any(said in words for said in ABSENT):
            return f"the database does not answer: {words}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK_FULL
    return None
