"""How many training runs go side by side on this machine. Read at start, before any model exists."""

import os

import psutil

TYPICAL_MB = 850.0  # resident size of a training process, tracking included, before any was measured
RESERVE = 0.15  # share of the memory that training leaves to everything else
MOST = 8  # by itself; more only when asked for
MIB = 2**20


def parallel_runs(asked: int = 0) -> int:
    """Return how many: as asked, or (0) one per core this process may use, as far as the memory bears them.

    A training process keeps one core busy and no more: small networks gain nothing from several threads.
    """
    if asked:
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fitting = int((1 - RESERVE) * psutil.virtual_memory().total / MIB / TYPICAL_MB)
    return max(1, min(cores, fitting, MOST))
