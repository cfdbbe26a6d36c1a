"""Whether this host is about to stop: loops look here and return soon, so that a deploy takes seconds.

The flag is one byte of memory shared with the processes forked after `arm`: no lock that a dying process
could take with it.
"""

import ctypes
from multiprocessing.sharedctypes import RawValue
from typing import Any

_flag: Any = None


def arm() -> None:
    """Make the flag; call before the first fork."""
    global _flag
    _flag = RawValue(ctypes.c_bool, False)


def begin() -> None:
    """Ask every loop of this process and its forks to return."""
    if _flag is not None:
        _flag.value = True


def is_on() -> bool:
    return _flag is not None and bool(_flag.value)
