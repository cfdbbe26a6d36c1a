"""What training uses and what the machine has: measured, so that no more runs start than it bears."""

import fcntl
import time
from collections.abc import Callable
from io import TextIOWrapper

import psutil
from django.conf import settings

from agents.models import JobStatus, TrainingRun
from agents.parallel import MIB, RESERVE, TYPICAL_MB

SAMPLE_S = 5.0  # between two samples of a run


class Sampler:
    """Measures this process every few seconds.

    :param gpu: returns what is used of a graphics processor, see `due`; empty where there is none
    """

    def __init__(
        self, gpu: Callable[[], dict[str, float]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.gpu, self.clock = gpu, clock
        self.process = psutil.Process()
        self.process.cpu_percent()  # the first call only starts the count
        self.next_s = clock() + SAMPLE_S

    def due(self, fps: float) -> dict[str, float] | None:
        """Return `cpu` (cores in use), `rss_mb`, `queue` (runs that wait) and `fps`; None until one is due.

        With a GPU also `gpu_mb` (memory held by this process), `gpu_free_mb`, and `gpu` (share of the time
        it was at work) where the driver's library is installed.
        """
        now = self.clock()
        if now < self.next_s:
            return None
        self.next_s = now + SAMPLE_S
        return {
            "cpu": round(self.process.cpu_percent() / 100, 3),
            "rss_mb": round(self.process.memory_info().rss / MIB, 1),
            "queue": float(TrainingRun.objects.filter(status=JobStatus.QUEUED).count()),
            "fps": round(fps, 1),
            **self.gpu(),
        }


def has_room() -> bool:
    """Say whether one more training process fits into the memory that is free now.

    The measured size of the largest run at work (else a typical one) must fit and leave the reserve; what a
    run that has just begun is still to take counts as taken. Where none is at work one may always start:
    waiting would change nothing. Ask, and start, behind the `Door`.
    """
    at_work = TrainingRun.objects.filter(status=JobStatus.RUNNING).exclude(pid=None)
    here = [row for row in at_work.only("pid", "resources") if psutil.pid_exists(row.pid or 0)]
    if not here:
        return True
    memory = psutil.virtual_memory()
    wanted_mb = max([TYPICAL_MB, *(float(row.resources.get("rss_mb", 0.0)) for row in here)])
    growing_mb = sum(max(0.0, TYPICAL_MB - _size_mb(row.pid or 0)) for row in here)
    return memory.available / MIB - growing_mb - wanted_mb > RESERVE * memory.total / MIB


def _size_mb(pid: int) -> float:
    """Return the resident size of a process; of one that has just ended, what it would have taken."""
    try:
        return psutil.Process(pid).memory_info().rss / MIB
    except psutil.Error:
        return TYPICAL_MB


class Door:
    """One process of this machine at a time goes from the question for room to a run's process with a pid.

    Two that asked at once would both be told that there is room for one. Released by `close`, by leaving the
    block, and by the end of the process.
    """

    def __init__(self) -> None:
        self._file: TextIOWrapper | None = None

    def __enter__(self) -> "Door":
        settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
        self._file = (settings.VAR_DIR / "training.lock").open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return self

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __exit__(self, *_: object) -> None:
        self.close()
